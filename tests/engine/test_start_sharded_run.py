"""``usl.start_run(engine="ray")``: an ordinary run of the picks and a sample."""

from __future__ import annotations

from pathlib import Path

import pytest
from sharded import mixture, write_shards

from usl import Constraints, start_run
from usl.core.errors import DataError, UsageError
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
def test_what_does_not_run_there_is_refused(shards, tmp_path):
    def refused(match, kind=UsageError, **how):
        with pytest.raises(kind, match=match):
            start_run(shards, 5, tmp_path / "run", **{"engine": "ray", "method": "usl", **how})

    refused("quotas: not on Ray. Each group would", constraints=Constraints(quotas="equal"))
    refused("include: not on Ray", constraints=Constraints(include=["image-000003"]))
    refused("1 of 1 ids are not there", DataError, constraints=Constraints(exclude=["nobody"]))
    refused("pca: not on Ray", pca=3)
    refused("address: of a cluster", engine="local", address="here:1")


@pytest.mark.usefixtures("cluster")
def test_the_scratch_place_may_be_an_address(shards, tmp_path, monkeypatch):
    class Seen(Exception):
        """Ends the work."""

    def caught(*given, scratch, **named):
        raise Seen(scratch)

    monkeypatch.setattr(start_sharded_run, "select_shards", caught)
    how = {"engine": "ray", "method": "kmeans", "scratch": Path("s3://bucket/work")}
    with pytest.raises(Seen, match=r"^s3://bucket/work$"):
        start_run(shards, 5, tmp_path / "run", **how)
