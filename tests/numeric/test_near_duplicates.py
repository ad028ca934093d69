from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import unit
from usl.numeric import near_duplicates as duplicates
from usl.numeric.near_duplicates import near_duplicates


def one_by_one(features, distance, rows, first):
    """Each row in turn against every representative so far."""
    points = features.astype(np.float64)
    found = list(first)
    original = {int(row): int(row) for row in range(len(features))}
    for row in rows:
        if row in first:
            continue
        near = [other for other in found if np.linalg.norm(points[row] - points[other]) < distance]
        if near:
            original[int(row)] = int(near[0])
        else:
            found.append(row)
    return np.array([original[row] for row in range(len(features))])


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 80),
    distance=st.sampled_from([0.05, 0.3, 0.8, 2.0]),
    data=st.data(),
)
def test_as_one_by_one(seed, n, distance, data):
    features = unit(np.random.default_rng(seed).normal(size=(n, 3)))
    rows = np.array(sorted(data.draw(st.sets(st.integers(0, n - 1), min_size=1))))
    first = np.array(data.draw(st.lists(st.sampled_from(rows.tolist()), unique=True, max_size=4)))
    found = near_duplicates(features, distance, rows=rows, first=first.astype(np.int64))
    np.testing.assert_array_equal(found, one_by_one(features, distance, rows, first.tolist()))


@pytest.mark.parametrize("seed", range(4))
def test_lists_miss_no_pair(seed, monkeypatch):
    monkeypatch.setattr(duplicates, "ONE_LIST", 100)
    monkeypatch.setattr(duplicates, "BLOCK", 16)  # several blocks per list
    features = unit(np.random.default_rng(seed).normal(size=(1500, 4)))
    first = np.array([7, 700, 1200])
    original = near_duplicates(features, 0.25, first=first)
    points = features.astype(np.float64)
    assert (np.linalg.norm(points - points[original], axis=1) < 0.25).all()
    np.testing.assert_array_equal(original[original], original)
    np.testing.assert_array_equal(original[first], first)
    kept = np.setdiff1d(np.flatnonzero(original == np.arange(1500)), first)
    assert 50 < len(kept) < 1400
    gaps = np.linalg.norm(points[kept][:, None] - points[kept][None], axis=-1)
    assert gaps[~np.eye(len(kept), dtype=bool)].min() >= 0.25 - 1e-5
    assert np.linalg.norm(points[kept][:, None] - points[first][None], axis=-1).min() >= 0.25 - 1e-5


def test_many_equal_rows_are_one(monkeypatch):
    monkeypatch.setattr(duplicates, "ONE_LIST", 100)
    features = np.repeat(np.eye(3, dtype=np.float32), 4000, axis=0)
    original = near_duplicates(features, 0.01)
    np.testing.assert_array_equal(original, np.repeat([0, 4000, 8000], 4000))


def test_the_number_of_threads_changes_nothing(monkeypatch):
    monkeypatch.setattr(duplicates, "ONE_LIST", 100)
    features = unit(np.random.default_rng(0).normal(size=(3000, 5)))
    found = []
    for threads in (1, 3):
        monkeypatch.setattr("usl.numeric.blocks.thread_count", lambda threads=threads: threads)
        found.append(near_duplicates(features, 0.3))
    np.testing.assert_array_equal(*found)


def test_no_rows():
    assert near_duplicates(np.eye(3, dtype=np.float32), 0.5, rows=np.array([], int)).tolist() == [
        0,
        1,
        2,
    ]
