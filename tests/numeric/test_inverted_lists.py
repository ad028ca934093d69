from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import usl.numeric.inverted_lists as module
from support import unit
from usl.numeric.inverted_lists import Groups, Lists, list_sums, near_lists, stable_order


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=60), st.data())
def test_segments_tile_any_stretch_of_the_rows(clusters, data):
    clusters = np.array(clusters, dtype=np.int64)
    lists = Lists.of(clusters, 10)
    assert lists.sizes.tolist() == np.bincount(clusters, minlength=10).tolist()
    start = data.draw(st.integers(0, len(clusters)))
    stop = data.draw(st.integers(start, len(clusters)))
    seen = []
    for number, low, high in lists.segments(start, stop):
        rows = lists.order[start + low : start + high]
        assert len(rows)
        assert (clusters[rows] == number).all()
        seen += rows.tolist()
    assert seen == lists.order[start:stop].tolist()


@pytest.mark.parametrize("count", [5, 70_000])
def test_stable_order_is_a_stable_sort(count):
    values = np.random.default_rng(0).integers(count, size=5000)
    np.testing.assert_array_equal(stable_order(values, count), np.argsort(values, kind="stable"))


def test_sums_are_those_of_each_list_whatever_the_block(cloud, monkeypatch):
    clusters = np.random.default_rng(1).integers(7, size=300)
    clusters[clusters == 3] = 4  # list 3 stays empty
    expected = np.stack([cloud[clusters == c].astype(np.float64).sum(axis=0) for c in range(7)])
    for block in (16, 100, 16_384):
        monkeypatch.setattr(module, "BLOCK", block)
        np.testing.assert_allclose(list_sums(cloud, Lists.of(clusters, 7)), expected, atol=1e-6)


def test_sums_of_some_rows_only(cloud):
    rows = np.array([5, 250, 7, 8])
    found = list_sums(cloud, Lists.of(np.array([1, 0, 1, 1]), 2), rows)
    np.testing.assert_allclose(found[1], cloud[[5, 7, 8]].astype(np.float64).sum(axis=0), atol=1e-6)


def test_near_lists_are_the_nearest(cloud):
    squared = ((cloud[:, None].astype(np.float64) - cloud[None]) ** 2).sum(-1)
    expected = np.sort(np.argsort(squared, axis=1)[:, :9], axis=1)
    np.testing.assert_array_equal(np.sort(near_lists(cloud, 9), axis=1), expected)


def test_near_lists_by_groups_miss_little(monkeypatch):
    points = unit(np.random.default_rng(3).normal(size=(2000, 6)))
    exact = near_lists(points, 10)
    monkeypatch.setattr(module, "EXACT_LISTS", 100)
    found = near_lists(points, 10)
    shared = [len(set(a) & set(b)) for a, b in zip(exact.tolist(), found.tolist(), strict=True)]
    assert found.shape == exact.shape
    assert np.mean(shared) > 9.5


def test_more_lists_wanted_than_there_are(cloud):
    assert near_lists(cloud[:4], 10).shape == (4, 4)


def test_candidates_are_whole_groups_nearest_first(cloud):
    groups = Groups.of(cloud)
    near = groups.candidates(0, 40)
    assert len(near) >= 40
    assert set(groups.members(0)) <= set(near)
    assert len(groups.candidates(0, 10_000)) == 300
