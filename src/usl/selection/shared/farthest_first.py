"""Farthest-first traversal (Gonzalez, 1985), the greedy k-centre: the loop that methods share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usl.core.progress import Progress
from usl.numeric.arrays import Rows
from usl.numeric.table import Anchored


def farthest_first(
    reach: Anchored, picks: list[int], candidates: Rows, budget: int, progress: Progress
) -> NDArray[np.int64]:
    """``picks`` and then the candidate farthest from all anchors, again and again; int64 [budget].

    Ties go to the lower row. ``reach`` knows the picks so far, and is told of the new ones.
    """
    picks = list(picks)
    free = np.zeros(len(reach.squared), dtype=bool)
    free[candidates] = True
    free[picks] = False
    while len(picks) < budget:
        row = int(np.where(free, reach.squared, -1).argmax())
        free[row] = False
        picks.append(row)
        progress(len(picks), budget, "picks")
        if len(picks) < budget:
            reach.add(row)
    return np.array(picks, dtype=np.int64)
