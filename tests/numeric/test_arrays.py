from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from usl.numeric.arrays import softmax


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_is_that_of_scipy(dtype):
    logits = np.random.default_rng(0).normal(scale=30, size=(50, 7)).astype(dtype)
    before = logits.copy()
    found = softmax(logits)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, special.softmax(before, axis=1), rtol=1e-4, atol=1e-30)
    np.testing.assert_array_equal(logits, before)


def test_softmax_of_extremes():
    np.testing.assert_array_equal(
        softmax(np.array([[1e30, -1e30], [-np.inf, 0]])), [[1, 0], [0, 1]]
    )
    np.testing.assert_array_equal(softmax(np.zeros((2, 4))), np.full((2, 4), 0.25))
    assert softmax(np.empty((0, 3))).shape == (0, 3)
