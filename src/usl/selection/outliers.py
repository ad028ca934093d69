"""Find outliers: items far from everything. No label is read."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usl.core.errors import DataError, UsageError
from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32, Rows
from usl.numeric.blocks import map_blocks
from usl.numeric.distances import mean_neighbor_distance, nearest, squared_distances
from usl.numeric.unit_rows import unit_rows
from usl.selection.result import Selection

EXACT = 20_000  # items whose neighbours are all looked for
SAMPLE, SCREENED, TYPICAL = 4_096, 2_000, 1_000  # above: to compare with, to look at, to calibrate
FLAT = 0.05  # least spread of log distances: nobody stands out where all are alike


@dataclass(frozen=True)
class Outlier:
    """An item far from everything.

    ``row``; ``score``, robust standard deviations above the usual (of log distance); ``distance``,
    the mean to its nearest neighbours; ``reason``, in words; ``usual``, the median of such
    distances; ``near``, how many of those neighbours are within it.
    """

    row: int
    score: float
    distance: float
    reason: str
    usual: float
    near: int


def outliers(
    features: ArrayLike,
    selection: Selection | None = None,
    *,
    densities: ArrayLike | None = None,
    k: int = 10,
    threshold: float = 3.5,
    most: int = 100,
    seed: int = 0,
    progress: Progress = silent,
) -> list[Outlier]:
    """Items whose nearest neighbours are unusually far, the farthest first.

    Parameters
    ----------
    features : float [n, d], scaled to unit rows.
    selection : says in the reason which of them were picked.
    densities : float [n], if known: 1 / mean distance to some neighbours, as of Eq. 3. Otherwise
        the ``k`` nearest are looked for.
    threshold : least score; 3.5 is the usual bound for robust deviations.
    most : how many to return at most.
    seed : of the sample: above 20,000 items, those farthest from 4,096 random ones are looked at,
        and 1,000 random ones say what is usual.

    The score compares logarithms: the median and the median absolute deviation over 0.6745.
    """
    table = unit_rows(features)
    n = len(table)
    if not 1 <= k < n:
        raise UsageError(f"k: {k} given; it must be between 1 and {n - 1}, the other items.")
    rows: Rows = np.arange(n)
    if densities is not None:
        given = np.asarray(densities, dtype=np.float64)
        if given.shape != (n,) or not np.isfinite(given).all() or (given <= 0).any():
            raise DataError(f"densities: one positive number for each of the {n} items is needed.")
        distances = usual = 1 / given
    elif n <= EXACT:
        distances = usual = mean_neighbor_distance(table, k, progress=progress)
    else:
        rng = np.random.default_rng(seed)
        screen = np.sort(rng.choice(n, SAMPLE, replace=False))
        rows = _far_from(table, screen, max(SCREENED, most), progress)
        distances = _mean_to_nearest(table, rows, k)
        usual = _mean_to_nearest(table, np.sort(rng.choice(n, TYPICAL, replace=False)), k)
    logs = np.log(np.maximum(usual, 1e-6))
    center = float(np.median(logs))
    spread = max(float(np.median(np.abs(logs - center))) / 0.6745, FLAT)
    scores = (np.log(np.maximum(distances, 1e-6)) - center) / spread
    order = np.lexsort((rows, -scores))[:most]
    order = order[scores[order] > threshold]
    typical = float(np.exp(center))
    near = (_other_distances(table, rows[order], k) <= typical).sum(axis=1).tolist()
    return [
        Outlier(
            int(rows[position]),
            float(scores[position]),
            float(distances[position]),
            _reason(float(distances[position]), typical, fellows, int(rows[position]), selection),
            typical,
            fellows,
        )
        for position, fellows in zip(order.tolist(), near, strict=True)
    ]


def _far_from(table: Float32, sample: Rows, count: int, progress: Progress) -> Rows:
    """The ``count`` rows farthest from the nearest (other) row of a sample, ascending."""
    base = table[sample]

    def block(start: int, stop: int) -> Float32:
        squared = squared_distances(table[start:stop], base)
        own = np.flatnonzero((sample >= start) & (sample < stop))
        squared[sample[own] - start, own] = np.inf
        return np.asarray(squared.min(axis=1))

    label = "outliers"
    parts = list(map_blocks(block, len(table), SAMPLE // 2, progress=progress, label=label))
    far = np.concatenate(parts)
    return np.sort(np.lexsort((np.arange(len(table)), -far))[:count])


def _other_distances(table: Float32, rows: Rows, k: int) -> Float32:
    """Distances of ``rows`` to their k nearest others, ascending, float32 [r, k]."""
    found, distances = nearest(table[rows], table, k + 1)
    own = found == rows[:, None]
    own[~own.any(axis=1), -1] = True  # among more than k that coincide it may not find itself
    return np.asarray(distances[~own].reshape(len(rows), k))


def _mean_to_nearest(table: Float32, rows: Rows, k: int) -> NDArray[np.float64]:
    return np.asarray(_other_distances(table, rows, k).mean(axis=1, dtype=np.float64))


def _reason(
    distance: float, typical: float, fellows: int, row: int, selection: Selection | None
) -> str:
    """Why an item stands out, and what became of it."""
    text = (
        f"its nearest neighbours are {distance:.2f} away on average, "
        f"{distance / max(typical, 1e-6):.1f} times what is usual ({typical:.2f})"
    )
    if fellows:
        text += f"; it has {fellows} near it, and that group is apart from all others"
    if selection is not None:
        picked = np.flatnonzero(selection.indices == row)
        if len(picked):
            others = len(selection.stands_for(int(picked[0]))) - 1
            text += f"; it is pick {int(picked[0]) + 1} and stands for {others} others"
    return text
