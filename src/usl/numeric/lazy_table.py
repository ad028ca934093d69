"""Lazy tables: several files read as one table, or some rows of one.

A :class:`LazyTable` stands in for an array [n, d] wherever rows are worked through in blocks: it
has its shape and dtype, and ``table[start:stop]`` or ``table[rows]`` is an array. ``np.asarray``
of one reads all of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.plain_arrays import as_numpy
from usl.numeric.arrays import Rows
from usl.numeric.blocks import map_blocks, rows_per_block

Array = NDArray[Any]


class LazyTable(ABC):
    """Numbers [n, d] that lie somewhere else; ``shape`` (n, d) and ``dtype`` as of an array."""

    ndim = 2

    def __init__(self, shape: tuple[int, int], dtype: np.dtype[Any]) -> None:
        """A table of this shape and type."""
        self.shape = shape
        self.dtype = dtype

    @property
    def size(self) -> int:
        """Number of values."""
        return self.shape[0] * self.shape[1]

    def __len__(self) -> int:
        """Number of rows."""
        return self.shape[0]

    @abstractmethod
    def block(self, start: int, stop: int) -> Array:
        """Rows ``start`` to ``stop``, [stop - start, d]."""

    @abstractmethod
    def gather(self, rows: Rows) -> Array:
        """The rows (0 <= row < n) in that order, [r, d]."""

    def where(self, row: int) -> str:
        """The place of a row, as an error message names it."""
        return f"row {row}"

    def __getitem__(self, key: Any) -> Array:
        """Rows by number, slice, numbers or mask, as of an array; columns cannot be chosen."""
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            if step == 1:
                return self.block(start, max(start, stop))
            return self.gather(np.arange(start, stop, step))
        rows = np.asarray(key)
        if isinstance(key, tuple) or rows.ndim > 1 or (rows.size and rows.dtype.kind not in "biu"):
            raise IndexError("a lazy table is indexed by rows alone; use numpy.asarray of it")
        if rows.dtype == bool:
            if rows.shape != (len(self),):
                raise IndexError(f"a mask of shape {rows.shape} for {len(self)} rows")
            return self.gather(np.flatnonzero(rows))
        rows = rows.astype(np.int64)
        if rows.size and not -len(self) <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"a row outside the {len(self)} there are")
        rows = np.where(rows < 0, rows + len(self), rows)
        found = self.gather(np.atleast_1d(rows))
        return found if rows.ndim else found[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """All of it, in memory."""
        if copy is False:
            raise ValueError("a lazy table cannot become an array without a copy")
        return self.block(0, len(self)).astype(self.dtype if dtype is None else dtype, copy=False)


class Joined(LazyTable):
    """Several tables of one width, one after the other.

    Parameters
    ----------
    parts : arrays [n_i, d], memory maps as a rule.
    names : what each is called in messages.
    dtype : of the rows; what holds the values of all parts by default.
    """

    def __init__(
        self, parts: Sequence[Array], names: Sequence[str], dtype: np.dtype[Any] | None = None
    ) -> None:
        """At least one part; the widths agree."""
        self.parts, self.names = list(parts), list(names)
        self.ends = np.cumsum([len(part) for part in parts])
        shape = (int(self.ends[-1]), int(parts[0].shape[1]))
        super().__init__(shape, np.result_type(*parts) if dtype is None else np.dtype(dtype))

    def block(self, start: int, stop: int) -> Array:
        """Rows ``start`` to ``stop``, [stop - start, d]."""
        found = np.empty((stop - start, self.shape[1]), dtype=self.dtype)
        first = int(np.searchsorted(self.ends, start, side="right"))
        done = start
        while done < stop:
            begin = int(self.ends[first]) - len(self.parts[first])
            end = min(stop, int(self.ends[first]))
            found[done - start : end - start] = self.parts[first][done - begin : end - begin]
            done, first = end, first + 1
        return found

    def gather(self, rows: Rows) -> Array:
        """The rows (0 <= row < n) in that order, [r, d]."""
        found = np.empty((len(rows), self.shape[1]), dtype=self.dtype)
        of = np.searchsorted(self.ends, rows, side="right")
        for part in np.unique(of).tolist():
            here = np.flatnonzero(of == part)
            begin = int(self.ends[part]) - len(self.parts[part])
            found[here] = self.parts[part][rows[here] - begin]
        return found

    def where(self, row: int) -> str:
        """The file, and the row in it, from 0."""
        part = int(np.searchsorted(self.ends, row, side="right"))
        return f"{self.names[part]}, row {row - int(self.ends[part]) + len(self.parts[part])}"


class Chosen(LazyTable):
    """Some rows of a table, in the order given; none is read before it is asked for."""

    def __init__(self, table: Array | LazyTable, rows: Rows) -> None:
        """``rows`` int64 [r] of ``table`` [n, d]."""
        super().__init__((len(rows), int(table.shape[1])), table.dtype)
        self.table, self.rows = table, rows

    def block(self, start: int, stop: int) -> Array:
        """Rows ``start`` to ``stop``, [stop - start, d]."""
        return self.gather(np.arange(start, stop))

    def gather(self, rows: Rows) -> Array:
        """The rows (0 <= row < r) in that order, as [len(rows), d]."""
        wanted = self.rows[rows]
        if (
            len(wanted)
            and wanted[-1] - wanted[0] == len(wanted) - 1
            and (np.diff(wanted) == 1).all()
        ):
            return np.asarray(self.table[int(wanted[0]) : int(wanted[-1]) + 1])
        return np.asarray(self.table[wanted])

    def where(self, row: int) -> str:
        """The place of a row in the table that it is taken from."""
        return place_of(self.table, int(self.rows[row]))


def lazy_or_array(features: Any) -> Any:
    """A lazy table as it is, anything else as an array."""
    return features if isinstance(features, LazyTable) else as_numpy(features)


def taken(table: Any, rows: Rows) -> Any:
    """``table[rows]``, without a copy where all rows are taken or the table is not in memory."""
    if len(rows) == len(table) and np.array_equal(rows, np.arange(len(rows))):
        return table
    if isinstance(table, Chosen):
        return Chosen(table.table, table.rows[rows])
    return Chosen(table, rows) if isinstance(table, LazyTable) or is_mapped(table) else table[rows]


def of_rows(function: Callable[..., Any], *tables: Any, rows: Rows | None = None) -> Any:
    """``function`` of the ``rows`` int64 [r] of tables [n, d], or of all, block by block.

    It takes some rows of each table as arrays, and returns an array with an entry for each row, or
    a tuple of such arrays. What comes back is the same of all r rows.
    """

    def block(start: int, stop: int) -> Any:
        own = slice(start, stop) if rows is None else rows[start:stop]
        return function(*(table[own] for table in tables))

    count = len(tables[0]) if rows is None else len(rows)
    size = rows_per_block(32 * tables[0].shape[1])
    parts = list(map_blocks(block, count, size)) or [block(0, 0)]
    if isinstance(parts[0], tuple):
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))
    return np.concatenate(parts)


def is_mapped(array: Any) -> bool:
    """Whether an array lies in a file, and not in memory."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


def bytes_in_memory(table: Any) -> int:
    """Bytes that a table takes in memory: none where it lies in files."""
    return 0 if isinstance(table, LazyTable) or is_mapped(table) else int(table.nbytes)


def place_of(table: Any, row: int) -> str:
    """How an error message names a row of a table: with its file where that is known."""
    return table.where(row) if isinstance(table, LazyTable) else f"row {row}"
