"""Facility location: greedy maximum of the mean similarity of all rows to their nearest pick.

The goal is F(S) = sum over all rows x of max over s in S of max(cos(x, s), 0): every row is served
by the pick most similar to it, and a pick that points away from it is worth as much as none. The
similarity is a choice: the clipped cosine keeps F monotone and submodular, so that greedy reaches
63% of the optimum (Nemhauser et al., 1978; Mirzasoleiman et al., 2015, for data), and it is what
apricot and RepDiv use on unit rows. S starts with the labelled rows.

The similarity matrix is never held. Gains of all candidates are computed once, in tiles. After a
pick an old gain is an upper bound (lazy greedy, Minoux, 1978), and only leaders are renewed, until
that has cost as much as renewing all gains by the rows that changed since the last time; less
where it was in vain before. Lazy renewal wins on data with clear clusters; on data without, all
gains shrink alike, and the changed rows, n / 2, n / 3, ..., are the cheaper way.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from usl.core.parameters import Positive
from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32, Rows
from usl.numeric.blocks import rows_per_block
from usl.numeric.pairwise_sums import Kernel
from usl.numeric.stage_cache import NOTHING, Keep
from usl.numeric.table import Table, as_table
from usl.selection.contract import Picks
from usl.selection.shared.sample import draw_pool

NESTED = True
BATCH = 512  # gains renewed at once
BLOCK = 8192  # rows; fixed, because products are rounded block by block


def pick(
    features: Float32,
    budget: int,
    *,
    labeled: NDArray[np.int64],
    candidates: NDArray[np.int64],
    seed: int = 0,
    progress: Progress = silent,
    keep: Keep = NOTHING,
    pool: Annotated[int, Positive] = 35_000,
) -> Picks:
    """Pick the candidate that most raises the goal, again and again; this order is the rank.

    An approximation, above ``pool`` candidates only: picks come from a random subset of that
    many. The goal always counts all rows.

    Parameters
    ----------
    pool : most candidates considered, drawn by the seed; never below the budget.
    """
    drawn = draw_pool(candidates, max(pool, budget), seed)
    picks, raised = greedy(as_table(features), budget, labeled, drawn, progress, keep)
    return Picks(picks, ranked=True, utility=raised / len(features), parameters={"pool": pool})


def greedy(
    table: Table,
    count: int,
    labeled: Rows,
    candidates: Rows,
    progress: Progress = silent,
    keep: Keep = NOTHING,
) -> tuple[Rows, NDArray[np.float64]]:
    """``count`` picks out of ``candidates``, in order, and by how much each raised F; [count].

    Ties go to the lower row. The picks of a smaller count are the first of a larger one.
    """

    def compute() -> dict[str, NDArray[Any]]:
        picks, raised = _greedy(table, count, labeled, candidates, progress, keep)
        return {"picks": picks, "raised": raised}

    parts = {"labeled": labeled, "candidates": candidates}
    found = keep.firsts("order", parts, count, compute)
    return found["picks"], found["raised"]


def _greedy(
    table: Table,
    count: int,
    labeled: Rows,
    candidates: Rows,
    progress: Progress,
    keep: Keep,
) -> tuple[Rows, NDArray[np.float64]]:
    n = len(table)
    served = _similarity(table, labeled, np.zeros(n, dtype=np.float32))
    gains = keep.arrays(
        "gains",
        {"labeled": labeled, "candidates": candidates},
        lambda: {"gains": _gains(table, candidates, None, served, None, progress)},
    )["gains"].copy()
    renewed = served  # what ``gains`` refer to; ``bounds`` hold later figures where there are any
    bounds, fresh = gains.copy(), np.ones(len(candidates), dtype=bool)
    trust = 1.0
    picks: list[int] = []
    raised: list[float] = []
    while len(picks) < count:
        changed = np.flatnonzero(served > renewed)
        allowance = trust * len(changed) * len(candidates) / n
        trust = min(1.0, 2 * trust)
        while not fresh[lead := int(bounds.argmax())]:
            if allowance <= 0:
                low = renewed[changed]
                span = served[changed] - low
                gains -= _gains(table, candidates, changed, low, span)
                renewed, bounds = served, gains.copy()
                fresh[:] = True
                trust /= 8  # in vain: lazy renewal gets less of a chance next time
                continue
            leaders = _largest(np.where(fresh, -np.inf, bounds), BATCH)
            bounds[leaders] = _gains(table, candidates[leaders], None, served, None)
            fresh[leaders] = True
            allowance -= BATCH
        picks.append(int(candidates[lead]))
        raised.append(max(0.0, float(bounds[lead])))
        gains[lead] = bounds[lead] = -np.inf
        served = _similarity(table, candidates[lead : lead + 1], served)
        fresh[:] = False
        progress(len(picks), count, "picks")
    return np.array(picks, dtype=np.int64), np.array(raised)


def _gains(
    table: Table,
    candidates: Rows,
    rows: Rows | None,
    low: Float32,
    span: Float32 | None,
    progress: Progress = silent,
) -> NDArray[np.float64]:
    """For each candidate c the sum over ``rows`` of clip(cos(row, c) - low, 0, span); [c].

    ``low`` and ``span`` are per row; None is no upper bound, and all rows.
    """
    return table.kernel_sums(
        Kernel(), candidates, rows, low=low, span=span, progress=progress, label="similarity"
    )


def _largest(values: NDArray[np.float64], count: int) -> Rows:
    """Positions of up to ``count`` largest values that are not -inf, sorted."""
    if count < len(values):
        top = np.argpartition(values, len(values) - count)[len(values) - count :]
    else:
        top = np.arange(len(values))
    return np.sort(top[values[top] > -np.inf])


def _similarity(table: Table, anchors: Rows, floor: Float32) -> Float32:
    """The larger of ``floor`` and the cosine with the nearest of ``anchors``; float32 [n]."""
    if len(anchors) == 0:
        return floor
    anchored = table.take(anchors)

    def nearest(points: Float32, least: Float32) -> Float32:
        return np.asarray(np.maximum((points @ anchored.T).max(axis=1), least))

    size = min(BLOCK, rows_per_block(4 * len(anchors)))
    return np.concatenate(list(table.map(nearest, floor, block=size)))
