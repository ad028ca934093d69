"""Pairs of a row and another near it, as searches gather them, made into a table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usl.numeric.arrays import Float32, Rows

# Rows, counted from the first of a block; what is near them; and half distances.
Pairs = tuple[NDArray[np.uint16], NDArray[np.int32], Float32]


def aligned(chunks: list[Pairs], count: int, k: int) -> tuple[Float32, NDArray[np.int32], Rows]:
    """Pairs as a table of ``count`` rows and at least ``k`` columns.

    Half distances, infinite where there are no more; numbers, in every row in the order they come;
    and how many each row has.
    """
    rows, near, values = (np.concatenate(column) for column in zip(*chunks, strict=True))
    order = np.argsort(rows, kind="stable")
    counts = np.bincount(rows, minlength=count)
    width = max(k, int(counts.max()))
    half = np.full((count, width), np.inf, dtype=np.float32)
    numbers: NDArray[np.int32] = np.zeros((count, width), dtype=np.int32)
    begins = np.arange(count) * width - (np.cumsum(counts) - counts)
    places = np.arange(len(rows)) + np.repeat(begins, counts)
    half.reshape(-1)[places] = values[order]
    numbers.reshape(-1)[places] = near[order]
    return half, numbers, counts


def nearest_pairs(chunks: list[Pairs], k: int) -> Pairs:
    """The k nearest of every row, by row; ties go to the lower number."""
    rows, near, values = (np.concatenate(column) for column in zip(*chunks, strict=True))
    order = np.lexsort((near, values, rows))
    counts = np.bincount(rows)
    rank = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    kept = order[rank < k]
    return rows[kept], near[kept], values[kept]
