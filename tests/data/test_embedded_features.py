"""Shards of features as a source on one machine: the encoder is known, and pictures are there."""

import json
import re

import numpy as np
import pytest

import usl
from usl.core.errors import DataError
from usl.data.open import open_collection


@pytest.fixture
def photos(make_images):
    """Six pictures, three each of two classes."""
    return make_images(*(f"{name}/{number}.png" for name in "ab" for number in range(3)))


def check_alike(there, here, encoder):
    """The shards hold the features of a folder's pictures, and show these pictures."""
    assert there.ids.tolist() == here.ids.tolist()
    np.testing.assert_array_equal(there.features[:], usl.embed(here, "pixels", cache=False).rows)
    assert there.digests().tolist() == here.digests().tolist()
    for row in (0, 4):
        assert np.array_equal(np.asarray(there.images.read(row)), np.asarray(here.images.read(row)))
    assert there.take([4]).digest(0) == here.digest(4)
    assert usl.embed(there).encoder == encoder
    assert there.notes == ()


def test_a_folder_of_shards(photos, tmp_path):
    here = open_collection(photos)
    made = usl.embed_shards(here, tmp_path / "s", "pixels", shard_images=4)
    check_alike(open_collection(tmp_path / "s"), here, made.encoder)


def test_shards_in_a_bucket(photos, bucket):
    bucket.put_folder(photos, "photos/")
    here = open_collection(f"{bucket.address}/photos")
    made = usl.embed_shards(here, f"{bucket.address}/s", "pixels", shard_images=4)
    there = open_collection(f"{bucket.address}/s")
    assert there.source == f"{bucket.address}/s"
    check_alike(there, here, made.encoder)


def test_a_picture_that_is_gone_is_told_when_it_is_looked_at(photos, tmp_path):
    usl.embed_shards(open_collection(photos), tmp_path / "s", "pixels")
    (photos / "a/1.png").unlink()
    found = open_collection(tmp_path / "s")
    with pytest.raises(DataError, match=r"a/1\.png"):
        found.images.read(1)
    assert len(usl.embed(found).rows) == 6


def test_a_run_on_shards_trains_and_labels_new_pictures(photos, tmp_path):
    usl.embed_shards(open_collection(photos), tmp_path / "s", "pixels")
    run = usl.start_run(tmp_path / "s", 5, tmp_path / "run", method="kmeans", pca=2)
    assert run.info["encoder"]["name"] == "pixels"
    split = (run.path / "split.csv").read_text()
    (run.path / "split.csv").write_text(
        re.sub(r"([ab])(/\d.png,train),requested,,1", r"\1\2,labeled,\1,1", split)
    )
    usl.train(run, method="nearest_mean")
    assert usl.predict(run, photos).ids.tolist() == run.collection().ids.tolist()


def test_features_of_an_unknown_encoder_are_given_ones(photos, tmp_path):
    usl.embed_shards(open_collection(photos), tmp_path / "s", "pixels")
    record = json.loads((tmp_path / "s/_features.json").read_text())
    record["encoder"] = {"name": "mine"}
    (tmp_path / "s/_features.json").write_text(json.dumps(record))
    assert usl.embed(open_collection(tmp_path / "s")).encoder.name == "given"
    (tmp_path / "s/_features.json").write_text("[]")
    with pytest.raises(DataError, match=r"_features\.json: no record of shards"):
        open_collection(tmp_path / "s")
