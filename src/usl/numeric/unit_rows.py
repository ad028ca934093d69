"""Check a feature table and scale its rows to unit length, block by block."""

from __future__ import annotations

import os
import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usl.core.errors import DataError, UslWarning
from usl.core.plain_arrays import bad_columns, is_frame
from usl.core.progress import Progress, silent
from usl.core.words import counted, more_such, verb_for
from usl.numeric.arrays import Float32
from usl.numeric.blocks import map_blocks, rows_per_block
from usl.numeric.lazy_table import LazyTable, lazy_or_array, place_of
from usl.numeric.workspace import Workspace

UNIT_TOLERANCE = 2e-3


def check_table(features: ArrayLike | LazyTable | os.PathLike[str]) -> Any:
    """The features as a table with a shape; :class:`DataError` unless [n, d] of real numbers."""
    table = lazy_or_array(features)
    if table.ndim != 2 or 0 in table.shape:
        raise DataError(f"features: shape {table.shape} given; a non-empty [n, d] table is needed.")
    if table.dtype.kind not in "fiub" and is_frame(features):
        raise DataError(
            f"features: no numbers in the columns {bad_columns(features)}. Leave them out, or turn "
            "them into numbers."
        )
    if table.dtype.kind not in "fiub":
        raise DataError(f"features: dtype {table.dtype} given; real numbers are needed.")
    return table


def unit_rows(
    features: ArrayLike | LazyTable,
    workspace: Workspace | None = None,
    *,
    tell: bool = True,
    progress: Progress = silent,
) -> Float32:
    """Check a feature table and scale its rows to unit length: float32 [n, d].

    A row of zeros has no direction: it stays at the origin, and that is said with ``tell``. Raises
    :class:`DataError` for anything that is not a finite, non-empty table of real numbers.

    The result is a table of the workspace; one that the workspace made is scaled in place, once.
    """
    table = check_table(features)
    workspace = workspace or Workspace()
    if workspace.is_unit(table):
        return np.asarray(table)
    in_place = workspace.owns(table) and table.dtype == np.float32
    rows: Float32 = table if in_place else workspace.empty(table.shape, np.float32)

    def one_block(start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        with np.errstate(over="ignore"):
            block = np.array(table[start:stop], dtype=np.float32, order="C")
        bad, zero = scale(block)
        rows[start:stop] = block
        return start + bad, start + zero

    size = rows_per_block(8 * table.shape[1])
    found = list(map_blocks(one_block, len(table), size, progress=progress, label="unit rows"))
    bad, zero = (np.concatenate(parts) for parts in zip(*found, strict=True))
    if len(bad):
        raise DataError(
            f"features: {place_of(table, int(bad[0]))} holds NaN or infinity in float32"
            f"{more_such(n := len(bad), 'row')}. Drop or recompute {verb_for(n, 'it', 'them')}."
        )
    if len(zero) and tell:
        warnings.warn(
            f"features: {counted(n := len(zero), 'row')} {verb_for(n, 'is', 'are')} all zeros "
            f"({verb_for(n, 'it', 'the first')} is {place_of(table, int(zero[0]))}) and "
            f"{verb_for(n, 'has', 'have')} no direction; {verb_for(n, 'it is', 'they are')} kept "
            "at the origin, far from everything.",
            UslWarning,
            stacklevel=3,
        )
    workspace.mark_unit(rows)
    return rows


def known_lengths(
    features: ArrayLike | LazyTable, *, progress: Progress = silent
) -> NDArray[np.float32] | None:
    """The length of every row before it is scaled, float32 [n]; None where all are 1 already.

    Rows of unit length have lost theirs. Rounding to half precision moves a length by less than
    ``UNIT_TOLERANCE``; rows of zeros do not count.
    """
    table = check_table(features)

    def one_block(start: int, stop: int) -> NDArray[np.float64]:
        block = np.asarray(table[start:stop], dtype=np.float64)
        return np.asarray(np.sqrt(np.einsum("ij,ij->i", block, block)))

    size = rows_per_block(8 * table.shape[1])
    blocks = map_blocks(one_block, len(table), size, progress=progress, label="lengths")
    return unless_one(np.concatenate(list(blocks)))


def unless_one(lengths: NDArray[np.floating[Any]]) -> NDArray[np.float32] | None:
    """Lengths as float32 [n]; None where all are 1, so that rows have lost theirs."""
    if (np.abs(lengths[lengths != 0] - 1) <= UNIT_TOLERANCE).all():
        return None
    with np.errstate(over="ignore"):
        return lengths.astype(np.float32)


def scale(block: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Scale rows, float32 [b, d], to unit length in place: rows not finite, and rows of zeros."""
    finite = np.isfinite(block).all(axis=1)
    if not finite.all():
        return np.flatnonzero(~finite), np.empty(0, dtype=np.int64)
    # By the largest entry first: squares of tiny or huge values would leave float32's range.
    largest = np.abs(block).max(axis=1, keepdims=True)
    zero = largest[:, 0] == 0
    block /= np.where(largest == 0, 1, largest)
    norms = np.sqrt(np.einsum("ij,ij->i", block, block, dtype=np.float64))
    block /= np.where(zero, 1, norms).astype(np.float32)[:, None]
    return np.empty(0, dtype=np.int64), np.flatnonzero(zero)
