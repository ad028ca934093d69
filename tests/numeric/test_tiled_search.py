from __future__ import annotations

import numpy as np
import pytest

from usl.numeric import tiled_search
from usl.numeric.tiled_search import nearest_in_tiles

ROWS, WIDTH, K = 4500, 6, 3


@pytest.fixture
def once(monkeypatch):
    """How many queries were compared with the whole table at once."""
    compared = []

    def nearest(queries, *others, **named):
        compared.append(len(queries))
        return original(queries, *others, **named)

    original = tiled_search.nearest
    monkeypatch.setattr(tiled_search, "nearest", nearest)
    return compared


def tables(seed=0, queries=200):
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(ROWS, WIDTH)).astype(np.float32)
    return rng.normal(size=(queries, WIDTH)).astype(np.float32), base


def sorted_distances(queries, base):
    """By the definition, in float64; the lower number first where they are equal."""
    apart = queries[:, None].astype(np.float64) - base[None].astype(np.float64)
    distances = np.sqrt((apart**2).sum(axis=2))
    found = np.argsort(distances, axis=1, kind="stable")[:, :K]
    return found, np.take_along_axis(distances, found, axis=1)


def test_neighbors_are_those_of_sorted_distances(once):
    queries, base = tables()
    found, distances = nearest_in_tiles(queries, base, K)
    expected, apart = sorted_distances(queries, base)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(distances, apart, rtol=1e-3)
    assert not once


def test_queries_with_too_few_within_the_bound_are_compared_with_all(once, monkeypatch):
    monkeypatch.setattr(tiled_search, "bound_rank", lambda n, k: 1)  # too near for many
    queries, base = tables()
    found, _ = nearest_in_tiles(queries, base, K)
    np.testing.assert_array_equal(found, sorted_distances(queries, base)[0])
    assert 0 < sum(once) < len(queries)


def test_where_rows_of_the_table_coincide_the_lowest_are_found(once):
    queries, base = tables(queries=20)
    base[1000:] = queries[0]
    found, distances = nearest_in_tiles(queries, base, K)
    np.testing.assert_array_equal(found, sorted_distances(queries, base)[0])
    assert not distances[0].any()
    assert once == [20]


def test_a_small_table_is_compared_at_once(once):
    queries, base = tables(queries=20)
    nearest_in_tiles(queries, base[:100], K)
    assert once == [20]
    assert nearest_in_tiles(queries[:0], base, K)[0].shape == (0, K)
