"""Array types, the softmax, and the smallest number that is divided by."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Rows = NDArray[np.int64]  # numbers of rows, or of clusters
Values = NDArray[np.float64]
Real = TypeVar("Real", bound=NDArray[np.floating[Any]])

TINY = 1e-12  # in place of a length or a share of 0, which can neither divide nor have a logarithm


def softmax(logits: Real, *, out: Real | None = None) -> Real:
    """Each row of ``logits`` [b, C] as probabilities, in the precision of the logits.

    ``out`` : where they go, such as ``logits`` themselves; a new array by default.
    """
    shifted = np.subtract(logits, row_maxima(logits)[:, None], out=out)
    np.exp(shifted, out=shifted)
    shifted /= shifted.sum(axis=1, keepdims=True)
    return cast(Real, shifted)


def row_maxima(values: Real) -> Real:
    """The largest of every row of ``values`` [b, C]: [b].

    Over rows of a few dozen ``max(axis=1)`` takes twice as long: it starts anew for every row.
    """
    return cast(Real, np.maximum.reduceat(values.ravel(), _starts(values)))


def row_minima(values: Real) -> Real:
    """The smallest of every row, as :func:`row_maxima`."""
    return cast(Real, np.minimum.reduceat(values.ravel(), _starts(values)))


def _starts(values: Real) -> NDArray[np.int64]:
    return np.arange(0, values.size, values.shape[1])
