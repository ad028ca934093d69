"""A run from shards that have pictures: what another encoder makes is made of these.

The reference is the same on the tars that the shards were made of.
"""

from __future__ import annotations

import csv

import numpy as np
import pytest

import usl
from tars import picture, write_tar
from usl.core.errors import UslWarning
from usl.features.views import each_view
from usl.training.open_run import open_run

pytestmark = pytest.mark.usefixtures("one_thread")
N = 8
HOW = {"method": "random", "pca": 2}
SMALL = {"preset": "cpu", "size": 8, "steps": 2, "batch_size": 2, "device": "cpu"}


@pytest.fixture
def tar(tmp_path):
    """Eight pictures."""
    members = [(f"{number}.png", picture(number)) for number in range(N)]
    return write_tar(tmp_path / "t.tar", members)


@pytest.fixture
def run(tar, tmp_path):
    """A run from shards of them, by ``pixels``; three have labels, of three classes."""
    usl.embed_shards(usl.open_collection(tar), tmp_path / "s", "pixels", shard_images=5)
    labels = {"t/0.png": "a", "t/3.png": "b", "t/6.png": "c"}
    return usl.start_run(tmp_path / "s", 2, tmp_path / "run", **HOW, labels=labels)


def test_a_network_labels_the_pictures_of_shards_and_of_tars_alike(run, tar):
    pytest.importorskip("torch")
    with pytest.warns(UslWarning, match="2 requested images have no label yet"):
        usl.train(run, method="supervised", **SMALL)
    expected = usl.predict(run, tar)
    found = usl.predict(run, run.info["source"]["path"])
    assert found.ids.tolist() == expected.ids.tolist()
    np.testing.assert_array_equal(found.probabilities, expected.probabilities)


@pytest.mark.filterwarnings("ignore::usl.core.errors.UslWarning")
def test_a_class_whose_picture_is_gone_leaves_the_others_their_names(run, tar):
    pytest.importorskip("torch")
    write_tar(tar, [(f"{number}.png", picture(number or 99)) for number in range(N)])
    usl.train(run, method="supervised", **SMALL)
    with open(run.path / "predictions.csv", newline="") as handle:
        found = [row for row in csv.DictReader(handle) if row["source"] == "predicted"]
    expected = usl.predict(run, tar)
    told = dict(zip(expected.ids.tolist(), expected.labels, strict=True))
    assert [row["label"] for row in found] == [told[row["image_id"]] for row in found]
    assert [int(row["image_id"][2]) for row in found] == [1, 2, 4, 5, 7]


def test_views_and_another_encoder_look_at_the_pictures(run, tar, tmp_path):
    pytest.importorskip("torch")
    plain = usl.start_run(tar, 2, tmp_path / "plain", **HOW, model="pixels")
    opened = open_run(run), open_run(plain)
    views = [next(each_view(one.collection, one.space, 1)) for one in opened]
    np.testing.assert_allclose(views[0], views[1], rtol=1e-5, atol=1e-5)
    other = "cifar-cld-small"
    rows = open_run(run, model=other).space.embedding.rows
    np.testing.assert_array_equal(rows, usl.embed(usl.open_collection(tar), other).rows)
