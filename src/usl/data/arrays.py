"""NumPy's files, read without ever unpickling."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError


def load_npy(path: Path) -> NDArray[Any]:
    """Memory-map an ``.npy`` file; DataError if it is broken or holds Python objects."""
    try:
        array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path}: not a readable .npy file of numbers ({error}).") from error
    return array


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
