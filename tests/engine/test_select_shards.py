"""Selection from shards: as one machine for the same partition, and the same bits on Ray."""

from __future__ import annotations

import numpy as np
import pytest
from sharded import mixture, partition_of, write_shards

import usl.engine.cells
import usl.engine.shard_table
import usl.selection.sharded.by_cluster
from usl import select
from usl.core.errors import UsageError
from usl.engine.executor import InProcess, OnRay
from usl.selection.sharded.select_shards import select_shards

SIZES = (700, 1, 399, 600, 300)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    points = mixture(sum(SIZES), 12, 30)
    return points, write_shards(tmp_path_factory.mktemp("shards"), points, SIZES)


@pytest.mark.parametrize("budget", [40, 130])
def test_picks_of_usl_are_those_of_one_machine_for_the_same_partition(
    table, budget, tmp_path, monkeypatch
):
    points, shards = table
    monkeypatch.setattr(usl.engine.cells, "CELL_BYTES", 48 * 250)  # many cells
    found = select_shards(shards, budget, InProcess(), scratch=str(tmp_path))
    clusters = partition_of(tmp_path, len(points))
    one = select(points.astype(np.float32), budget, method="usl", clusters=clusters)
    assert set(found.rows.tolist()) == set(one.indices.tolist())
    assert found.rows.tolist() == one.indices.tolist()
    np.testing.assert_allclose(found.columns["density"], one.columns["density"], rtol=1e-5)
    np.testing.assert_allclose(found.columns["utility"], one.columns["utility"], rtol=1e-4)
    assert found.ids.tolist() == [f"image-{row:06d}" for row in found.rows]


def test_picks_of_kmeans_are_the_rows_nearest_to_the_means(table, tmp_path):
    points, shards = table
    found = select_shards(shards, 25, InProcess(), method="kmeans", scratch=str(tmp_path))
    clusters = partition_of(tmp_path, len(points))
    unit = points.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    for row, cluster in zip(found.rows, found.columns["cluster"], strict=True):
        members = np.flatnonzero(clusters == cluster)
        away = np.linalg.norm(unit[members] - unit[members].mean(axis=0), axis=1)
        assert away.min() == pytest.approx(np.linalg.norm(unit[row] - unit[members].mean(axis=0)))


def test_the_partition_is_as_tight_as_one_machine_makes_it(table, tmp_path):
    points, shards = table
    select_shards(shards, 30, InProcess(), method="kmeans", scratch=str(tmp_path))
    clusters = partition_of(tmp_path, len(points))
    one = select(points.astype(np.float32), 30, method="kmeans")
    unit = points / np.linalg.norm(points.astype(np.float64), axis=1, keepdims=True)

    def inertia(of):
        return sum(((unit[of == c] - unit[of == c].mean(axis=0)) ** 2).sum() for c in set(of))

    everyone = np.linalg.norm(unit[:, None] - unit[one.indices][None], axis=2).argmin(axis=1)
    assert inertia(clusters) <= 1.05 * inertia(everyone)


@pytest.fixture
def through_lists(monkeypatch):
    """Candidates, probes and lists of their own, as of a large table."""
    monkeypatch.setattr(usl.engine.shard_table, "EXACT_CLUSTERS", 10)
    monkeypatch.setattr(usl.engine.shard_table, "EXACT_PAIRS", 1000)
    monkeypatch.setattr(usl.engine.shard_table, "EXACT_ROWS", 100)
    monkeypatch.setattr(usl.selection.sharded.by_cluster, "LONGEST", 60)
    monkeypatch.setattr(usl.selection.sharded.by_cluster, "LIST_ROWS", 40)
    monkeypatch.setattr(usl.selection.sharded.by_cluster, "EXACT_PAIRS", 1000)
    monkeypatch.setattr(usl.engine.cells, "CELL_BYTES", 48 * 250)


@pytest.mark.usefixtures("through_lists")
def test_nearly_all_picks_are_the_same_through_lists(table, tmp_path):
    points, shards = table
    found = select_shards(shards, 25, InProcess(), scratch=str(tmp_path), k=10)
    clusters = partition_of(tmp_path, len(points))
    one = select(points.astype(np.float32), 25, method="usl", clusters=clusters, k=10)
    assert found.parameters["recall"] >= 0.98
    assert len(set(found.rows.tolist()) & set(one.indices.tolist())) >= 24


@pytest.mark.parametrize("method", ["random", "typiclust", "quorum"])
def test_other_methods_meet_the_budget_and_leave_out_what_is_excluded(table, tmp_path, method):
    points, shards = table
    exclude = np.arange(0, len(points), 2)
    how = {"partitions": 2, "learned": 0} if method == "quorum" else {}
    found = select_shards(
        shards, 9, InProcess(), method=method, exclude=exclude, scratch=str(tmp_path), **how
    )
    assert len(set(found.rows.tolist())) == 9
    assert (found.rows % 2 == 1).all()


def test_copies_and_few_rows_still_meet_the_budget(tmp_path):
    points = np.repeat(mixture(6, 8, 6), 4, axis=0)
    shards = write_shards(tmp_path / "shards", points, (10, 14))
    for method, how in (("usl", {"k": 5}), ("kmeans", {})):
        found = select_shards(
            shards, 15, InProcess(), method=method, scratch=str(tmp_path / method), **how
        )
        assert len(set(found.rows.tolist())) == 15


def test_clusters_start_in_the_shard_where_nearly_all_rows_are(tmp_path):
    sizes = (1,) * 20 + (180,)
    shards = write_shards(tmp_path / "shards", mixture(sum(sizes), 8, 12), sizes)
    how = {"method": "kmeans", "scratch": str(tmp_path / "work")}
    found = select_shards(shards, 50, InProcess(), **how)
    assert len(np.unique(found.columns["cluster"])) == 50


def test_a_method_that_does_not_run_there_is_refused(table):
    with pytest.raises(UsageError, match="'probcover' does not run on Ray; these do: usl, kmeans"):
        select_shards(table[1], 5, InProcess(), method="probcover")


def test_two_workers_pick_what_one_process_does(table, cluster, tmp_path):
    _, shards = table
    how = {"collapse_duplicates": 0.3, "min_distance": 0.5, "labeled": [5, 900], "include": [70]}
    one = select_shards(shards, 60, InProcess(), scratch=str(tmp_path / "one"), **how)
    two = select_shards(shards, 60, OnRay(cluster), scratch=str(tmp_path / "two"), **how)
    assert one.constraints == two.constraints
    assert one.constraints["near_duplicates"] > 0
    assert one.constraints["replaced"] > 0
    assert two.rows.tobytes() == one.rows.tobytes()
    for name in one.columns:
        assert two.columns[name].tobytes() == one.columns[name].tobytes(), name
