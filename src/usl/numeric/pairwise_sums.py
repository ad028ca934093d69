"""Sums of a kernel over pairs of rows, in tiles: its matrix is never held."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32, Rows, Values
from usl.numeric.blocks import map_blocks

TILE = (256, 2048)  # rows x rows: 2 MiB, which stays in the cache of a core


class Kernel:
    """A similarity of two rows, computed for tiles of rows and others; this one is their product.

    Others change what is made of the rows before, and of the products.
    """

    def left(self, points: Float32) -> Float32:
        """What a tile takes of the rows [r, d]: one row for each."""
        return points

    def right(self, points: Float32) -> Float32:
        """What a tile takes of the others [o, d]: one row for each."""
        return points

    def tile(self, left: Float32, right: Float32) -> NDArray[Any]:
        """The kernel of every pair, [r, o], in memory of its own."""
        return np.asarray(left @ right.T)


def kernel_sums(
    features: Float32,
    kernel: Kernel,
    rows: Rows | None = None,
    others: Rows | None = None,
    *,
    low: Float32 | None = None,
    span: Float32 | None = None,
    weights: Float32 | None = None,
    progress: Progress = silent,
    label: str = "",
) -> Values:
    """For each of ``rows`` the sum over ``others`` of a kernel of both, float64 [r].

    Parameters
    ----------
    features : float32 [n, d].
    rows, others : int64 [r] and [o]; None for all. The kernel is symmetric: of all rows with all,
        half of the pairs are computed.
    low, span : float32 [o]; with them the summand is clip(kernel - low, 0, span), for each of the
        others. Without ``span`` there is no upper bound, without ``low`` no bound at all.
    weights : float32 [o], how often each of the others counts; once by default.
    """
    right = kernel.right(features if others is None else features[others])
    if rows is None and others is None and low is None and weights is None:
        left = kernel.left(features)
        return sums_over_pairs(
            lambda some, rest: kernel.tile(left[some], right[rest]),
            len(features),
            np.float64,
            progress=progress,
            label=label,
        )

    def block(start: int, stop: int) -> Values:
        some = slice(start, stop)
        left = kernel.left(features[some] if rows is None else features[rows[some]])
        total = np.zeros(stop - start)
        for first in range(0, len(right), TILE[1]):
            part = slice(first, first + TILE[1])
            tile = kernel.tile(left, right[part])
            if low is not None:
                tile -= low[part]
                np.maximum(tile, 0, out=tile)
            if span is not None:
                np.minimum(tile, span[part], out=tile)
            total += tile.sum(axis=1) if weights is None else tile @ weights[part]
        return total

    count = len(features) if rows is None else len(rows)
    parts = map_blocks(block, count, TILE[0], progress=progress, label=label)
    return np.concatenate([np.zeros(0), *parts])


def sums_over_pairs(
    tile: Callable[[slice, slice], NDArray[Any]],
    n: int,
    dtype: type[np.generic],
    *,
    progress: Progress = silent,
    label: str = "",
) -> NDArray[Any]:
    """The row sums of a symmetric matrix [n, n], in ``dtype``; half of it is computed.

    Parameters
    ----------
    tile : gives the part of the matrix in some rows and columns.
    """
    height, width = TILE

    def block(start: int, stop: int) -> tuple[NDArray[Any], NDArray[Any]]:
        own, others = np.zeros(stop - start, dtype), np.zeros(n - stop, dtype)
        for first, last in pairwise([start, *range(stop, n, width), n]):
            part = tile(slice(start, stop), slice(first, last))
            own += part.sum(axis=1)
            if first >= stop:
                others[first - stop : last - stop] = part.sum(axis=0)
        return own, others

    total, start = np.zeros(n, dtype), 0
    for own, others in map_blocks(block, n, height, progress=progress, label=label):
        stop = start + len(own)
        total[start:stop] += own
        total[stop:] += others
        start = stop
    return total
