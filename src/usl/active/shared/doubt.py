"""Between which classes a model hesitates, and how to say so."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.numeric.arrays import Rows, Values
from usl.numeric.lazy_table import of_rows


def two_likeliest(probabilities: Any, rows: Rows | None = None) -> tuple[Rows, Rows, Values]:
    """The likeliest class of each row, the next one, and p1 - p2: each [m]; ties: the lower class.

    Parameters
    ----------
    probabilities : float64 [n, C], at least two classes, an array or a table of such rows.
    rows : int64 [m], those that are looked at; all by default.
    """

    def block(some: NDArray[np.float64]) -> tuple[Rows, Rows, Values]:
        each = np.arange(len(some))
        rest = some.copy()
        first = rest.argmax(axis=1)
        most = rest[each, first]
        rest[each, first] = -1
        second = rest.argmax(axis=1)
        return first, second, most - rest[each, second]

    first, second, margin = of_rows(block, probabilities, rows=rows)
    return first, second, margin


def entropies(probabilities: Any, rows: Rows | None = None) -> Values:
    """-sum p log p of rows as those of :func:`two_likeliest`, in nats, float64 [m]."""
    from scipy.special import entr

    found: Values = of_rows(lambda some: entr(some).sum(axis=1), probabilities, rows=rows)
    return found


def between(first: Rows, second: Rows) -> tuple[str, ...]:
    """``"between {3} and {5}"`` for each pair of classes."""
    pairs = zip(first.tolist(), second.tolist(), strict=True)
    return tuple(f"between {{{a}}} and {{{b}}}" for a, b in pairs)
