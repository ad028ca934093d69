"""Density alone: the densest items, which lie in one mode; a baseline that shows why not.

The first half of USL (paper 2.2, Eq. 3) without its second: the most representative items, near
copies of one another. It shows what diversity is worth and is not meant for use.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from usl.core.parameters import Positive, clamp_k
from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32
from usl.numeric.distances import density
from usl.numeric.stage_cache import NOTHING, Keep
from usl.numeric.table import as_table
from usl.selection.contract import Picks
from usl.selection.methods.usl import EQUATION_3
from usl.selection.shared.kept import kept_mean_distance

NESTED = True
TERMS = {"density": EQUATION_3}


def pick(
    features: Float32,
    budget: int,
    *,
    labeled: NDArray[np.int64],
    candidates: NDArray[np.int64],
    seed: int = 0,
    progress: Progress = silent,
    keep: Keep = NOTHING,
    k: Annotated[int, Positive] = 20,
) -> Picks:
    """Pick the densest candidates, densest first; equally dense ones by the lower row.

    Nothing is random and labelled rows change nothing but that they cannot be picked.

    Parameters
    ----------
    k : neighbours whose mean distance is the inverse of the density.
    """
    k = clamp_k(k, len(features) - 1, len(features))
    densities = np.ones(len(features))
    if k > 0:
        mean, _ = kept_mean_distance(as_table(features), k, keep=keep, progress=progress)
        densities = density(mean)
    order = np.argsort(-densities[candidates], kind="stable")[:budget]
    return Picks(candidates[order], ranked=True, density=densities, parameters={"k": k})
