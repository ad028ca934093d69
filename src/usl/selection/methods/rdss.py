"""RDSS: kernel herding without replacement for the alpha-MMD (Shao et al., 2024).

With S the p rows picked so far, the next pick is

    argmin over candidates x of  S_p(x) - alpha mu(x),

S_p(x) the mean kernel of x with S, mu(x) its mean kernel with all rows: near many rows, far from
the picks. Labelled rows are in S from the start.

Followed from the paper: alpha = 1 - 1 / sqrt(m), the Gaussian kernel with the median distance as
its width (the released code has width 1 whatever the features), exp(-d^2 / (2 sigma^2)). As in the
code, mu is taken over all rows; that it leaves out x itself there shifts all scores alike. Nothing
is approximated but the median, which is that of the pairs among 1,000 random rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from usl.core.parameters import Between, Positive
from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32, Rows
from usl.numeric.blocks import rows_per_block
from usl.numeric.distances import squared_distances
from usl.numeric.pairwise_sums import Kernel
from usl.numeric.stage_cache import NOTHING, Keep
from usl.numeric.table import Table, as_table
from usl.selection.contract import Picks

BLOCK = 8192  # rows; fixed, because products are rounded block by block
SAMPLE = 1000


def pick(
    features: Float32,
    budget: int,
    *,
    labeled: NDArray[np.int64],
    candidates: NDArray[np.int64],
    seed: int = 0,
    progress: Progress = silent,
    keep: Keep = NOTHING,
    alpha: Annotated[float | None, Between(0, 1)] = None,
    sigma: Annotated[float | None, Positive] = None,
) -> Picks:
    """Pick by herding; the order of the picks is their rank, equal scores go by the lower row.

    The first pick of all is the candidate with the largest mu, for any alpha (with m = 1 the
    formula has alpha = 0 and would leave it open).

    Parameters
    ----------
    alpha : weight of mu, 0 to 1; lower values spread the picks. By default 1 - 1 / sqrt(m), m the
        number of picks and labelled rows.
    sigma : width of the kernel, in distances of unit rows; by default the median distance.
    """
    table = as_table(features)
    if alpha is None:
        alpha = 1 - 1 / np.sqrt(budget + len(labeled))
    if sigma is None:
        sigma = _median_distance(table, seed)
    mu = keep.arrays(
        "kernel", {"sigma": sigma}, lambda: {"mu": _mean_kernel(table, sigma, progress)}
    )["mu"][candidates]
    herded = np.zeros(len(candidates))
    if len(labeled):
        herded = _kernel_with(table, candidates, labeled, sigma)
    free = np.ones(len(candidates), dtype=bool)
    picks: list[int] = []
    while len(picks) < budget:
        size = len(labeled) + len(picks)
        score = herded - alpha * mu if size else -mu
        best = int(np.where(free, score, np.inf).argmin())
        free[best] = False
        picks.append(int(candidates[best]))
        progress(len(picks), budget, "picks")
        if len(picks) < budget:
            kernel = _kernel_with(table, candidates, candidates[best : best + 1], sigma)
            herded += (kernel - herded) / (size + 1)
    return Picks(
        np.array(picks, dtype=np.int64),
        ranked=True,
        parameters={"alpha": float(alpha), "sigma": sigma},
    )


def _median_distance(table: Table, seed: int) -> float:
    """Median distance of the pairs among up to ``SAMPLE`` random rows; 1 where that is 0."""
    size = min(SAMPLE, len(table))
    rows = np.random.default_rng(seed).choice(len(table), size, replace=False)
    points = table.take(np.sort(rows)).astype(np.float64)  # einsum in float64: no threads in it
    products = np.einsum("id,jd->ij", points, points)
    norms = np.diag(products)
    squared = (norms[:, None] + norms - 2 * products)[np.triu_indices(size, 1)]
    median = float(np.sqrt(max(0.0, float(np.median(squared))))) if size > 1 else 0.0
    return median if median > 1e-3 else 1.0


@dataclass(frozen=True)
class Gaussian(Kernel):
    """exp(-|x - y|^2 / (2 sigma^2))."""

    sigma: float

    def left(self, points: Float32) -> Float32:
        """See :meth:`right`."""
        scaled, ones, half = self._scaled(points)
        return np.column_stack([scaled, ones, half])

    def right(self, points: Float32) -> Float32:
        """Rows whose products with those of :meth:`left` are -|x - y|^2 / (2 sigma^2)."""
        scaled, ones, half = self._scaled(points)
        return np.column_stack([scaled, half, ones])

    def tile(self, left: Float32, right: Float32) -> NDArray[Any]:
        """The kernel of every pair, [r, o]."""
        tile: NDArray[Any] = super().tile(left, right)
        np.exp(tile, out=tile)
        return tile

    def _scaled(self, points: Float32) -> tuple[Float32, Float32, Float32]:
        scaled = points / np.float32(self.sigma)
        half = -0.5 * np.einsum("ij,ij->i", scaled, scaled, dtype=np.float64)
        return scaled, np.ones(len(points), dtype=np.float32), half.astype(np.float32)


def _mean_kernel(table: Table, sigma: float, progress: Progress) -> NDArray[np.float64]:
    """mu, the mean kernel of every row with all rows; float64 [n]."""
    return table.kernel_sums(Gaussian(sigma), progress=progress, label="kernel") / len(table)


def _kernel_with(table: Table, rows: Rows, anchors: Rows, sigma: float) -> NDArray[np.float64]:
    """The mean kernel of every one of ``rows`` with ``anchors``; float64 [r]."""
    anchored = table.take(anchors)

    def mean_kernel(points: Float32) -> NDArray[np.float64]:
        squared = squared_distances(points, anchored)
        return np.asarray(np.exp(squared / np.float32(-2 * sigma**2)).mean(1, dtype=np.float64))

    size = min(BLOCK, rows_per_block(8 * len(anchors)))
    return np.concatenate(list(table.map(mean_kernel, rows=rows, block=size)))
