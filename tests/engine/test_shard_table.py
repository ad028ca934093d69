"""The verbs of a table in shards give what those of the same rows on one machine give."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from sharded import write_shards

import usl.engine.cells
import usl.engine.shard_kmeans
from usl.engine.cells import Cell
from usl.engine.executor import InProcess, OnRay
from usl.engine.shard_kmeans import Centroids
from usl.engine.shard_table import CellTable, ShardTable
from usl.engine.store import Store
from usl.numeric.table import LocalTable

SIZES, WIDTH = (300, 1, 259, 140), 10
CENTERS = np.arange(0, 700, 80)
ANCHORS = np.array([3, 300, 301, 699])


@pytest.fixture(scope="module")
def points():
    """Rows of four halves, plus or minus: of unit length, and every distance has ties."""
    rng = np.random.default_rng(5)
    where = rng.permuted(np.tile(np.arange(WIDTH), (sum(SIZES), 1)), axis=1)[:, :4]
    rows = np.zeros((sum(SIZES), WIDTH), dtype=np.float32)
    np.put_along_axis(rows, where, rng.choice([-0.5, 0.5], where.shape).astype(np.float32), axis=1)
    return rows


class Dealt(NamedTuple):
    """Rows in shards, dealt out by centroid; ``order``, their numbers in the shards."""

    whole: ShardTable
    cells: CellTable
    order: np.ndarray

    def joined(self, read):
        """``read(cell)`` of all cells, one after the other."""
        cells = self.cells.cells
        return np.concatenate([read(Cell(cells, number)) for number in range(len(cells))])


@pytest.fixture(scope="module")
def deal_out(points, tmp_path_factory):
    shards = write_shards(tmp_path_factory.mktemp("shards"), points.astype(np.float16), SIZES)

    def deal(executor):
        whole = ShardTable(shards, Store(str(tmp_path_factory.mktemp("work"))), executor)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(usl.engine.cells, "CELL_BYTES", 4 * WIDTH * 150)  # several cells
            patch.setattr(usl.engine.shard_kmeans, "TILE", (64, 4))
            whole.store.save("rows", centroids=points[CENTERS])  # as near as others to many
            centers, lists = Centroids(whole.store, "rows", len(CENTERS)), whole.kmeans(20, seed=0)
            dealt = Dealt(whole, whole.assign(centers, lists), np.empty(0, np.int64))
        return dealt._replace(order=dealt.joined(lambda cell: cell.rows))

    return deal


@pytest.fixture(scope="module")
def dealt(deal_out):
    return deal_out(InProcess())


def test_rows_in_memory(points, dealt):
    assert dealt.whole.shape == dealt.cells.shape == points.shape
    assert len(dealt.whole) == len(dealt.cells) == len(points)
    assert len(dealt.cells.cells) > 3
    rows = np.array([699, 2, 300, 2])
    np.testing.assert_array_equal(dealt.whole.take(rows), points[rows])
    np.testing.assert_array_equal(dealt.cells.take(rows), points[dealt.order[rows]])
    assert dealt.whole.take(rows[:0]).shape == dealt.cells.take(rows[:0]).shape == (0, WIDTH)


def test_assignment_and_sums(points, dealt):
    local, count = LocalTable(points), len(CENTERS)
    clusters = local.assign(points[CENTERS])
    found = dealt.joined(lambda cell: cell.clusters)
    np.testing.assert_array_equal(found, clusters[dealt.order])
    lists = local.assign(dealt.cells.list_centroids.read())
    np.testing.assert_array_equal(dealt.joined(lambda cell: cell.lists), lists[dealt.order])
    np.testing.assert_array_equal(dealt.order, np.argsort(lists, kind="stable"))
    np.testing.assert_array_equal(dealt.cells.sums(), local.sums(clusters, count))
    assert dealt.cells.counts.tolist() == np.bincount(clusters, minlength=count).tolist()


def test_kmeans(points, dealt):
    centers = dealt.whole.kmeans(9, seed=1).read()
    away = ((points - centers[LocalTable(points).assign(centers)]) ** 2).sum()
    assert away <= 1.05 * LocalTable(points).kmeans(9, rng=np.random.default_rng(0)).inertia


def test_nearest_to_points(points, dealt):
    local = LocalTable(points[dealt.order])
    tied, free = points[ANCHORS], np.random.default_rng(3).normal(size=(5, WIDTH))
    free = (free / np.linalg.norm(free, axis=1, keepdims=True)).astype(np.float32)
    for asked, k in ((tied, 40), (free, 7)):
        rows, away = dealt.cells.nearest(k, asked)
        expected = local.nearest(k, asked)
        np.testing.assert_array_equal(rows, expected[0])
        np.testing.assert_allclose(away, expected[1], rtol=1e-5)


@pytest.mark.parametrize("how", [{}, {"squared": True}, {"count_self": True}])
def test_mean_distance(points, dealt, how):
    column, probing = dealt.cells.mean_distance(12, **how)
    expected, _ = LocalTable(points[dealt.order]).mean_distance(12, **how)
    assert probing is None, "few rows are searched exactly"
    np.testing.assert_allclose(dealt.joined(column.of), expected, rtol=1e-6)


def test_the_farthest_from_a_set(points, dealt):
    reach = dealt.whole.farthest(points[ANCHORS])
    squared = dealt.joined(lambda cell: reach.of(cell, np.arange(len(cell.rows))))
    expected = LocalTable(points).farthest(ANCHORS).squared[dealt.order]
    np.testing.assert_allclose(squared, expected, rtol=1e-6)
    assert np.isinf(LocalTable(points).farthest(ANCHORS[:0]).squared).all()
    nothing = dealt.whole.farthest(points[:0])
    assert np.isinf(dealt.joined(lambda cell: nothing.of(cell, np.arange(2)))).all()


def test_two_workers_give_the_same_bits(points, dealt, deal_out, cluster, monkeypatch):
    monkeypatch.setattr("usl.engine.shard_table.EXACT_ROWS", 100)  # through lists
    other = deal_out(OnRay(cluster))
    assert other.order.tobytes() == dealt.order.tobytes()
    assert other.cells.sums().tobytes() == dealt.cells.sums().tobytes()
    near = [one.cells.nearest(9, points[ANCHORS]) for one in (dealt, other)]
    assert [found.tobytes() for found in near[0]] == [found.tobytes() for found in near[1]]
    (here, probing), (there, theirs) = (one.cells.mean_distance(9) for one in (dealt, other))
    assert probing == theirs
    assert probing.recall >= 0.98
    assert other.joined(there.of).tobytes() == dealt.joined(here.of).tobytes()
    np.testing.assert_array_equal(other.whole.take(ANCHORS), points[ANCHORS])
