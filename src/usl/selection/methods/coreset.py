"""CoreSet: greedy k-centre, each pick the item farthest from all others (Sener & Savarese, 2018).

Made for active learning with a trained network and many labels. Cold, with few labels, it picks
outliers: the farthest item is the oddest one, and accuracy stays near that of a random draw.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32
from usl.numeric.table import as_table
from usl.selection.contract import Picks
from usl.selection.shared.farthest_first import farthest_first

NESTED = True
DRAWN_COLD = "draws its first pick"


def pick(
    features: Float32,
    budget: int,
    *,
    labeled: NDArray[np.int64],
    candidates: NDArray[np.int64],
    seed: int = 0,
    progress: Progress = silent,
) -> Picks:
    """Pick the candidate farthest from all picks and labelled rows, again and again.

    Without labelled rows the first pick is a random candidate, and that is all the seed decides.
    Equally far candidates go by the lower row. The order of the picks is their rank.
    """
    reach = as_table(features).farthest(labeled)
    first: list[int] = []
    if len(labeled) == 0:
        first = [int(np.random.default_rng(seed).choice(candidates))]
        reach.add(first[0])
    return Picks(farthest_first(reach, first, candidates, budget, progress), ranked=True)
