"""D^2 sampling (Arthur & Vassilvitskii, 2007): the draw that methods share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usl.core.progress import Progress
from usl.numeric.arrays import Rows, Values
from usl.numeric.table import Anchored


def draw_far(
    reach: Anchored,
    picks: list[int],
    candidates: Rows,
    budget: int,
    rng: np.random.Generator,
    progress: Progress,
    power: float = 2.0,
) -> Rows:
    """``picks`` and then candidates, each drawn by its distance to the nearest anchor; [budget].

    The draw is uniform while there is no anchor, and once every candidate coincides with one.
    ``reach`` knows the picks so far, and is told of the new ones.

    Parameters
    ----------
    power : of the distance in the probability.
    """
    picks = list(picks)
    free = ~np.isin(candidates, picks)
    while len(picks) < budget:
        chances = _chances(reach, candidates, free, power)
        position = int(rng.choice(len(candidates), p=chances))
        free[position] = False
        picks.append(int(candidates[position]))
        if len(picks) < budget:
            reach.add(picks[-1])
        progress(len(picks), budget, "picks")
    return np.array(picks, dtype=np.int64)


def _chances(reach: Anchored, candidates: Rows, free: NDArray[np.bool_], power: float) -> Values:
    """The probability of every candidate, float64 [c]; 0 for those that are picked."""
    squared = np.where(free, reach.squared[candidates], 0).astype(np.float64)
    largest = squared.max()
    if largest == 0 or np.isinf(largest):  # all coincide with a pick, or there is no pick yet
        return np.asarray(free / free.sum())
    weight = (squared / largest) ** (power / 2)  # relative, so that no power can overflow
    weight[~free] = 0
    return np.asarray(weight / weight.sum())
