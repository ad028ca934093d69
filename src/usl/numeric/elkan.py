"""Elkan's bounds (2003): which rows may have another nearest centroid since they were looked at.

A centroid that has moved by s is at most s nearer to a row, or farther from it, than before. So a
row's own centroid is still the nearest where its distance, plus what it has moved, is less than
that of every other, less what this one has moved. Late in k-means that holds for most rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usl.numeric.arrays import Float32, Rows, row_minima

ROUNDING = 1e-5  # of squared distances, relative to the largest of a row or a centroid
MOST_BYTES = 64 << 20  # of the bounds; above, every row is compared with every centroid
FEWER = 0.8  # of the rows of a block, up to which it is worth while to copy those in doubt


def bytes_of(n: int, m: int) -> int:
    """Bytes of the bounds of n rows and m centroids; 0 where there are none, as they take more."""
    size = 4 * n * (m + 1)
    return size if size <= MOST_BYTES else 0


class Bounds:
    """Of n rows and m centroids: ``lower`` float32 [n, m], how far at least each other centroid is.

    And ``upper`` [n], how far at most a row's own. Rounding counts as doubt: a row that is not
    looked at would be assigned to the same centroid.
    """

    def __init__(self, n: int, m: int) -> None:
        self.lower = np.empty((n, m), np.float32)
        self.upper = np.empty(n, np.float32)
        self.valid = False  # whether all rows have been looked at
        self.slack = np.float32(0)
        self.steps = np.zeros(m, np.float32)

    def move(self, before: Float32, after: Float32, longest: float) -> None:
        """The centroids [m, d] have moved; ``longest`` : the largest squared length of a row."""
        steps = np.linalg.norm(after.astype(np.float64) - before, axis=1)
        self.steps = (steps * (1 + 1e-6) + 1e-7).astype(np.float32)
        self.slack = np.float32(ROUNDING * max(longest, float((after**2).sum(axis=1).max())))

    def in_doubt(self, start: int, stop: int, own: NDArray[np.int32]) -> Rows | None:
        """Which rows of a block, int64, have to be looked at; None for all.

        ``own`` : their centroids so far, [b].
        """
        if not self.valid:
            return None
        lower, upper = self.lower[start:stop], self.upper[start:stop]
        lower -= self.steps
        upper += self.steps[own]
        least = row_minima(lower)
        np.maximum(least, 0, out=least)
        rows = np.flatnonzero(least * least <= upper * upper + self.slack)
        return None if len(rows) > FEWER * len(own) else rows

    def look(
        self,
        start: int,
        stop: int,
        rows: Rows | None,
        half: Float32,
        norms: Float32,
        own: NDArray[np.int32],
    ) -> None:
        """Take the distances of some ``rows`` of a block, or of all, as bounds.

        ``half`` : half distances [r, m], overwritten; ``norms`` : squared lengths of the rows, [r];
        ``own`` : their centroids, [r].
        """
        places = np.arange(len(own))
        half *= 2
        half += norms[:, None]
        nearest = np.sqrt(np.maximum(half[places, own], 0) + self.slack)
        half -= self.slack
        np.maximum(half, 0, out=half)
        np.sqrt(half, out=half)
        half[places, own] = np.inf
        part = slice(start, stop) if rows is None else start + rows
        self.upper[part], self.lower[part] = nearest, half
