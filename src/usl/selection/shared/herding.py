"""Greedy maximum of the weighted mean kernel to the nearest pick: MaxHerding and UHerding.

The goal is G(S) = mean over all rows x of w(x) max over s in S of exp(-(|x - s| / h)^2): facility
location with a Gaussian kernel. S starts with the labelled rows.

The kernel matrix is never held. The gain of every candidate is computed once, in tiles; a new pick
changes it only through the rows that are nearer to that pick than to all before, and for these
alone it is renewed. On average they are n / 1, n / 2, n / 3, ...: the gains stay exact, and 100
picks cost about six passes over the matrix instead of 100. Lazy updates of stale gains save little
here, because the first picks shrink all gains at once.

Distances are those of float32: a kernel is off by about 2e-7 / h^2 of itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32, Rows, Values
from usl.numeric.pairwise_sums import Kernel
from usl.numeric.table import Table


def herd(
    table: Table,
    budget: int,
    labeled: Rows,
    candidates: Rows,
    h: float,
    *,
    weights: Float32 | None = None,
    worth: Callable[[list[int]], Values] | None = None,
    progress: Progress = silent,
) -> tuple[Rows, Values]:
    """The candidates that most raise the goal, one after another, and by how much: [budget].

    Parameters
    ----------
    h : length scale of the kernel, in distances of unit rows.
    weights : w(x) of every row, float32 [n], not negative; 1 by default.
    worth : by what a gain is multiplied before gains are compared, above 0, for each candidate [c];
        asked before every pick, with the places among ``candidates`` of those picked so far.
    """

    def gains_on(rows: Rows | None, low: Values, high: Values | float) -> Values:
        own = weights if weights is None or rows is None else weights[rows]
        told = progress if rows is None else silent
        return _gains(table, candidates, rows, low, high, h, own, told)

    reach = table.farthest(labeled)
    kernel = _kernel(reach.squared, h)  # of each row with the nearest of S; 0 where S is empty
    gains = gains_on(None, kernel, 1.0)
    picks: list[int] = []
    raised: list[float] = []
    places: list[int] = []
    while True:
        best = int((gains if worth is None else gains * worth(places)).argmax())
        places.append(best)
        picks.append(int(candidates[best]))
        raised.append(max(0.0, float(gains[best])) / len(table))
        progress(len(picks), budget, "picks")
        if len(picks) == budget:
            break
        gains[best] = -np.inf
        before = reach.squared
        reach.add(picks[-1])
        rows = np.flatnonzero(reach.squared < before)
        old, new = kernel[rows], _kernel(reach.squared[rows], h)
        kernel[rows] = new
        if len(rows) == len(table):  # after a cold start: subtracting would only round
            gains = gains_on(rows, new, 1.0)
            gains[best] = -np.inf
        else:  # what a candidate gained on a row up to the new pick's kernel, it gains no more
            gains -= gains_on(rows, old, new)
    return np.array(picks, dtype=np.int64), np.array(raised)


def _kernel(squared: Float32, h: float) -> Values:
    """exp(-(d / h)^2) of squared distances, infinite ones included; float64 [n]."""
    return np.asarray(np.exp(-squared.astype(np.float64) / h**2))


@dataclass(frozen=True)
class Gaussian(Kernel):
    """exp(-scale |x - y|^2)."""

    scale: float

    def left(self, points: Float32) -> Float32:
        """See :meth:`right`."""
        return self._widened(points, last=False)

    def right(self, points: Float32) -> Float32:
        """Rows whose products with those of :meth:`left` are -scale |x - y|^2."""
        return self._widened(points, last=True)

    def tile(self, left: Float32, right: Float32) -> NDArray[Any]:
        """The kernel of every pair, [r, o]."""
        tile: NDArray[Any] = super().tile(left, right)
        np.exp(tile, out=tile)
        return tile

    def _widened(self, points: Float32, *, last: bool) -> Float32:
        squared = self.scale * np.einsum("ij,ij->i", points, points, dtype=np.float64)
        ones = np.ones(len(points))
        extra = np.stack([ones, -squared] if last else [-squared, ones], axis=1).astype(np.float32)
        return np.concatenate([points * np.float32(np.sqrt(2 * self.scale)), extra], axis=1)


def _gains(
    table: Table,
    candidates: Rows,
    rows: Rows | None,
    low: Values,
    high: Values | float,
    h: float,
    weights: Float32 | None,
    progress: Progress,
) -> Values:
    """Sum over ``rows`` of w (clip(kernel(row, c), low, high) - low) for each candidate c; [c].

    ``low``, ``high`` and ``weights`` are per row. Rounding of distances near 0 is clipped away with
    the rest.
    """
    return table.kernel_sums(
        Gaussian(1 / h**2),
        candidates,
        rows,
        low=low.astype(np.float32),
        span=(high - low).astype(np.float32),
        weights=weights,
        progress=progress,
        label="kernel",
    )
