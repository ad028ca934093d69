from __future__ import annotations

import numpy as np
import pytest

from usl.numeric import pairwise_sums as pairs
from usl.numeric.pairwise_sums import sums_over_pairs


@pytest.mark.parametrize("n", [1, 31, 32, 33, 200])
@pytest.mark.parametrize("threads", ["1", "3"])
def test_row_sums_of_a_symmetric_matrix(n, threads, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    monkeypatch.setattr(pairs, "TILE", (32, 50))
    matrix = np.random.default_rng(n).integers(0, 9, size=(n, n))
    matrix += matrix.T
    looked = np.zeros((n, n), dtype=int)

    def tile(rows, columns):
        looked[rows, columns] += 1
        return matrix[rows, columns]

    found = sums_over_pairs(tile, n, np.int64)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, matrix.sum(axis=1))
    assert looked.max() == 1
    assert (looked + looked.T > 0).all()
    far = np.abs(np.subtract.outer(np.arange(n), np.arange(n))) >= 32
    assert (looked + looked.T)[far].max(initial=1) == 1, "a pair is looked at once"
