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
