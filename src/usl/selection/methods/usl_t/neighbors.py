"""Neighbours that a user has already: row numbers, checked against the features."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from usl.core.errors import DataError
from usl.numeric.arrays import Float32, Rows
from usl.numeric.table import Table

BLOCK = 4096  # rows


def checked_neighbors(given: ArrayLike, table: Table, k: int) -> tuple[Rows, Float32]:
    """Check a user's table of neighbours against the features, and add the distances."""
    rows, n = np.asarray(given), len(table)
    if rows.ndim != 2 or len(rows) != n or not np.issubdtype(rows.dtype, np.integer):
        raise DataError(
            f"neighbors: {rows.dtype} of shape {rows.shape} given; row numbers [{n}, k] are "
            "needed, for these very features."
        )
    if rows.shape[1] < k:
        raise DataError(f"neighbors: {rows.shape[1]} columns given, but k is {k}.")
    rows = rows[:, :k].astype(np.int64)
    if rows.min() < 0 or rows.max() >= n:
        raise DataError(f"neighbors: row numbers must lie between 0 and {n - 1}.")
    sample = np.unique(np.linspace(0, n - 1, 100).astype(np.int64))
    exact, _ = table.nearest(min(k + 1, n), table.take(sample))
    hits = [len(np.intersect1d(a, b)) for a, b in zip(exact, rows[sample], strict=True)]
    if np.mean(hits) < 0.3 * k:
        raise DataError(
            f"neighbors: only {np.mean(hits) / k:.0%} of them are among the nearest in these "
            "features; they were computed on other features. Leave them out, or recompute them."
        )

    def lengths(points: Float32, near: Rows) -> Float32:
        gaps = table.take(near.ravel()).reshape(*near.shape, -1) - points[:, None]
        return np.asarray(np.sqrt(np.einsum("nkd,nkd->nk", gaps, gaps)))

    return rows, np.concatenate(list(table.map(lengths, rows, block=BLOCK)))
