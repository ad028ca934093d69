"""Read ``.npy`` files without unpickling, memory-mapped; for ``.npz`` see :mod:`usl.core.npz`."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError
from usl.core.npz import read_header


def load_npy(path: Path) -> NDArray[Any]:
    """Memory-map an ``.npy`` file; DataError if it is broken, cut short or holds Python objects."""
    try:
        promised, found = _promised_bytes(path), path.stat().st_size
        if found >= promised:
            array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
            return array
    except Exception as error:  # a broken header can raise nearly anything
        raise DataError(f"{path}: not a readable .npy file of numbers ({error}).") from error
    raise DataError(
        f"{path}: cut short; by its header it should have {promised:,} bytes, but it has "
        f"{found:,}. Copy or write the file again."
    )


def _promised_bytes(path: Path) -> int:
    """Bytes of an ``.npy`` file by its header; ValueError without one."""
    with open(path, "rb") as handle:
        shape, dtype = read_header(handle)
        return handle.tell() + math.prod(shape) * dtype.itemsize


def npz_names(path: Path) -> list[str]:
    """Names of the arrays of an ``.npz`` file; [] if it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except Exception:  # whoever reads it says what is wrong; a broken directory raises anything
        return []
