"""TypiClust on shards: the picks of one machine for the same partition."""

from __future__ import annotations

import numpy as np
import pytest
from sharded import mixture, partition_of, write_shards

import usl.engine.cells
from usl import select
from usl.engine.executor import InProcess
from usl.selection.methods import typiclust
from usl.selection.sharded import typical
from usl.selection.sharded.select_shards import select_shards

SIZES = (700, 1, 399)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    points = mixture(sum(SIZES), 12, 30)
    return points, write_shards(tmp_path_factory.mktemp("shards"), points, SIZES)


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_picks_are_those_of_one_machine_for_the_same_partition(
    table, tmp_path, monkeypatch, preset
):
    points, shards = table
    monkeypatch.setattr(usl.engine.cells, "CELL_BYTES", 48 * 250)  # many cells
    labeled, excluded = np.arange(40, 60), np.arange(0, len(points), 3)
    labeled = np.setdiff1d(labeled, excluded)
    how = {"method": "typiclust", "preset": preset, "k": 10, "max_clusters": 25}
    # So many picks that clusters give several, and some are used up.
    given = {"exclude": excluded, "labeled": labeled, "scratch": str(tmp_path)}
    found = select_shards(shards, 400, InProcess(), **given, **how)
    clusters = partition_of(tmp_path, len(points))
    monkeypatch.setattr(typiclust, "kept_partition", lambda *_, **__: clusters)
    free = np.setdiff1d(np.arange(len(points)), excluded)
    one = select(points.astype(np.float32), 400, labeled=labeled, candidates=free, **how)
    assert set(found.rows.tolist()) == set(one.indices.tolist())
    assert found.looked_at == len(points)
    order = np.argsort(found.rows), np.argsort(one.indices)
    utilities = found.columns["utility"][order[0]], one.columns["utility"][order[1]]
    np.testing.assert_allclose(*utilities, rtol=1e-6)


def test_neighbours_of_long_clusters_are_sought_among_an_even_part(monkeypatch):
    points = mixture(90, 6, 3).astype(np.float32)
    monkeypatch.setattr(typical, "COMPARED", 40)
    found = typical.typicality(points, 5, squared=False, floor=0.0)
    sample = [place * 90 // 40 for place in range(40)]
    for row in (0, 1, 44, 89):
        others = [one for one in sample if one != row]
        away = np.linalg.norm(points[others].astype(np.float64) - points[row], axis=1)
        assert found[row] == pytest.approx(1 / np.sort(away)[:5].mean(), rel=1e-4)


def test_picks_keep_their_distance_and_meet_the_budget(table, tmp_path):
    how = {"method": "typiclust", "min_distance": 0.5, "scratch": str(tmp_path), "max_clusters": 20}
    found = select_shards(table[1], 40, InProcess(), **how)
    between = np.linalg.norm(found.points[:, None] - found.points[None], axis=2)
    assert between[np.triu_indices(40, 1)].min() >= 0.5 - 1e-6
    assert len(set(found.rows.tolist())) == 40
