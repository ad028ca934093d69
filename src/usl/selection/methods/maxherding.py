"""MaxHerding: greedy maximum of the mean kernel to the nearest pick (Bae et al., 2024).

The goal is G(S) = mean over all rows x of max over s in S of exp(-(|x - s| / h)^2): facility
location with a Gaussian kernel. S starts with the labelled rows. How the maximum is found, exactly
and without the matrix: :mod:`usl.selection.shared.herding`.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from usl.core.parameters import Positive
from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32
from usl.numeric.table import as_table
from usl.selection.contract import Picks
from usl.selection.shared.herding import herd
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
    drawn = draw_pool(candidates, max(pool, budget), seed)
    picks, raised = herd(as_table(features), budget, labeled, drawn, h, progress=progress)
    return Picks(picks, ranked=True, utility=raised, parameters={"h": h, "pool": pool})
