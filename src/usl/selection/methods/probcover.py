"""ProbCover: greedy maximum coverage by balls of radius delta (Yehuda et al., 2022).

Each candidate covers the rows nearer than delta. The next pick is the one that covers the most
rows not covered yet; labelled rows cover their balls from the start.

The delta-ball graph is never stored, so no delta can exhaust the memory: it is O(n) in all. A
candidate's degree is counted once, in tiles; a pick lowers it by the newly covered rows in its
ball, and each row is newly covered once. All picks together thus cost at most two passes over the
distances, whatever the budget. That is n^2 d still: minutes for 100,000 rows, hours for a million.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from usl.core.parameters import Between, Positive
from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32
from usl.numeric.blocks import map_blocks, rows_per_block
from usl.numeric.distances import COINCIDENT, half_distances, halved, squared_from_half
from usl.numeric.table import Table, as_table
from usl.selection.contract import Picks
from usl.selection.shared.balls import degrees

DRAWN = "delta comes from k-means, which starts from random rows"
SAMPLE = 2000  # balls whose purity is looked at
LARGEST = 2.0  # no distance inside the unit ball is larger


def pick(
    features: Float32,
    budget: int,
    *,
    labeled: NDArray[np.int64],
    candidates: NDArray[np.int64],
    seed: int = 0,
    progress: Progress = silent,
    delta: Annotated[float | None, Positive] = None,
    purity: Annotated[float, Between(0, 1)] = 0.95,
    iterations: Annotated[int, Positive] = 50,
) -> Picks:
    """Pick the candidate that covers the most uncovered rows; this order is the rank.

    Of equal degrees the one farthest from all picks and labelled rows is taken, which the paper
    leaves open: with a small delta most degrees are equal, and the released code's lowest row would
    be the order of the files. So the picks also go on once no candidate covers anything new, where
    the released code repeats row 0.

    Parameters
    ----------
    delta : radius of the balls, in distances of unit rows (authors: 0.75 or 0.55 on CIFAR-10). By
        default the largest at which the share ``purity`` of the balls is pure.
    purity : share of balls that hold rows of one pseudo-label only (authors: 0.95). Pseudo-labels
        are L + budget k-means clusters (L: labelled rows), at least two; the share is that of
        2,000 random balls, each among all rows.
    iterations : upper bound of the k-means iterations behind the pseudo-labels.
    """
    table = as_table(features)
    if delta is None:
        count = min(len(features), max(2, budget + len(labeled)))
        delta = _pure_delta(table, count, purity, iterations, seed, progress)
    radius = max(delta**2, COINCIDENT)

    reach = table.farthest(labeled)
    uncovered = ~(reach.squared < radius)
    reached = degrees(table, candidates, np.flatnonzero(uncovered), radius, progress)
    position = np.full(len(features), -1)
    position[candidates] = np.arange(len(candidates))
    taken = np.zeros(len(candidates), dtype=bool)
    picks: list[int] = []
    covers: list[int] = []
    while len(picks) < budget:
        most = reached[~taken].max()
        equal = np.flatnonzero((reached == most) & ~taken)
        best = int(equal[reach.squared[candidates[equal]].argmax()])
        taken[best] = True
        picks.append(int(candidates[best]))
        reach.add(picks[-1])
        new = np.flatnonzero(uncovered & (reach.squared < radius))
        uncovered[new] = False
        covers.append(len(new))
        progress(len(picks), budget, "picks")
        if len(picks) < budget:
            reached -= degrees(table, candidates, new, radius)
    return Picks(
        np.array(picks, dtype=np.int64),
        ranked=True,
        utility=np.array(covers) / len(features),
        parameters={"delta": delta, "purity": purity, "iterations": iterations},
    )


def _pure_delta(
    table: Table, count: int, purity: float, iterations: int, seed: int, progress: Progress
) -> float:
    """The largest delta with the given share of pure balls, from a sample of balls.

    A ball is pure up to the distance of its centre to the nearest row of another cluster, so delta
    is a quantile of these distances; no search is needed.
    """
    rng = np.random.default_rng(seed)
    clusters = table.kmeans(count, rng=rng, iterations=iterations, progress=progress).clusters
    features = table.take()
    size = min(SAMPLE, len(table))
    centres = np.sort(rng.choice(len(table), size, replace=False))
    base = halved(features)

    def block(start: int, stop: int) -> Float32:
        rows = centres[start:stop]
        half = half_distances(features[rows], base)
        half[clusters[rows][:, None] == clusters] = np.inf
        return squared_from_half(half.min(axis=1, keepdims=True), features[rows])[:, 0]

    parts = map_blocks(block, size, rows_per_block(5 * len(features)))
    reaches = np.sort(np.sqrt(np.concatenate(list(parts))))
    impure = min(size - 1, int((1 - purity) * size + 1e-9))
    # A hair less: that very pair must not hang on the rounding of its distance.
    return float(min(reaches[impure], LARGEST)) * (1 - 1e-5)
