"""Read a pickled dict of byte arrays without letting the pickle run anything.

A pickle may name any function to be called while it is read. Here it gets stand-ins for the four
names that an array of bytes needs, and an error for every other name. NumPy's own unpickling is
not called either: only flat uint8 data are taken over.
"""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError


class _DType:
    """Stands for ``numpy.dtype``; remembers only the type code."""

    def __init__(self, code: Any = "", *_: Any) -> None:
        self.code = code

    def __setstate__(self, state: Any) -> None:
        """Byte order and the like do not matter for bytes."""


class _Array:
    """Stands for ``numpy.ndarray`` while its pickle is read."""

    value: NDArray[np.uint8] | None = None

    def __setstate__(self, state: Any) -> None:
        """Take ``(version, shape, dtype, is_fortran, raw)``, if it is what it says."""
        _, shape, dtype, fortran, raw = state
        if not isinstance(dtype, _DType) or dtype.code not in ("u1", "|u1", b"u1"):
            raise pickle.UnpicklingError("an array of other values than uint8")
        content = raw.encode("latin1") if isinstance(raw, str) else bytes(raw)
        if math.prod(shape) != len(content):
            raise pickle.UnpicklingError("an array of another size than its shape")
        flat = np.frombuffer(content, dtype=np.uint8)
        self.value = flat.reshape(shape, order="F" if fortran else "C")


def _new_array(*_: Any) -> _Array:
    return _Array()


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"text encoded as {encoding!r}")
    return text.encode("latin1")


ALLOWED = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _DType,
    ("numpy.core.multiarray", "_reconstruct"): _new_array,
    ("numpy._core.multiarray", "_reconstruct"): _new_array,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Hand out a stand-in, or refuse."""
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


def load_pickle(path: Path) -> dict[str, Any]:
    """Read a pickled dict; its arrays must be uint8.

    Raises
    ------
    DataError
        if the file is cut short, is no dict, or asks for anything that data do not need.
    """
    try:
        with open(path, "rb") as handle:
            content = _Unpickler(handle, encoding="latin1").load()
    except Exception as error:  # a hostile or broken pickle raises nearly anything
        raise DataError(
            f"{path}: not read, because it is not plain data ({error}). Fetch the file again from "
            "its origin."
        ) from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a pickled dict, got {type(content).__name__}.")
    return {
        key
        if isinstance(key, str)
        else key.decode("latin1")
        if isinstance(key, bytes)
        else str(key): (value.value if isinstance(value, _Array) else value)
        for key, value in content.items()
    }
