"""Means, variances and principal components (PCA) in blocks of bounded memory.

Every sum runs in float64, over blocks that depend on the shape alone and in a fixed order, with
one BLAS thread each: the bits of the results are the same for any number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError
from usl.numeric.blocks import map_blocks, one_blas_thread, rows_per_block

Float64 = NDArray[np.float64]

STRIP = 256  # columns of the moment matrix that one task fills
RANK_TOLERANCE = 1e-12  # of the largest eigenvalue; float64 sums leave about 1e-15 of noise


def row_blocks(rows: NDArray[Any]) -> Iterator[tuple[int, Float64]]:
    """Yield ``(start, float64 block)`` over ``rows`` [n, d], whatever their dtype."""
    step = rows_per_block(8 * rows.shape[1])
    for start in range(0, len(rows), step):
        yield start, np.asarray(rows[start : start + step], dtype=np.float64)


def check_rows(rows: NDArray[Any], width: int | None = None) -> None:
    """Refuse what is no table of numbers [n, d] with d >= 1, or has another width.

    Raises
    ------
    DataError
        saying what was expected and what came.
    """
    if rows.ndim != 2 or rows.dtype.kind not in "biuf":
        raise DataError(
            f"features must be a table of numbers [n, d], this is {rows.dtype} {list(rows.shape)}."
        )
    if width is not None and rows.shape[1] != width:
        raise DataError(
            f"features have {rows.shape[1]} dimensions, but the preprocessing was fitted on "
            f"{width}: use the encoder it was fitted with, or fit it anew."
        )
    if rows.shape[1] == 0:
        raise DataError("features have no dimension.")


def check_finite(block: Float64, start: int) -> None:
    """Refuse NaN and infinity, naming the first bad row; ``start`` is the block's first row."""
    if not np.isfinite(block.sum()):  # one sum instead of a mask: infinities and NaN survive it
        bad = np.flatnonzero(~np.isfinite(block).all(axis=1))
        if len(bad):
            raise DataError(
                f"features: row {start + bad[0]} holds NaN or infinity. Remove that row, or "
                "embed its image again."
            )


def mean_and_constant(rows: NDArray[Any]) -> tuple[Float64, NDArray[np.bool_]]:
    """Mean of each dimension [d], and which dimensions hold one value only [d].

    A constant dimension's mean is exactly its value, so that centring leaves exactly zero there.
    """
    total = np.zeros(rows.shape[1])
    low, high = np.full_like(total, np.inf), np.full_like(total, -np.inf)
    for start, block in row_blocks(rows):
        check_finite(block, start)
        total += block.sum(axis=0)
        np.minimum(low, block.min(axis=0), out=low)
        np.maximum(high, block.max(axis=0), out=high)
    constant = low == high
    return np.where(constant, low, total / len(rows)), constant


def variance(rows: NDArray[Any], mean: Float64) -> Float64:
    """Population variance of each dimension [d] about ``mean`` (two passes: no cancellation)."""
    total = np.zeros(rows.shape[1])
    for _, block in row_blocks(rows):
        block = block - mean
        np.square(block, out=block)
        total += block.sum(axis=0)
    return total / len(rows)


def second_moments(
    rows: NDArray[Any], offset: Float64 | None, deviation: Float64 | None
) -> Float64:
    """Mean of x x^T [d, d], where x is a row minus ``offset``, divided by ``deviation``."""
    width = rows.shape[1]
    moments = np.zeros((width, width))
    for _, block in row_blocks(rows):
        block = affine(block, offset, deviation)

        def fill_strip(start: int, stop: int, block: Float64 = block) -> None:
            # upper triangle only; strips are disjoint, so tasks never meet
            moments[:stop, start:stop] += block[:, :stop].T @ block[:, start:stop]

        for _ in map_blocks(fill_strip, width, STRIP):
            pass
    moments /= len(rows)
    upper = np.triu(moments, 1)
    moments -= np.tril(moments, -1)
    moments += upper.T
    return moments


def affine(block: Float64, offset: Float64 | None, deviation: Float64 | None) -> Float64:
    """``(block - offset) / deviation``; either may be None. Never changes its input."""
    if offset is not None:
        block = block - offset
    if deviation is not None:
        block = block / deviation
    return block


def principal_directions(moments: Float64, count: int) -> Float64:
    """The ``count`` leading eigenvectors [p, d] of a moment matrix, largest eigenvalue first.

    Directions without any variance are left out (p <= count), but at least one is returned. The
    sign is fixed: the component of largest magnitude (the first of equals) is positive.
    """
    from scipy.linalg import eigh

    width = len(moments)
    with one_blas_thread():
        values, vectors = eigh(moments, subset_by_index=(width - count, width - 1))
    values, vectors = values[::-1], vectors[:, ::-1]
    return with_fixed_sign(np.ascontiguousarray(vectors.T[: max(1, varying(values))]))


def with_fixed_sign(directions: Float64) -> Float64:
    """Directions [p, d] turned so that the component of largest magnitude is positive."""
    peak = np.abs(directions).argmax(axis=1)
    return np.asarray(directions * np.sign(directions[np.arange(len(directions)), peak])[:, None])


def principal_directions_of_few(points: Float64, count: int) -> Float64:
    """As :func:`principal_directions`, from the rows [n, d] themselves where n < d.

    The n x n products have the same non-zero eigenvalues as the d x d moments: for 50 pictures of
    3,072 numbers that is a thousandth of the work.
    """
    from scipy.linalg import eigh

    n = len(points)
    with one_blas_thread():
        values, vectors = eigh(points @ points.T / n, subset_by_index=(n - count, n - 1))
        values, vectors = values[::-1], vectors[:, ::-1]
        directions = vectors[:, : max(1, varying(values))].T @ points
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    if not lengths[0] > 0:  # no variance at all: any direction will do
        return np.eye(1, points.shape[1])
    return with_fixed_sign(directions / lengths)


def varying(values: Float64) -> int:
    """How many of the eigenvalues, largest first, stand above rounding noise."""
    return int(np.count_nonzero(values > RANK_TOLERANCE * max(float(values[0]), 0.0)))
