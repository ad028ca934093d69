"""Read ``.npy`` and ``.npz`` files without unpickling."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError


def load_npy(path: Path) -> NDArray[Any]:
    """Memory-map an ``.npy`` file; DataError if it is broken, cut short or holds Python objects."""
    try:
        promised, found = _promised_bytes(path), path.stat().st_size
        if found >= promised:
            array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
            return array
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path}: not a readable .npy file of numbers ({error}).") from error
    raise DataError(
        f"{path}: cut short; by its header it should have {promised:,} bytes, but it has "
        f"{found:,}. Copy or write the file again."
    )


def _promised_bytes(path: Path) -> int:
    """Bytes of an ``.npy`` file by its header; 0 if that does not tell, ValueError without one."""
    formats = np.lib.format
    readers = {(1, 0): formats.read_array_header_1_0, (2, 0): formats.read_array_header_2_0}
    with open(path, "rb") as handle:
        version = formats.read_magic(handle)
        if version not in readers:  # 3.0: names of columns, which no table of numbers has
            return 0
        shape, _, dtype = readers[version](handle)
        size = math.prod(shape) * dtype.itemsize
        return 0 if dtype.hasobject else handle.tell() + size


def npz_names(path: Path) -> list[str]:
    """Names of the arrays of an ``.npz`` file; [] if it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile):
        return []


def load_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Load all arrays of an ``.npz`` file; DataError if it is broken or holds Python objects."""
    try:
        with zipfile.ZipFile(path), np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: not a readable .npz file of numbers and texts ({error})."
        ) from error
