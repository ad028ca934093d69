from __future__ import annotations

import numpy as np
import pytest

import usl.numeric.inverted_search as module
from support import unit
from usl.numeric import bounded_search
from usl.numeric.distances import mean_neighbor_distance, nearest
from usl.numeric.inverted_search import (
    Index,
    Probing,
    approximate_mean_distance,
    approximate_nearest,
    probes_needed,
    scan,
)
from usl.numeric.kmeans import kmeans
from usl.numeric.neighbor_search import nearest_others, typical_distance


@pytest.fixture(scope="module")
def table():
    """4,000 points around 80 directions of 10 dimensions."""
    rng = np.random.default_rng(2)
    centres = rng.normal(size=(80, 10))
    return unit(centres[rng.integers(80, size=4000)] + rng.normal(scale=0.4, size=(4000, 10)))


@pytest.fixture(scope="module")
def index(table):
    found = kmeans(table, 60, rng=np.random.default_rng(0), iterations=5)
    return Index.of(found.clusters, found.centroids)


@pytest.fixture(params=["bounded", "not bounded"])
def either_way(request, monkeypatch):
    """Both ways through the lists, whichever pays."""
    monkeypatch.setattr(bounded_search, "pays", lambda *_: request.param == "bounded")


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize(("squared", "count_self"), [(False, False), (True, False), (True, True)])
def test_with_all_lists_it_is_exact(table, index, squared, count_self):
    found = approximate_mean_distance(
        table, 7, index, Probing(60, 1.0), squared=squared, count_self=count_self
    )
    exact = mean_neighbor_distance(table, 7, squared=squared, count_self=count_self)
    np.testing.assert_allclose(found, exact, rtol=2e-5, atol=1e-6)


@pytest.mark.usefixtures("either_way")
def test_with_all_lists_the_neighbours_are_the_nearest(table, index):
    found, distances = approximate_nearest(table, 7, index, Probing(60, 1.0))
    expected, exact = nearest(table, table, 7, exclude_self=True)
    np.testing.assert_allclose(distances, exact, rtol=2e-5, atol=1e-6)
    assert (found == expected).mean() > 0.999  # near ties round otherwise
    assert found.dtype == np.int64
    assert distances.dtype == np.float32


@pytest.mark.usefixtures("either_way")
def test_neighbours_and_mean_distances_are_of_the_same_rows(table, index):
    found, distances = approximate_nearest(table, 20, index, Probing(6, 0.9))
    assert (np.diff(distances, axis=1) >= 0).all()
    assert all(len(set(row)) == 20 for row in found.tolist())
    assert not (found == np.arange(len(table))[:, None]).any()
    away = np.linalg.norm(table[found] - table[:, None], axis=2)
    np.testing.assert_allclose(distances, away, atol=1e-3)
    mean = approximate_mean_distance(table, 20, index, Probing(6, 0.9))
    np.testing.assert_allclose(distances.mean(axis=1), mean, rtol=1e-5)


@pytest.mark.usefixtures("either_way")
def test_chunks_and_products_of_any_size_give_the_same(table, index, monkeypatch):
    whole = approximate_mean_distance(table, 20, index, Probing(12, 0.9))
    monkeypatch.setattr(module, "PRODUCT", 997)
    monkeypatch.setattr(module, "CHUNK_BYTES", 1)
    for name, value in {"PRODUCT": 997, "MOST_PAIRS": 500, "CROWDED": 0.1}.items():
        monkeypatch.setattr(bounded_search, name, value)
    np.testing.assert_allclose(
        approximate_mean_distance(table, 20, index, Probing(12, 0.9)), whole, rtol=1e-5
    )


def test_of_a_bound_comes_the_same_as_without(table, index, monkeypatch):
    found = {}
    for bounded in (True, False):
        monkeypatch.setattr(bounded_search, "pays", lambda *_, bounded=bounded: bounded)
        found[bounded] = approximate_nearest(table, 10, index, Probing(20, 0.9))
    assert (found[True][0] == found[False][0]).mean() > 0.999  # near ties round otherwise
    np.testing.assert_allclose(found[True][1], found[False][1], atol=1e-6)


def test_a_long_list_or_few_rows_have_no_bound(index):
    assert bounded_search.pays(index, 12, 20)
    assert not bounded_search.pays(index, 12, 200)
    long = Index.of(np.zeros(20_000, np.int32), np.ones((1, 3), np.float32))
    assert not bounded_search.pays(long, 1, 1)


def test_fewer_lists_find_farther_neighbours_never_nearer(table, index):
    exact = mean_neighbor_distance(table, 20)
    before = None
    for probes in (4, 8, 16, 60):
        found = approximate_mean_distance(table, 20, index, Probing(probes, 0.0))
        assert (found >= exact - 1e-5).all()
        if before is not None:
            assert found.mean() <= before
        before = found.mean()


def test_the_lists_asked_for_reach_the_recall(table, index):
    probing = probes_needed(table, 20, index, recall=0.9)
    assert 0.9 <= probing.recall <= 1
    assert probing.probes < 60
    # measured apart: which neighbours do lie in the lists that a row looks into?
    true, _ = nearest(table, table, 20, exclude_self=True)
    of = np.empty(len(table), dtype=np.int64)
    of[index.lists.order] = np.repeat(np.arange(60), index.lists.sizes)
    squared = ((table[:, None] - index.centroids[None]) ** 2).sum(-1)
    looked = np.argsort(squared, axis=1)[:, : probing.probes]
    recall = (of[true][:, :, None] == looked[:, None, :]).any(-1).mean()
    assert recall == pytest.approx(probing.recall, abs=0.03)


def test_rows_in_lists_too_short_for_k_are_searched_for_exactly(table, monkeypatch):
    # three far points in a list of their own: two others in it, five neighbours wanted
    monkeypatch.setattr(bounded_search, "pays", lambda *_: False)
    far = unit(np.concatenate([-table.mean(axis=0, keepdims=True)] * 3))
    x = np.concatenate([table[:500], far])
    clusters = np.concatenate([np.zeros(500, np.int32), np.ones(3, np.int32)])
    centroids = np.stack([x[:500].mean(axis=0), x[500:].mean(axis=0)])
    found = approximate_mean_distance(x, 5, Index.of(clusters, centroids), Probing(1, 0.9))
    exact = mean_neighbor_distance(x, 5)
    np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-6)
    rows, distances = approximate_nearest(x, 5, Index.of(clusters, centroids), Probing(1, 0.9))
    np.testing.assert_allclose(distances.mean(axis=1), exact, rtol=1e-5, atol=1e-6)
    assert {500, 501, 502} - {500} <= set(rows[500].tolist())
    monkeypatch.setattr(bounded_search, "pays", lambda *_: True)
    _, bounded = approximate_nearest(x, 5, Index.of(clusters, centroids), Probing(1, 0.9))
    np.testing.assert_allclose(bounded[500:], distances[500:], rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("either_way")
def test_equal_rows_are_at_distance_zero(table):
    x = np.concatenate([table[:600], np.tile(table[:1], (200, 1))])
    found = kmeans(x, 10, rng=np.random.default_rng(0))
    distances = approximate_mean_distance(
        x, 20, Index.of(found.clusters, found.centroids), Probing(3, 0.9)
    )
    assert (distances[600:] == 0).all()


def test_scan_is_an_exact_search(table):
    rows = np.array([0, 17, 3999])
    found, half = scan(table, rows, 9)
    expected, distances = nearest(table, table, 9, exclude_self=True)
    np.testing.assert_array_equal(np.sort(found, axis=1), np.sort(expected[rows], axis=1))
    np.testing.assert_allclose(np.sort(np.sqrt(2 * half + 1), axis=1), distances[rows], atol=1e-4)


def test_typical_distance_chooses_and_says_how(table):
    found, probing = typical_distance(table, 20)
    assert probing is None  # few rows: exact
    np.testing.assert_array_equal(found, mean_neighbor_distance(table, 20))
    near, probing = typical_distance(table, 20, exact=False)
    assert probing.recall > 0.95
    assert np.corrcoef(found, near)[0, 1] > 0.999
    assert typical_distance(table, 2000, exact=False)[1] is None  # half of all rows


def test_nearest_others_through_lists_finds_nearly_all(table):
    exact, _ = nearest_others(table, 20)
    np.testing.assert_array_equal(exact, nearest(table, table, 20, exclude_self=True)[0])
    near, distances = nearest_others(table, 20, exact=False)
    hits = [len(np.intersect1d(a, b)) for a, b in zip(exact, near, strict=True)]
    assert np.mean(hits) > 0.95 * 20
    again, same = nearest_others(table, 20, exact=False)
    np.testing.assert_array_equal(near, again)
    np.testing.assert_array_equal(distances, same)


def test_a_partition_that_is_too_coarse_is_not_used(table, monkeypatch):
    import usl.numeric.neighbor_search as room

    used = []
    of = Index.of.__func__
    monkeypatch.setattr(
        Index, "of", classmethod(lambda cls, c, m: used.append(len(m)) or of(cls, c, m))
    )
    fine = np.arange(4000) % 20
    room.typical_distance(table, 5, exact=False, clusters=fine)
    room.typical_distance(table, 5, exact=False, clusters=np.arange(4000) % 3)
    assert used == [20, 40]
