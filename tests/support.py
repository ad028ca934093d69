"""Helpers for tests of every room."""

from __future__ import annotations

import numpy as np

QUICK = {  # parameters of strategies that take their time
    "refine": {"rounds": 1, "batches": 1},
    "core_gcn": {"steps": 20},
    "llal": {"steps": 20},
    "mcdal": {"steps": 20},
    "uncertain_gcn": {"steps": 20},
    "cbssal": {"looks": 2},
    "vaal": {"steps": 5},
}


def unit(rows):
    """Rows scaled to unit length, float32."""
    rows = np.asarray(rows, dtype=np.float64)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def clumps(count, width, noise, n=900, seed=0):
    """n points around ``count`` of the axes, float32 [n, width], unit rows."""
    rng = np.random.default_rng(seed)
    points = np.eye(width)[:count][rng.integers(0, count, n)] * 3
    return unit(points + rng.normal(scale=noise, size=(n, width)))
