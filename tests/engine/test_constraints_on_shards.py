"""Near-duplicates and a minimum distance on shards: as one machine, whatever the cells."""

from __future__ import annotations

import numpy as np
import pytest
from sharded import mixture, partition_of, unit, write_shards

import usl.engine.cells
from usl import Constraints, select, select_within
from usl.core.errors import UsageError
from usl.engine.executor import InProcess
from usl.engine.store import Store
from usl.numeric.near_duplicates import near_duplicates
from usl.selection.sharded.select_shards import select_shards

WIDTH, NEAR = 12, 0.3
SIZES = (500, 1, 299)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Items with up to five look-alikes each, chains of them too, in any order."""
    rng = np.random.default_rng(3)
    points = mixture(240, WIDTH, 20)[rng.integers(0, 240, sum(SIZES))].astype(np.float32)
    points = (points + 0.25 * rng.normal(size=points.shape)).astype(np.float16)
    return points, write_shards(tmp_path_factory.mktemp("shards"), points, SIZES)


@pytest.fixture
def many_cells(monkeypatch):
    monkeypatch.setattr(usl.engine.cells, "CELL_BYTES", 4 * WIDTH * 110)


def speakers(place, n):
    """Which rows may be picked, bool [n], and how many cells they were in."""
    (folder,) = place.iterdir()
    store, found = Store(str(folder)), np.zeros(n, dtype=bool)
    cells = sorted(int(name.split(".")[0]) for name in store.sizes("cells") if "." in name)
    for cell in cells:
        rows = store.load(f"cells/{cell}.about")["rows"]
        found[rows] = store.rows(f"alike/{cell}")[0]
    return found, len(cells)


def gaps(points, others):
    return np.linalg.norm(unit(points)[:, None] - unit(others)[None], axis=2)


def test_in_one_cell_the_same_rows_may_be_picked_as_on_one_machine(table, tmp_path):
    points, shards = table
    excluded = np.arange(0, 100, 7)
    how = {"collapse_duplicates": NEAR, "exclude": excluded}
    found = select_shards(shards, 40, InProcess(), scratch=str(tmp_path), k=20, **how)
    speak, cells = speakers(tmp_path, len(points))
    rows = np.setdiff1d(np.arange(len(points)), excluded)
    original = near_duplicates(unit(points).astype(np.float32), NEAR, rows=rows)
    assert cells == 1
    assert np.flatnonzero(speak).tolist() == rows[original[rows] == rows].tolist()
    one = select_within(
        points.astype(np.float32),
        40,
        Constraints(collapse_duplicates=NEAR, exclude=excluded),
        method="usl",
        clusters=partition_of(tmp_path, len(points)),
        k=20,
    )
    assert found.rows.tolist() == one.indices.tolist()
    assert found.constraints == one.constraints


@pytest.mark.usefixtures("many_cells")
def test_across_cells_representatives_are_apart_and_every_other_row_is_near_one(table, tmp_path):
    points, shards = table
    near = 0.5  # so wide that rows across cells are near each other, and take a second round
    how = {"collapse_duplicates": near, "scratch": str(tmp_path), "k": 20, "iterations": 2}
    found = select_shards(shards, 40, InProcess(), **how)
    speak, cells = speakers(tmp_path, len(points))
    assert cells > 5
    between = gaps(points[speak], points[speak])
    assert between[np.triu_indices(len(between), 1)].min() >= near
    assert gaps(points[~speak], points[speak]).min(axis=1).max() < near
    assert found.constraints["near_duplicates"] == np.count_nonzero(~speak)
    one = select(
        points.astype(np.float32),
        40,
        method="usl",
        clusters=partition_of(tmp_path, len(points)),
        candidates=speak,
        k=20,
        iterations=2,
    )
    assert set(found.rows.tolist()) == set(one.indices.tolist())


@pytest.mark.usefixtures("many_cells")
@pytest.mark.parametrize("method", ["usl", "kmeans", "random"])
def test_picks_keep_their_distance_and_those_that_kept_it_stay(table, tmp_path, method):
    points, shards = table
    how = {"k": 20, "iterations": 2} if method == "usl" else {}
    plain = select_shards(
        shards, 40, InProcess(), method=method, scratch=str(tmp_path / "plain"), **how
    )
    least = 0.7
    found = select_shards(
        shards,
        40,
        InProcess(),
        method=method,
        min_distance=least,
        scratch=str(tmp_path / "apart"),
        **how,
    )
    between = gaps(found.points, found.points)
    assert between[np.triu_indices(40, 1)].min() >= least
    assert len(set(found.rows.tolist())) == 40
    if method != "random":
        kept: list[int] = []  # best first, those far enough from all before
        for row in plain.rows.tolist():
            if not kept or gaps(points[[row]], points[kept]).min() >= least:
                kept.append(row)
        assert set(kept) <= set(found.rows.tolist())
        assert found.constraints["replaced"] == 40 - len(kept) > 0


def test_a_distance_without_room_and_one_that_cannot_be_are_refused(table, tmp_path):
    how = {"method": "kmeans", "scratch": str(tmp_path)}
    with pytest.raises(UsageError, match=r"at 1\.5 room was found for \d+ picks of the 40 wanted"):
        select_shards(table[1], 40, InProcess(), min_distance=1.5, **how)
    with pytest.raises(UsageError, match="collapse_duplicates: 3 given; distances between unit"):
        select_shards(table[1], 40, InProcess(), collapse_duplicates=3, **how)
    with pytest.raises(UsageError, match=r"with these constraints there are \d+ items"):
        select_shards(table[1], 700, InProcess(), collapse_duplicates=NEAR, **how)
