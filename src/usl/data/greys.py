"""Greys of more than 8 bits, as microscopes, scanners and simulations write them, to 8 bits.

The nominal white (65,535; 1 for floating-point images up to 1) is taken where the picture uses
that scale. A picture that does not is scaled by what it holds, in this order: the smallest usual
depth (8, 10, 12, 14 bits) that holds its greys; its own darkest and brightest grey; the order of
its greys. The first that leaves at least half of the levels is taken. It is told for each picture
by itself, because what is kept of a picture is kept under its content alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

DEPTHS = (8, 10, 12, 14, 16)
COUNTED = 1 << 22  # values from which the levels are counted
OWN_RANGE, ORDER = "by their own range", "by the order of their greys"
BLOCK = 1 << 20  # values scaled at a time
WINDOW = (0.5, 99.5)  # percentiles
DARK = 1 / 3  # share of the levels that may lie below black


def eight_bits(values: NDArray[Any]) -> tuple[NDArray[np.uint8], str]:
    """Scale greys (of any shape) to uint8, and say how; "" for the nominal scale.

    NaN is black, infinity white, and so are values beyond the scale.
    """
    greys = _Greys(values)
    if not len(greys.flat):
        return np.zeros(values.shape, np.uint8), ""
    low, high, levels = greys.low, greys.high, greys.levels()
    white, how = _nominal(values.dtype.kind == "f", high)
    if white > 0 and (levels < 0).mean() <= DARK:
        scaled = greys.mapped(partial(_scaled, black=0.0, white=white))
        if _survive(scaled, levels):
            return scaled.reshape(values.shape), how
    if high > low:
        scaled = greys.mapped(partial(_scaled, black=low, white=high))
        if _survive(scaled, levels):
            return scaled.reshape(values.shape), OWN_RANGE
        steps = np.linspace(0, 255, len(levels))
        scaled = greys.mapped(lambda grey: np.rint(np.interp(grey, levels, steps)))
        return scaled.reshape(values.shape), ORDER
    scaled = greys.mapped(partial(_scaled, black=0.0, white=max(white, 1.0)))
    return scaled.reshape(values.shape), how


def windowed(values: NDArray[Any]) -> tuple[NDArray[np.uint8], str]:
    """Spread the greys between the 0.5th and the 99.5th percentile over uint8, to be looked at.

    As viewers of microscope and medical images do; and the window, as ``102 to 1,480``. Where so
    many pixels are alike that there is nothing between the two, all greys from the darkest to the
    brightest are shown; a picture of one grey is scaled as by :func:`eight_bits`, its window "".
    """
    greys = _Greys(values)
    if not len(greys.flat) or greys.low == greys.high:
        return eight_bits(values)[0], ""
    low, high = (float(found) for found in np.percentile(greys.sample(), WINDOW))
    if not low < high:
        low, high = greys.low, greys.high
    scaled = greys.mapped(partial(_scaled, black=low, white=high))
    number = ",.0f" if values.dtype.kind in "iu" else ".4g"
    return scaled.reshape(values.shape), f"{low:{number}} to {high:{number}}"


class _Greys:
    """Greys as float64, a block at a time: all at once take 40 bytes a pixel.

    Attributes
    ----------
    low, high : the darkest and the brightest, NaN and infinities put in their places.
    """

    def __init__(self, values: NDArray[Any]) -> None:
        self.flat = np.asarray(values).reshape(-1)
        self._finite: tuple[float, float] | None = None
        self.low, self.high = self._range()
        if not all(np.isfinite(grey).all() for grey in self._blocks()):
            known = [grey[np.isfinite(grey)] for grey in self._blocks()]
            least = [part.min() for part in known if part.size]
            most = [part.max() for part in known if part.size]
            self._finite = (min(least), max(most)) if least else (0.0, 0.0)
            self.low, self.high = self._range()

    def mapped(self, function: Callable[[NDArray[np.float64]], Any]) -> NDArray[np.uint8]:
        """A function of every grey, as uint8 [n]."""
        found = np.empty(len(self.flat), np.uint8)
        for number, grey in enumerate(self._blocks()):
            found[number * BLOCK : number * BLOCK + len(grey)] = function(grey)
        return found

    def levels(self) -> NDArray[np.float64]:
        """The different greys, of a large picture those of a sample."""
        levels: NDArray[np.float64] = np.unique(self.sample())
        return levels

    def sample(self) -> NDArray[np.float64]:
        """All greys, or of a large picture evenly spaced ones."""
        return self._known(self.flat[:: max(1, len(self.flat) // COUNTED)])

    def _blocks(self) -> Iterator[NDArray[np.float64]]:
        for start in range(0, len(self.flat), BLOCK):
            yield self._known(self.flat[start : start + BLOCK])

    def _known(self, part: NDArray[Any]) -> NDArray[np.float64]:
        grey = part.astype(np.float64)
        if self._finite is not None:
            low, high = self._finite
            np.nan_to_num(grey, copy=False, nan=min(low, 0.0), posinf=high, neginf=low)
        return grey

    def _range(self) -> tuple[float, float]:
        low, high = np.inf, -np.inf
        for grey in self._blocks():
            low, high = min(low, grey.min()), max(high, grey.max())
        return float(low), float(high)


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


def _scaled(grey: NDArray[np.float64], black: float, white: float) -> NDArray[np.float64]:
    scaled = np.clip(grey / 2 - black / 2, 0, None) / (white / 2 - black / 2)  # no overflow
    levels: NDArray[np.float64] = np.rint(np.clip(scaled, 0, 1) * 255)
    return levels


def _survive(scaled: NDArray[np.uint8], levels: NDArray[np.float64]) -> bool:
    """Whether at least half of the levels that 8 bits can hold are left."""
    seen = np.zeros(256, bool)
    seen[scaled] = True
    left = np.count_nonzero(seen)
    return bool(2 * left >= min(256, len(levels)))
