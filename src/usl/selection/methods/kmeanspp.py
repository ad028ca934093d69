"""D^2 sampling: each pick is drawn in proportion to its squared distance to the nearest one.

The seeding of k-means++ (Arthur & Vassilvitskii, 2007), used as a selection by FreeSel (Xie et
al., 2023). Softer than farthest-first traversal: outliers are likely, but many ordinary items
together are likelier.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from usl.core.parameters import NotNegative
from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32
from usl.numeric.table import as_table
from usl.selection.contract import Picks
from usl.selection.shared.draw_far import draw_far

NESTED = True
DRAWN = "draws its picks by distance"


def pick(
    features: Float32,
    budget: int,
    *,
    labeled: NDArray[np.int64],
    candidates: NDArray[np.int64],
    seed: int = 0,
    progress: Progress = silent,
    power: Annotated[float, NotNegative] = 2.0,
) -> Picks:
    """Draw candidates far from all picks and labelled rows; the order of the draw is the rank.

    Without labelled rows the first one is uniform. So is the draw once every candidate coincides
    with a pick.

    Parameters
    ----------
    power : exponent of the distance in the probability; 2 in k-means++, 0 is a uniform draw, and
        large values approach farthest-first traversal.
    """
    rng = np.random.default_rng(seed)
    reach = as_table(features).farthest(labeled)
    picks = draw_far(reach, [], candidates, budget, rng, progress, power)
    return Picks(picks, ranked=True, parameters={"power": power})
