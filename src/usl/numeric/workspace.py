"""Memory bound for large tables: in memory while they fit, else in temporary files."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from usl.core.errors import UsageError
from usl.core.files import cache_dir

UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}


class Workspace:
    """Hands out tables, and remembers which ones it made: those may be worked on in place.

    Parameters
    ----------
    memory : most bytes that the work may take, or text like ``"4GB"`` or ``"500 MiB"``; None for
        as much as it takes.
    folder : where tables go that do not fit; a folder of the cache by default. Their files have no
        name there: they are gone when nothing uses them any more, whatever ends the process.
    """

    def __init__(
        self, memory: int | str | None = None, folder: str | os.PathLike[str] | None = None
    ) -> None:
        self.memory = None if memory is None else bytes_of(memory)
        self.folder = cache_dir() / "scratch" if folder is None else Path(folder)
        self.fixed = 0  # bytes of what is in memory all along
        self.reserved = 0  # bytes to keep free for work on the tables
        self.held = 0  # bytes of tables in memory that are in use
        self.spilled = 0  # bytes of all tables that went to files
        self._made: dict[int, weakref.ref[NDArray[Any]]] = {}
        self._unit: set[int] = set()

    def hold(self, size: int) -> None:
        """Count ``size`` bytes that are in memory all along and cannot go to a file."""
        self.fixed += size

    def reserve(self, work: int) -> None:
        """Keep ``work`` bytes free of tables; :class:`UsageError` if there are not as many."""
        least = self.fixed + work
        if self.memory is not None and least > self.memory:
            raise UsageError(
                f"memory: {size_text(self.memory)} given, but at least {size_text(least)} are "
                "needed even with the features in a file. Allow that much. Fewer cores and fewer "
                "picks need less."
            )
        self.reserved = max(self.reserved, work)

    def empty(self, shape: tuple[int, int], dtype: DTypeLike) -> NDArray[Any]:
        """A table to fill, in memory or in a file."""
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        taken = self.fixed + self.reserved + self.held
        if self.memory is None or taken + size <= self.memory:
            table: NDArray[Any] = np.empty(shape, dtype)
            self.held += size
            freed = size
        else:
            table = scratch(shape, dtype, self.folder)
            self.spilled += size
            freed = 0
        name = id(table)

        def forget(_: object) -> None:
            self.held -= freed
            self._unit.discard(name)
            del self._made[name]

        self._made[name] = weakref.ref(table, forget)
        return table

    def owns(self, table: Any) -> bool:
        """Whether this workspace made the table, which then may be overwritten."""
        made = self._made.get(id(table))
        return made is not None and made() is table

    def mark_unit(self, table: NDArray[Any]) -> None:
        """Remember that the rows of a table made here have been scaled to unit length."""
        self._unit.add(id(table))

    def is_unit(self, table: Any) -> bool:
        """Whether :meth:`mark_unit` was told of this table."""
        return self.owns(table) and id(table) in self._unit


def scratch(
    shape: tuple[int, int], dtype: DTypeLike, folder: str | os.PathLike[str]
) -> NDArray[Any]:
    """A table of zeros in a file without a name; the file goes when the table does.

    Raises
    ------
    UsageError
        if the folder cannot be written to or has no room for it: better now than in the middle,
        where a full disk would end the process.
    """
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if size == 0:
        return np.empty(shape, dtype)
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as handle:
            _claim(handle.fileno(), size, folder)
            mapped: NDArray[Any] = np.memmap(handle, dtype=dtype, mode="r+", shape=shape)
    except OSError as error:
        raise UsageError(
            f"a table of {size_text(size)} does not fit into the folder {folder} ({error}). Free "
            "that much, name another folder with --scratch, or allow more memory."
        ) from error
    return np.asarray(mapped)


def _claim(descriptor: int, size: int, folder: str | os.PathLike[str]) -> None:
    """Give a new file its size, on the disk and not only in name; OSError if there is no room."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
        return
    free = shutil.disk_usage(folder).free
    if free < size:
        raise OSError(f"{size_text(free)} are free")
    os.ftruncate(descriptor, size)


def bytes_of(memory: int | str) -> int:
    """Bytes of ``"4GB"``, ``"1.5 GiB"``, ``"800m"`` or a number; :class:`UsageError` for others."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\s*", str(memory).lower())
    if isinstance(memory, bool) or not found or (found[3] and not found[2]):
        raise UsageError(f"memory: {memory!r} given; use a number of bytes, or text like '4GB'.")
    unit = UNITS[found[2]]
    if found[3]:
        unit = 1024 ** list(UNITS).index(found[2])
    return int(float(found[1]) * unit) if "." in found[1] else int(found[1]) * unit


def size_text(size: int) -> str:
    """A number of bytes to read, rounded up so that it suffices: ``1.3 GB``."""
    for letter in "GMk":
        unit = UNITS[letter.lower()]
        if size >= unit:
            return f"{-(-10 * size // unit) / 10:,.1f} {letter}B"
    return f"{size} bytes"
