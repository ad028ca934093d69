"""Clusters short of the budget on shards: further picks, by the rule of one machine."""

from __future__ import annotations

import numpy as np
import pytest
from sharded import mixture, partition_of, write_shards

from usl import select
from usl.engine.executor import InProcess
from usl.selection.sharded import filled_up
from usl.selection.sharded.select_shards import select_shards

SIZES = (700, 1, 399)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    points = mixture(sum(SIZES), 12, 30)
    return points, write_shards(tmp_path_factory.mktemp("shards"), points, SIZES)


def far(points, share):
    """All but a corner of the space, so that few clusters have rows that may be picked."""
    along = points[:, 0].astype(np.float64)
    return np.flatnonzero(along < np.quantile(along, 1 - share))


def test_usl_gives_the_further_picks_of_one_machine(table, tmp_path):
    points, shards = table
    excluded = far(points, 0.06)
    how = {"k": 20, "iterations": 2}
    found = select_shards(shards, 40, InProcess(), exclude=excluded, scratch=str(tmp_path), **how)
    assert len(np.unique(found.columns["cluster"])) < 30  # of 40: the others have nothing to pick
    one = select(
        points.astype(np.float32),
        40,
        method="usl",
        clusters=partition_of(tmp_path, len(points)),
        candidates=np.setdiff1d(np.arange(len(points)), excluded),
        **how,
    )
    assert set(found.rows.tolist()) == set(one.indices.tolist())


@pytest.mark.parametrize("method", ["usl", "kmeans"])
def test_a_list_that_is_used_up_is_made_again(table, tmp_path, monkeypatch, method):
    monkeypatch.setattr(filled_up, "FEW", 1)
    points, shards = table
    excluded = far(points, 0.06)
    left = len(points) - len(excluded)
    found = select_shards(
        shards, left - 1, InProcess(), method=method, exclude=excluded, scratch=str(tmp_path)
    )
    assert len(np.setdiff1d(found.rows, excluded)) == left - 1
