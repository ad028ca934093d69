"""Read ``.npz`` archives of arrays without unpickling; sizes are judged before reading.

The directory of the archive and the header of each array say how large it is; only the arrays that
are asked for are read.
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError
from usl.core.unpacked import ROW, check_unpacked

ENDING = ".npy"
FIX = "If it is sound, save it without compression: numpy.savez."

Header = tuple[tuple[int, ...], np.dtype[Any]]


def read_header(handle: IO[bytes]) -> Header:
    """Shape and dtype of an array, from the beginning of its ``.npy`` file; ValueError if none.

    A header is a text that NumPy parses; what is broken in it can raise nearly anything.
    """
    formats = np.lib.format
    version = formats.read_magic(handle)
    try:
        if version == (1, 0):
            shape, _, dtype = formats.read_array_header_1_0(handle)
        elif version == (2, 0):
            shape, _, dtype = formats.read_array_header_2_0(handle)
        else:  # 3.0: names of columns, which no table of numbers has
            raise ValueError(f"version {version} of the format")
    except Exception as error:
        raise ValueError(f"its header is broken: {error}") from error
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are not read")
    if any(side < 0 for side in shape):
        raise ValueError("its header is broken: a negative size")
    return shape, dtype


def size_in_memory(header: Header) -> int:
    """Bytes that an array takes, with what each of its rows costs where they become items."""
    shape, dtype = header
    return math.prod(shape) * dtype.itemsize + ROW * (shape[0] if shape else 0)


@contextmanager
def open_npz(path: str | os.PathLike[str]) -> Iterator[zipfile.ZipFile]:
    """Open an archive; what is wrong with it is a :class:`DataError`, a missing file an OSError."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (DataError, FileNotFoundError):
        raise
    except Exception as error:  # a broken archive raises nearly anything
        raise DataError(
            f"{path}: not a readable .npz file of numbers and texts ({error}). Copy or write the "
            "file again."
        ) from error


def npz_headers(path: str | os.PathLike[str]) -> dict[str, Header]:
    """Shape and dtype of each array of an archive; DataError if it is broken."""
    found = {}
    with open_npz(path) as archive:
        for entry in archive.infolist():
            with archive.open(entry) as handle:
                found[entry.filename.removesuffix(ENDING)] = read_header(handle)
    return found


def read_npz(
    path: str | os.PathLike[str], names: Collection[str] | None = None
) -> dict[str, NDArray[Any]]:
    """The arrays of an archive: those of ``names`` that it has, or all.

    Raises
    ------
    DataError
        naming the file: broken, of Python objects, or far larger unpacked than on the disk.
    FileNotFoundError
        there is none.
    """
    packed = Path(path).stat().st_size
    with open_npz(path) as archive:
        wanted = {
            name: entry
            for entry in archive.infolist()
            if (name := entry.filename.removesuffix(ENDING)) in (names or (name,))
        }
        headers = {}
        for name, entry in wanted.items():
            with archive.open(entry) as handle:
                headers[name] = read_header(handle)
        total = sum(map(size_in_memory, headers.values()))
        check_unpacked(path, packed, total, FIX)
        return {name: _array(archive, wanted[name], headers[name]) for name in wanted}


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, header: Header) -> NDArray[Any]:
    with archive.open(entry) as handle:
        shape, dtype = header
        if math.prod(shape) * dtype.itemsize > entry.file_size:
            raise ValueError(f"{entry.filename} is shorter than its header says")
        array: NDArray[Any] = np.lib.format.read_array(handle, allow_pickle=False)
        if handle.read(1):  # the end also has the checksum compared
            raise ValueError(f"{entry.filename} is longer than its header says")
    return array
