"""Greys of more than 8 bits, as microscopes, scanners and simulations write them, to 8 bits.

The nominal white (65,535; 1 for floating-point images up to 1) is taken where the picture uses
that scale. A picture that does not is scaled by what it holds, in this order: the smallest usual
depth (8, 10, 12, 14 bits) that holds its greys; its own darkest and brightest grey; the order of
its greys. The first that leaves at least half of the levels is taken. It is told for each picture
by itself, because what is kept of a picture is kept under its content alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

DEPTHS = (8, 10, 12, 14, 16)
COUNTED = 1 << 22  # values from which the levels are counted
OWN_RANGE, ORDER = "by their own range", "by the order of their greys"
DARK = 1 / 3  # share of the levels that may lie below black


def eight_bits(values: NDArray[Any]) -> tuple[NDArray[np.uint8], str]:
    """Scale greys (of any shape) to uint8, and say how; "" for the nominal scale.

    NaN is black, infinity white, and so are values beyond the scale.
    """
    grey = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(grey)
    if not finite.all():
        known = grey[finite]
        low, high = (known.min(), known.max()) if known.size else (0.0, 0.0)
        grey = np.nan_to_num(grey, nan=min(low, 0.0), posinf=high, neginf=low)
    low, high = float(grey.min(initial=np.inf)), float(grey.max(initial=-np.inf))
    if not grey.size:
        return np.zeros(grey.shape, np.uint8), ""
    sample = grey.ravel()[:: max(1, grey.size // COUNTED)]
    levels = np.unique(sample)
    white, how = _nominal(values.dtype.kind == "f", high)
    if white > 0 and (levels < 0).mean() <= DARK:
        scaled = _scaled(grey, 0.0, white)
        if _survive(scaled, levels):
            return scaled, how
    if high > low:
        scaled = _scaled(grey, low, high)
        if _survive(scaled, levels):
            return scaled, OWN_RANGE
        steps = np.linspace(0, 255, len(levels))
        return np.rint(np.interp(grey, levels, steps)).astype(np.uint8), ORDER
    return _scaled(grey, 0.0, max(white, 1.0)), how


def _nominal(floating: bool, high: float) -> tuple[float, str]:
    """What is white by the kind of number and the brightest grey, and how to call it."""
    if floating and high <= 1:
        return 1.0, ""
    depth = next((bits for bits in DEPTHS if high <= 2**bits - 1), None)
    if depth is None:
        return high, f"floats up to {high:.4g}" if floating else ""
    if floating:
        return float(2**depth - 1), f"floats of {depth} bits"
    return float(2**depth - 1), "" if depth == 16 else f"{depth} bits in 16 or more"


def _scaled(grey: NDArray[np.float64], black: float, white: float) -> NDArray[np.uint8]:
    scaled = np.clip(grey / 2 - black / 2, 0, None) / (white / 2 - black / 2)  # no overflow
    levels: NDArray[np.uint8] = np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8)
    return levels


def _survive(scaled: NDArray[np.uint8], levels: NDArray[np.float64]) -> bool:
    """Whether at least half of the levels that 8 bits can hold are left."""
    left = np.count_nonzero(np.bincount(scaled.ravel(), minlength=256))
    return bool(2 * left >= min(256, len(levels)))
