"""Sums over all pairs of rows of which each is looked at once; their matrix is never held."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.progress import Progress, silent
from usl.numeric.blocks import map_blocks

TILE = (256, 2048)  # rows x rows: 2 MiB, which stays in the cache of a core


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
