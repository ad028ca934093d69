"""``usl.start_run(engine="ray")``: an ordinary run of the picks and a sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sharded import mixture, write_shards

from usl import Constraints, start_run
from usl.core.errors import DataError, UsageError
from usl.features.preprocessing import Preprocessing
from usl.selection.sharded import start_sharded_run


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    write_shards(folder, mixture(2500, 8, 20), (1500, 1000))
    return str(folder)


@pytest.mark.usefixtures("cluster")
def test_the_run_asks_for_the_picks_and_names_its_shards(shards, tmp_path):
    ids = ["image-000003", "image-002000"]
    constraints = Constraints(exclude=ids, collapse_duplicates=0.3, min_distance=0.5)
    how = {"method": "kmeans", "engine": "ray", "constraints": constraints}
    run = start_run(shards, 12, tmp_path / "run", **how)
    split = run.split()
    asked = [split.ids[row] for row in split.requested()]
    assert len(asked) == 12
    assert len(split) == 12 + 2000
    assert not set(ids) & set(split.ids.tolist())
    told = run.info["selection"]["constraints"]
    assert {name: told[name] for name in ("excluded", "collapse_duplicates", "min_distance")} == {
        "excluded": 2,
        "collapse_duplicates": 0.3,
        "min_distance": 0.5,
    }
    assert told["near_duplicates"] > 0
    assert run.info["shards"]["rows"] == 2500
    assert run.info["shards"]["address"] == shards
    assert len(run.collection()) == 2012


@pytest.mark.usefixtures("cluster")
def test_must_includes_come_first_and_labels_are_there_from_the_start(shards, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text("image_id,label\nimage-001700,cat\nimage-000020,dog\nimage-000021,\n")
    wanted = tmp_path / "wanted.txt"
    wanted.write_text("image-002400\nimage-000007\n")
    constraints = Constraints(include=wanted, exclude=["image-000021"])
    how = {"method": "random", "engine": "ray", "constraints": constraints, "labels": labels}
    run = start_run(shards, 6, tmp_path / "run", **how)
    split = run.split()
    asked = [split.ids[row] for row in split.requested()]
    assert asked[:2] == ["image-002400", "image-000007"]
    assert len(asked) == 6
    told = {split.ids[row]: split.labels[row] for row in split.labeled()}
    assert told == {"image-001700": "cat", "image-000020": "dog"}
    assert run.info["selection"]["known"]["classes"] == {"cat": 1, "dog": 1}
    assert run.info["selection"]["constraints"] == {
        "include_file": str(wanted),
        "excluded": 1,
        "included": 2,
    }


@pytest.mark.usefixtures("cluster")
def test_the_run_lies_in_the_space_of_the_selection(tmp_path):
    points = 3 + mixture(2500, 8, 20).astype(np.float32)
    shards = write_shards(tmp_path / "shards", points, (1500, 1000))
    how = {"method": "kmeans", "engine": "ray", "center": True, "pca": 4}
    run = start_run(tmp_path / "shards", 12, tmp_path / "run", **how)
    fitted = Preprocessing.load(run.path / "preprocessing.npz")
    np.testing.assert_allclose(fitted.mean, points.mean(axis=0, dtype=np.float64), rtol=1e-12)
    assert fitted.components.shape == (4, 8)
    assert run.info["encoder"]["dimensions"] == 4
    sample = run.collection()
    rows = [int(word[6:]) for word in sample.ids.tolist()]
    np.testing.assert_array_equal(sample.features[:], points[rows])  # as predictions read shards
    assert run.info["shards"]["digest"] == shards.digest


@pytest.mark.usefixtures("cluster")
def test_what_does_not_run_there_is_refused(shards, tmp_path):
    def refused(match, kind=UsageError, **how):
        with pytest.raises(kind, match=match):
            start_run(shards, 5, tmp_path / "run", **{"engine": "ray", "method": "usl", **how})

    refused("quotas: given without groups", constraints=Constraints(quotas="equal"))
    refused("use_known: not on Ray. Shards carry no labels", use_known=True)
    nobody = "exclude, entry 1: no item 'nobody' in the collection"
    refused(nobody, DataError, constraints=Constraints(exclude=["nobody"]))
    refused("layer: not on Ray. Leave it out; shards hold features alone", layer="head")
    refused("address: of a cluster", engine="local", address="here:1")


@pytest.mark.usefixtures("cluster")
def test_the_scratch_place_may_be_an_address(shards, tmp_path, monkeypatch):
    class Seen(Exception):
        """Ends the work."""

    def caught(cluster, shards, scratch):
        raise Seen(scratch)

    monkeypatch.setattr(start_sharded_run, "_check_places", caught)
    how = {"engine": "ray", "method": "kmeans", "scratch": Path("s3://bucket/work")}
    with pytest.raises(Seen, match=r"^s3://bucket/work$"):
        start_run(shards, 5, tmp_path / "run", **how)
