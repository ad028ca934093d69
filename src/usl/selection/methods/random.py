"""Uniform random draw, the baseline of every comparison."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32
from usl.selection.contract import Picks

NESTED = True
UNRANKED = True
DRAWN = "draws its picks"


def pick(
    features: Float32,
    budget: int,
    *,
    labeled: NDArray[np.int64],
    candidates: NDArray[np.int64],
    seed: int = 0,
    progress: Progress = silent,
) -> Picks:
    """Draw ``budget`` candidates without replacement; the order of the draw is the rank."""
    rng = np.random.default_rng(seed)
    return Picks(rng.permutation(candidates)[:budget], ranked=True)
