"""Every verb of a local table against its definition written out in float64."""

from __future__ import annotations

import numpy as np
import pytest

import usl.numeric.blocks as blocks
from dense_table import DenseTable
from support import unit
from usl.numeric.pairwise_sums import Kernel
from usl.numeric.table import LocalTable, as_table, group_means


@pytest.fixture(params=["1", "3"])
def points(request, monkeypatch):
    """700 rows in many blocks, on one thread and on three."""
    monkeypatch.setenv("OMP_NUM_THREADS", request.param)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1 << 14)
    monkeypatch.setattr("usl.numeric.pairwise_sums.TILE", (64, 50))
    monkeypatch.setattr("usl.numeric.farthest.BLOCK", 128)
    return unit(np.random.default_rng(2).normal(size=(700, 6)))


@pytest.fixture
def pair(points):
    return as_table(points), DenseTable(points)


def test_an_array_becomes_a_table_and_a_table_stays(points):
    table = as_table(points)
    assert isinstance(table, LocalTable)
    assert as_table(table) is table
    dense = DenseTable(points)
    assert as_table(dense) is dense
    assert (len(table), table.shape) == (700, (700, 6))


def test_rows_in_memory(points):
    table, rows = as_table(points), np.array([5, 2, 2, 699])
    np.testing.assert_array_equal(table.take(rows), points[rows])
    assert table.take() is points, "all rows are not copied"
    assert table.take(np.empty(0, np.int64)).shape == (0, 6)
    with pytest.raises(IndexError):
        table.take(np.array([700]))


def test_nearest_others(pair):
    table, dense = pair
    for found, expected in zip(table.nearest(4), dense.nearest(4), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_nearest_to_points(pair):
    table, dense = pair
    asked = unit(np.random.default_rng(3).normal(size=(40, 6)))
    for found, expected in zip(table.nearest(3, asked), dense.nearest(3, asked), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert table.nearest(3, asked[:0])[0].shape == (0, 3)


@pytest.mark.parametrize("how", [{}, {"squared": True}, {"count_self": True}])
def test_mean_distance(pair, how):
    table, dense = pair
    found, probing = table.mean_distance(9, **how)
    assert probing is None, "few rows are searched exactly"
    np.testing.assert_allclose(found, dense.mean_distance(9, **how)[0], rtol=1e-4)


def test_kmeans(pair):
    ours, theirs = (one.kmeans(8, rng=np.random.default_rng(0), iterations=6) for one in pair)
    np.testing.assert_array_equal(ours.clusters, theirs.clusters)
    assert ours.inertia == pytest.approx(theirs.inertia, rel=0.01)  # of the last centroids


def test_assign(pair):
    table, dense = pair
    centers = table.take(np.arange(0, 700, 90))
    np.testing.assert_array_equal(table.assign(centers), dense.assign(centers))
    assert (table.assign(np.zeros((3, 6), np.float32)) == 0).all(), "ties go to the lower number"


def test_sums_and_means_of_groups(pair):
    table, dense = pair
    groups = np.random.default_rng(1).integers(0, 9, size=700)
    np.testing.assert_allclose(table.sums(groups, 11), dense.sums(groups, 11), atol=1e-12)
    means = group_means(table, groups, 11)
    assert means.dtype == np.float32
    np.testing.assert_allclose(means[4], dense.points[groups == 4].mean(axis=0), rtol=1e-6)
    assert (means[9:] == 0).all(), "no rows, no direction"


def test_the_farthest_of_a_growing_set(pair):
    table, dense = pair
    for anchors in (np.empty(0, np.int64), np.array([3, 500])):
        reach, expected = table.farthest(anchors), dense.farthest(anchors)
        for row in (44, 45, 44):
            np.testing.assert_allclose(reach.squared, expected.squared, atol=2e-6)
            reach.add(row)
            expected.add(row)
        assert reach.squared[44] == 0


def test_sums_of_a_kernel(pair):
    table, dense = pair
    rows, others = np.arange(0, 700, 3), np.arange(1, 700, 2)
    low = np.linspace(-0.5, 0.5, 700).astype(np.float32)
    span = np.linspace(0, 0.4, 700).astype(np.float32)
    for given in (
        {},
        {"rows": rows},
        {"others": others},
        {"rows": rows, "others": others, "low": low[others]},
        {"low": low, "span": span},
        {"weights": np.abs(low)},
        {"rows": rows, "low": low, "span": span, "weights": np.abs(low)},
        {"rows": rows, "others": others, "low": low[others], "span": span[others]},
    ):
        found = table.kernel_sums(Kernel(), **given)
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, dense.kernel_sums(Kernel(), **given), atol=1e-4)
    assert table.kernel_sums(Kernel(), rows[:0], others).shape == (0,)
    assert (table.kernel_sums(Kernel(), rows, others[:0]) == 0).all()


def test_a_function_of_blocks_of_rows_and_columns(pair):
    table, dense = pair
    column = np.arange(700.0)

    def weighted(points, weights):
        return points.sum(axis=1) * weights

    expected = dense.points.sum(axis=1) * column
    parts = list(table.map(weighted, column, block=64))
    assert [len(part) for part in parts] == [64] * 10 + [60]
    np.testing.assert_allclose(np.concatenate(parts), expected, rtol=1e-4, atol=1e-4)
    rows = np.array([600, 3, 3])
    seen = []
    parts = list(
        table.map(
            weighted, column[rows], block=2, rows=rows, progress=lambda *told: seen.append(told)
        )
    )
    np.testing.assert_allclose(np.concatenate(parts), expected[rows], rtol=1e-4)
    assert [told[:2] for told in seen] == [(2, 3), (3, 3)]


def test_an_error_in_the_function_comes_through(points):
    def fail(rows):
        raise ValueError("no such row")

    with pytest.raises(ValueError, match="no such row"):
        list(as_table(points).map(fail, block=100))
