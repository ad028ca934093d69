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
from usl.numeric.blocks import map_blocks, rows_per_block
from usl.numeric.distances import Float32
from usl.numeric.stage_cache import NOTHING, Keep
from usl.selection.contract import Picks

Rows = NDArray[np.int64]
NESTED = True
TILE = (256, 2048)  # candidates x rows: 2 MiB, which stays in the cache of a core
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
    drawn = draw(candidates, max(pool, budget), seed)
    picks, raised = greedy(features, budget, labeled, drawn, progress, keep)
    return Picks(picks, ranked=True, utility=raised / len(features), parameters={"pool": pool})


def draw(candidates: Rows, size: int, seed: int) -> Rows:
    """A random subset of ``size`` candidates, sorted; all of them if there are no more."""
    if size >= len(candidates):
        return candidates
    rng = np.random.default_rng(seed)
    return np.sort(rng.choice(candidates, size, replace=False, shuffle=False))


def greedy(
    features: Float32,
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
        picks, raised = _greedy(features, count, labeled, candidates, progress, keep)
        return {"picks": picks, "raised": raised}

    parts = {"labeled": labeled, "candidates": candidates}
    found = keep.firsts("order", parts, count, compute)
    return found["picks"], found["raised"]


def _greedy(
    features: Float32,
    count: int,
    labeled: Rows,
    candidates: Rows,
    progress: Progress,
    keep: Keep,
) -> tuple[Rows, NDArray[np.float64]]:
    n, everything = len(features), np.arange(len(features))
    served = _similarity(features, labeled, np.zeros(n, dtype=np.float32))
    gains = keep.arrays(
        "gains",
        {"labeled": labeled, "candidates": candidates},
        lambda: {"gains": _gains(features, candidates, everything, served, None, progress)},
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
                gains -= _gains(features, candidates, changed, low, span)
                renewed, bounds = served, gains.copy()
                fresh[:] = True
                trust /= 8  # in vain: lazy renewal gets less of a chance next time
                continue
            leaders = _largest(np.where(fresh, -np.inf, bounds), BATCH)
            bounds[leaders] = _gains(features, candidates[leaders], everything, served, None)
            fresh[leaders] = True
            allowance -= BATCH
        picks.append(int(candidates[lead]))
        raised.append(max(0.0, float(bounds[lead])))
        gains[lead] = bounds[lead] = -np.inf
        served = _similarity(features, candidates[lead : lead + 1], served)
        fresh[:] = False
        progress(len(picks), count, "picks")
    return np.array(picks, dtype=np.int64), np.array(raised)


def _largest(values: NDArray[np.float64], count: int) -> Rows:
    """Positions of up to ``count`` largest values that are not -inf, sorted."""
    if count < len(values):
        top = np.argpartition(values, len(values) - count)[len(values) - count :]
    else:
        top = np.arange(len(values))
    return np.sort(top[values[top] > -np.inf])


def _similarity(features: Float32, anchors: Rows, floor: Float32) -> Float32:
    """The larger of ``floor`` and the cosine with the nearest of ``anchors``; float32 [n]."""
    if len(anchors) == 0:
        return floor
    points = features[anchors]

    def block(start: int, stop: int) -> Float32:
        nearest = (features[start:stop] @ points.T).max(axis=1)
        return np.asarray(np.maximum(nearest, floor[start:stop]))

    size = min(BLOCK, rows_per_block(4 * len(anchors)))
    return np.concatenate(list(map_blocks(block, len(features), size)))


def _gains(
    features: Float32,
    candidates: Rows,
    rows: Rows,
    low: Float32,
    span: Float32 | None,
    progress: Progress = silent,
) -> NDArray[np.float64]:
    """For each candidate c the sum over ``rows`` of clip(cos(row, c) - low, 0, span); [c].

    ``low`` and ``span`` are per row; None is no upper bound.
    """
    right = features if len(rows) == len(features) else features[rows]

    def block(start: int, stop: int) -> NDArray[np.float64]:
        left = features[candidates[start:stop]]
        total = np.zeros(stop - start)
        for first in range(0, len(rows), TILE[1]):
            part = slice(first, first + TILE[1])
            tile = left @ right[part].T
            tile -= low[part]
            np.maximum(tile, 0, out=tile)
            if span is not None:
                np.minimum(tile, span[part], out=tile)
            total += tile.sum(axis=1)
        return total

    parts = map_blocks(block, len(candidates), TILE[0], progress=progress, label="similarity")
    return np.concatenate([np.zeros(0), *parts])
