"""The search of a table in itself, every pair once, against all distances sorted."""

from __future__ import annotations

import numpy as np
import pytest

from support import unit
from usl.numeric import neighbor_search, self_search
from usl.numeric.neighbor_search import nearest_others, neighborhood, typical_distance


@pytest.fixture
def small_tiles(monkeypatch):
    """As with many rows, which a test has no time for."""
    for name, value in {
        "FEWEST": 1,
        "STRIP": 32,
        "TILE": 64,
        "SAMPLE": 100,
        "MOST_SHARE": 1,
    }.items():
        monkeypatch.setattr(self_search, name, value)


def cloud(n, seed=0):
    return unit(np.random.default_rng(seed).normal(size=(n, 6)) + 0.5).astype(np.float32)


def sorted_pairs(features):
    """Distances to all others in order, and whose they are; ties by the lower number."""
    exact = features.astype(np.float64)
    away = np.sqrt(((exact[:, None] - exact[None]) ** 2).sum(axis=2))
    np.fill_diagonal(away, np.inf)
    order = np.argsort(away, axis=1, kind="stable")
    return order, np.take_along_axis(away, order, axis=1)


@pytest.mark.parametrize("n", [3, 95, 96, 700])
@pytest.mark.parametrize("k", [1, 9])
def test_neighbors_and_means_are_those_of_sorted_distances(small_tiles, monkeypatch, n, k):
    monkeypatch.setattr(self_search, "_search_rows", None)
    features, k = cloud(n), min(k, n - 1)
    order, away = sorted_pairs(features)
    found, distances = nearest_others(features, k)
    np.testing.assert_array_equal(found, order[:, :k])
    np.testing.assert_allclose(distances, away[:, :k], atol=1e-5)
    mean, probing = typical_distance(features, k)
    assert probing is None
    np.testing.assert_allclose(mean, away[:, :k].mean(axis=1), atol=1e-5)
    wide = min(2 * k + 3, n - 1)
    (rows, far), (mean, _) = neighborhood(features, k, wide, squared=True)
    np.testing.assert_array_equal(rows, found)
    np.testing.assert_array_equal(far, distances)
    np.testing.assert_allclose(mean, (away[:, :wide] ** 2).mean(axis=1), atol=1e-5)


def test_a_pair_is_computed_once(small_tiles, monkeypatch):
    seen, n = [], 3000
    monkeypatch.setattr(self_search, "SAMPLE", 300)
    own = self_search._within
    monkeypatch.setattr(
        self_search, "_within", lambda tile, *rest: seen.append(tile.size) or own(tile, *rest)
    )
    monkeypatch.setattr(neighbor_search, "_Nearest", lambda *_: Ignored())
    nearest_others(cloud(n), 5)
    assert 0.98 < sum(seen) / n**2 < 1.02  # either side of a pair is looked at, of one product


class Ignored:
    """Takes what is found and keeps nothing."""

    rows = distances = None

    def finish(self, *_):
        """Nothing."""


@pytest.mark.parametrize("rank", [1, 4])
def test_rows_with_too_few_within_the_bound_are_searched_alone(small_tiles, monkeypatch, rank):
    features = cloud(400)
    alone = []
    monkeypatch.setattr(
        self_search, "bound_rank", lambda n, k: rank
    )  # too near, for most or for some
    own = self_search.scan
    monkeypatch.setattr(
        self_search, "scan", lambda table, rows, k: alone.append(len(rows)) or own(table, rows, k)
    )
    found, distances = nearest_others(features, 15)
    assert 0 < alone[0] < 400
    order, away = sorted_pairs(features)
    np.testing.assert_array_equal(found, order[:, :15])
    np.testing.assert_allclose(distances, away[:, :15], atol=1e-5)


def test_equal_rows_are_found_by_number_at_distance_zero(small_tiles):
    features = np.concatenate([cloud(300), np.repeat(cloud(2, seed=1), 6, axis=0)])
    found, distances = nearest_others(features, 5)
    for row in (300, 303, 305):
        assert found[row].tolist() == [other for other in range(300, 306) if other != row]
    assert (distances[300:] == 0).all()
    assert (typical_distance(features, 5)[0][300:] == 0).all()


def test_where_nearly_all_rows_coincide_they_are_compared_row_by_row(small_tiles, monkeypatch):
    monkeypatch.setattr(self_search, "aligned", None)  # no strip is finished
    features = np.concatenate([np.repeat(cloud(1), 2000, axis=0), cloud(40, seed=1)])
    found, distances = nearest_others(features, 4)
    assert (distances[:2000] == 0).all()
    assert found[:6].tolist() == [
        [1, 2, 3, 4],
        [0, 2, 3, 4],
        [0, 1, 3, 4],
        [0, 1, 2, 4],
        [0, 1, 2, 3],
        [0, 1, 2, 3],
    ]


def test_hubs_and_sorted_classes_are_no_reason_to_begin_anew(small_tiles, monkeypatch):
    """Classes in the order of the rows, of which one lies between all others."""
    monkeypatch.setattr(self_search, "_search_rows", None)
    rng = np.random.default_rng(0)
    kinds = np.repeat(np.arange(8), 150)
    centres = np.concatenate([np.eye(7, 12), np.full((1, 12), 0.4)])
    features = unit(centres[kinds] + rng.normal(scale=0.3, size=(1200, 12)))
    found, _ = nearest_others(features, 10)
    np.testing.assert_array_equal(found, sorted_pairs(features)[0][:, :10])


def test_rows_need_not_be_unit_rows(small_tiles):
    features = cloud(500) * np.random.default_rng(1).uniform(0, 1, (500, 1)).astype(np.float32)
    features[::50] = 0
    found, distances = nearest_others(features, 6)
    order, away = sorted_pairs(features)
    np.testing.assert_allclose(distances, away[:, :6], atol=2e-3)
    assert (found == order[:, :6]).mean() > 0.98  # but for the rows of zeros, which coincide


def test_the_number_of_threads_changes_no_bit(small_tiles, monkeypatch):
    features, found = cloud(700), []
    for threads in ("1", "2", "5"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        found.append(neighborhood(features, 5, 20))
    for (near, mean), one in ((other, found[0]) for other in found[1:]):
        np.testing.assert_array_equal(near[0], one[0][0])
        np.testing.assert_array_equal(near[1], one[0][1])
        np.testing.assert_array_equal(mean[0], one[1][0])


def test_each_way_is_taken_where_it_pays():
    assert self_search.in_pairs(9000, 112)
    assert self_search.in_pairs(50_000, 625)
    assert not self_search.in_pairs(3000, 20)  # a moment either way
    assert not self_search.in_pairs(50_000, 5000)  # a large part of all
