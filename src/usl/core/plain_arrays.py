"""Arrays of other libraries as NumPy's: tensors of any kind and device, tables of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def is_tensor(value: Any) -> bool:
    """Whether a value is a tensor or an array: of torch, JAX, SciPy's sparse ones, and the like."""
    ways = ("numpy", "__array__", "toarray")
    return any(callable(getattr(value, way, None)) for way in ways) and hasattr(value, "shape")


def is_frame(value: Any) -> bool:
    """Whether a value is a table of pandas or polars."""
    return hasattr(value, "columns") and hasattr(value, "dtypes") and hasattr(value, "to_numpy")


def as_numpy(value: Any) -> NDArray[Any]:
    """``np.asanyarray`` that also takes tensors with gradients, on a GPU or in bfloat16, and tables
    of pandas' nullable numbers; what cannot be numbers comes back as an array of objects.
    """
    if isinstance(value, np.ndarray):
        return value
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if str(value.dtype).endswith("bfloat16") or getattr(value, "is_sparse", False):
            value = value.to_dense().float()
        value = value.resolve_neg().resolve_conj().numpy()
    array: NDArray[Any] = np.asanyarray(value.toarray() if hasattr(value, "toarray") else value)
    if array.dtype.kind == "O" and is_frame(value):
        try:
            return np.asarray(array, dtype=np.float64)
        except (TypeError, ValueError):  # text, or a missing value that is no NaN
            return array
    return array


def bad_columns(frame: Any) -> str:
    """The columns of a table that hold no numbers, with their kinds: ``'city' (object)``; or ""."""
    kinds = zip(list(frame.columns), list(frame.dtypes), strict=True)
    bad = [
        f"{name!r} ({kind})"
        for place, (name, kind) in enumerate(kinds)
        if not _is_number(_column(frame, place))
    ]
    return ", ".join(bad[:5]) + (f" and {len(bad) - 5:,} more" if len(bad) > 5 else "")


def _column(frame: Any, place: int) -> Any:
    """A column by its place: names may occur twice."""
    by_place = getattr(frame, "iloc", None)
    return frame[list(frame.columns)[place]] if by_place is None else by_place[:, place]


def _is_number(column: Any) -> bool:
    array = np.asarray(column)
    if array.dtype.kind in "fiub":
        return True
    if array.dtype.kind != "O":
        return False
    try:
        np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError):
        return False
    return True
