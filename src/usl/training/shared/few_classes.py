"""Class probabilities of many items, of a few classes each: a table that does not grow with C."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.numeric.arrays import TINY, Rows, Values
from usl.numeric.lazy_table import LazyTable

Numbers = NDArray[np.integer[Any]]


class FewClasses(LazyTable):
    """Probabilities float64 [n, C], of which K of each item are known; its others are 0.

    An item whose K are all 0 has 1 / C of every class. Rows are whole when they are asked for,
    ``table[rows]`` is [r, C]; work through them in blocks (:func:`usl.numeric.lazy_table.of_rows`).

    Parameters
    ----------
    numbers : int [n, K], the classes of each item; one that stands there twice has the sum of both.
    values : float64 [n, K], their probabilities.
    n_classes : C.
    """

    def __init__(self, numbers: Numbers, values: Values, n_classes: int) -> None:
        """Take the arrays as they are."""
        super().__init__((len(numbers), n_classes), np.dtype(np.float64))
        self.numbers, self.values = numbers, values

    @classmethod
    def joined(cls, parts: Sequence[FewClasses]) -> FewClasses:
        """Tables of the same classes, one after another; at least one."""
        numbers, values = (
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("numbers", "values")
        )
        return cls(numbers, values, parts[0].shape[1])

    def block(self, start: int, stop: int) -> Values:
        """Rows ``start`` to ``stop``, float64 [stop - start, C]."""
        return self._whole(self.numbers[start:stop], self.values[start:stop])

    def gather(self, rows: Rows) -> Values:
        """The rows in that order, float64 [r, C]."""
        return self._whole(self.numbers[rows], self.values[rows])

    def likeliest(self, rows: Rows | slice) -> tuple[Rows, Values]:
        """The likeliest class of each of some rows, the lower of equal ones, and its probability.

        For tables in which no item has a class twice, or none at all: no row is made whole.
        """
        numbers, values = self.numbers[rows], self.values[rows]
        sure = values.max(axis=1)
        last = np.iinfo(numbers.dtype).max
        classes = np.where(values == sure[:, None], numbers, last).min(axis=1)
        return classes.astype(np.int64), sure

    def _whole(self, numbers: Numbers, values: Values) -> Values:
        count, (r, _) = self.shape[1], values.shape
        places = numbers + count * np.arange(r)[:, None]
        whole = np.bincount(places.ravel(), values.ravel(), r * count).reshape(r, count)
        whole[~values.any(axis=1)] = 1 / count
        return np.asarray(whole, dtype=np.float64)


def renumbered(said: Any, numbers: Rows, n_classes: int) -> Any:
    """Probabilities of some classes as those of others: a table like ``said``, of ``n_classes``.

    A class that is gone leaves what it held to the item's others; an item that knew no other has
    1 / C of every class.

    Parameters
    ----------
    said : float64 [n, B], or :class:`FewClasses`.
    numbers : int64 [B], what each class is now; -1 where it is gone.
    """
    if isinstance(said, FewClasses):
        now = numbers[said.numbers]
        values = np.where(now >= 0, said.values, 0.0)
        values /= np.maximum(values.sum(axis=1, keepdims=True), TINY)
        return FewClasses(np.maximum(now, 0), values, n_classes)
    kept = np.flatnonzero(numbers >= 0)
    found = np.zeros((len(said), n_classes))
    np.add.at(found.T, numbers[kept], said.T[kept])
    whole = found.sum(axis=1, keepdims=True)
    return np.where(whole > 0, found / np.maximum(whole, TINY), 1 / n_classes)
