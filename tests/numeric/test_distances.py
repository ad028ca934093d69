from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from usl.numeric.distances import mean_neighbor_distance, nearest, smallest, squared_distances


def all_distances(x):
    x = x.astype(np.float64)
    return np.sqrt(((x[:, None] - x[None]) ** 2).sum(-1))


@pytest.mark.parametrize("k", [1, 7, 299])
def test_mean_distance_is_that_of_a_sorted_table(cloud, k):
    expected = np.sort(all_distances(cloud), axis=1)[:, 1 : k + 1].mean(axis=1)
    np.testing.assert_allclose(mean_neighbor_distance(cloud, k), expected, rtol=1e-5)


def test_released_conventions_count_the_point_itself_and_square(cloud):
    d = np.sort(all_distances(cloud), axis=1)[:, :10]
    found = mean_neighbor_distance(cloud, 10, squared=True, count_self=True)
    np.testing.assert_allclose(found, (d**2).mean(axis=1), rtol=1e-5)


def test_equal_rows_are_at_distance_zero_wherever_they_stand(cloud):
    table = np.concatenate([cloud, cloud[:50], cloud[:50]])
    found = mean_neighbor_distance(table, 2)
    copies = np.r_[0:50, 300:350, 350:400]
    assert (found[copies] == 0).all()
    assert (found[50:300] > 0).all()


def test_nearest_equals_a_sorted_table(cloud):
    d = all_distances(cloud)
    np.fill_diagonal(d, np.inf)
    index, distance = nearest(cloud, cloud, 5, exclude_self=True)
    np.testing.assert_array_equal(index, np.argsort(d, axis=1)[:, :5])
    np.testing.assert_allclose(distance, np.sort(d, axis=1)[:, :5], rtol=1e-4)


def test_nearest_breaks_ties_by_index():
    base = np.tile(np.eye(3, dtype=np.float32)[:1], (5, 1))
    index, distance = nearest(base[:1], base, 3)
    assert index.tolist() == [[0, 1, 2]]
    assert distance.tolist() == [[0, 0, 0]]


def test_nearest_of_no_queries():
    base = np.eye(3, dtype=np.float32)
    index, distance = nearest(base[:0], base, 2)
    assert index.shape == distance.shape == (0, 2)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 60), st.integers(1, 12), st.integers(0, 10_000))
def test_squared_distances_of_any_rows(n, d, seed):
    x = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    expected = all_distances(x) ** 2
    np.testing.assert_allclose(squared_distances(x, x), expected, atol=1e-4, rtol=1e-4)


def test_the_number_of_threads_changes_no_bit():
    code = (
        "import sys, hashlib, numpy as np, usl.numeric.blocks as b\n"
        "b.thread_count = lambda: int(sys.argv[1])\n"
        "from usl.selection.select import select\n"
        "x = np.random.default_rng(0).normal(size=(3000, 33)).astype('f')\n"
        "s = select(x, 25, k=50)\n"
        "print(hashlib.md5(s.indices.tobytes() + s.columns['density'].tobytes()"
        " + s.columns['utility'].tobytes()).hexdigest())\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code, threads],
            capture_output=True,
            text=True,
            check=True,
            env={"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "PATH": ""},
        ).stdout
        for threads in ("1", "2", "3")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize(("n", "k"), [(40, 3), (2000, 3), (6000, 7), (6001, 1), (600, 600)])
@pytest.mark.parametrize("levels", [3, 50, 10**6])
def test_the_smallest_with_ties_to_the_lower_column(n, k, levels):
    rng = np.random.default_rng(n + k)
    values = rng.integers(levels, size=(9, n)).astype(np.float32)
    values[2, 5:] = np.inf
    found = np.sort(smallest(values, k), axis=1)
    expected = np.sort(np.argsort(values, axis=1, kind="stable")[:, :k], axis=1)
    np.testing.assert_array_equal(found, expected)
