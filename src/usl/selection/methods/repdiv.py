"""RepDiv: 70% of the picks represent (facility location), 30% are far from them (Zhu et al., 2025).

Source: MedCAL-Bench and its released code, which takes floor(0.7 m) representative picks by the
clipped cosine, then diverse ones. One departure: the code rates a diverse candidate by its
distance to the *farthest* pick, which opposes it to a single one and lets it coincide with
another; here it is the distance to the nearest, as in farthest-first traversal.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from usl.core.parameters import Between, Positive
from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32
from usl.numeric.stage_cache import NOTHING, Keep
from usl.numeric.table import as_table
from usl.selection.contract import Picks
from usl.selection.methods.facility_location import greedy
from usl.selection.shared.farthest_first import farthest_first
from usl.selection.shared.sample import draw_pool


def pick(
    features: Float32,
    budget: int,
    *,
    labeled: NDArray[np.int64],
    candidates: NDArray[np.int64],
    seed: int = 0,
    progress: Progress = silent,
    keep: Keep = NOTHING,
    share: Annotated[float, Between(0, 1)] = 0.7,
    pool: Annotated[int, Positive] = 35_000,
) -> Picks:
    """Pick representative candidates, then the farthest from all picks and labelled rows.

    The order of the picks is their rank: the representative ones come first. Equally good
    candidates go by the lower row; nothing is random up to ``pool`` candidates.

    Parameters
    ----------
    share : of representative picks, rounded down, 0 to 1; without labelled rows at least one.
    pool : most candidates considered for the representative picks, drawn by the seed; never
        below the budget. The diverse picks come from all candidates.
    """
    own = {"share": share, "pool": pool}
    count = int(budget * share + 1e-9)  # 0.7 is a little less than 7 / 10
    if len(labeled) == 0:
        count = max(1, count)
    table, picks = as_table(features), np.empty(0, dtype=np.int64)
    if count:
        drawn = draw_pool(candidates, max(pool, budget), seed)
        picks, _ = greedy(table, count, labeled, drawn, progress, keep)
    reach = table.farthest(np.concatenate([labeled, picks]))
    picks = farthest_first(reach, picks.tolist(), candidates, budget, progress)
    return Picks(picks, ranked=True, parameters=own)
