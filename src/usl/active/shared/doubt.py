"""Between which classes a model hesitates, and how to say so."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usl.numeric.arrays import Rows, Values


def two_likeliest(probabilities: NDArray[np.float64]) -> tuple[Rows, Rows, Values]:
    """The likeliest class of each row, the next one, and p1 - p2: each [m]; ties: the lower class.

    Parameters
    ----------
    probabilities : float64 [m, C], at least two classes.
    """
    rows = np.arange(len(probabilities))
    rest = probabilities.copy()
    first = rest.argmax(axis=1)
    most = rest[rows, first]
    rest[rows, first] = -1
    second = rest.argmax(axis=1)
    return first, second, most - rest[rows, second]


def between(first: Rows, second: Rows) -> tuple[str, ...]:
    """``"between {3} and {5}"`` for each pair of classes."""
    pairs = zip(first.tolist(), second.tolist(), strict=True)
    return tuple(f"between {{{a}}} and {{{b}}}" for a, b in pairs)
