"""MaxHerding: greedy maximum of the mean kernel to the nearest pick (Bae et al., 2024).

The goal is G(S) = mean over all rows x of max over s in S of exp(-(|x - s| / h)^2): facility
location with a Gaussian kernel. S starts with the labelled rows.

The kernel matrix is never held. The gain of every candidate is computed once, in tiles; a new pick
changes it only through the rows that are nearer to that pick than to all before, and for these
alone it is renewed. On average they are n / 1, n / 2, n / 3, ...: the gains stay exact, and 100
picks cost about six passes over the matrix instead of 100. Lazy updates of stale gains save little
here, because the first picks shrink all gains at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from usl.core.parameters import Positive
from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32, Rows, Values
from usl.numeric.pairwise_sums import Kernel
from usl.numeric.table import Table, as_table
from usl.selection.contract import Picks
from usl.selection.shared.sample import draw_pool

NESTED = True


def pick(
    features: Float32,
    budget: int,
    *,
    labeled: NDArray[np.int64],
    candidates: NDArray[np.int64],
    seed: int = 0,
    progress: Progress = silent,
    h: Annotated[float, Positive] = 1.0,
    pool: Annotated[int, Positive] = 35_000,
) -> Picks:
    """Pick the candidate that most raises the goal, again and again; this order is the rank.

    An approximation, above ``pool`` candidates only: picks come from a random subset of that
    many, as in the authors' experiments. The goal is always averaged over all rows.

    Parameters
    ----------
    h : length scale of the kernel, in distances of unit rows (authors: 1).
    pool : most candidates considered, drawn by the seed (authors: 35,000); never below the budget.
    """
    candidates = draw_pool(candidates, max(pool, budget), seed)
    table = as_table(features)
    reach = table.farthest(labeled)
    kernel = _kernel(reach.squared, h)  # of each row with the nearest of S; 0 where S is empty
    gains = _gains(table, candidates, None, kernel, 1.0, h, progress)
    picks: list[int] = []
    raised: list[float] = []
    while True:
        best = int(gains.argmax())
        picks.append(int(candidates[best]))
        raised.append(max(0.0, float(gains[best])) / len(features))
        progress(len(picks), budget, "picks")
        if len(picks) == budget:
            break
        gains[best] = -np.inf
        before = reach.squared
        reach.add(picks[-1])
        rows = np.flatnonzero(reach.squared < before)
        old, new = kernel[rows], _kernel(reach.squared[rows], h)
        kernel[rows] = new
        if len(rows) == len(features):  # after a cold start: subtracting would only round
            gains = _gains(table, candidates, rows, new, 1.0, h)
            gains[best] = -np.inf
        else:  # what a candidate gained on a row up to the new pick's kernel, it gains no more
            gains -= _gains(table, candidates, rows, old, new, h)
    return Picks(
        np.array(picks, dtype=np.int64),
        ranked=True,
        utility=np.array(raised),
        parameters={"h": h, "pool": pool},
    )


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
    progress: Progress = silent,
) -> Values:
    """Sum over ``rows`` of clip(kernel(row, c), low, high) - low for each candidate c; float64 [c].

    ``low`` and ``high`` are per row. Rounding of distances near 0 is clipped away with the rest.
    """
    return table.kernel_sums(
        Gaussian(1 / h**2),
        candidates,
        rows,
        low=low.astype(np.float32),
        span=(high - low).astype(np.float32),
        progress=progress,
        label="kernel",
    )
