"""Helpers for tests of every room."""

from __future__ import annotations

import numpy as np


def unit(rows):
    """Rows scaled to unit length, float32."""
    rows = np.asarray(rows, dtype=np.float64)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
