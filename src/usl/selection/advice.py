"""Advice on a collection and a selection: items far from everything, and how many labels it takes.

Functions of features and picks alone; no label is read. Large collections are sampled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usl.core.blocks import map_blocks
from usl.core.errors import DataError, UsageError
from usl.core.neighbors import Float32, mean_neighbor_distance, nearest, squared_distances
from usl.core.progress import Progress, silent
from usl.selection.selection import Selection, row_numbers
from usl.selection.units import unit_rows

Rows = NDArray[np.int64]
EXACT = 20_000  # items whose neighbours are all looked for
SAMPLE, SCREENED, TYPICAL = 4_096, 2_000, 1_000  # above: to compare with, to look at, to calibrate
FLAT = 0.05  # least spread of log distances: nobody stands out where all are alike
ITEMS, FOLDS, RESAMPLES = 20_000, 50, 200
CLEAR, STANDS_OUT = 5.0, 2.0  # how many times less later labels bring: at all, and than elsewhere
NEARLY = 0.7  # of the clearest break: the first number that comes up to that
SLOWED = 1.5  # how many times less the last labels bring, for the end to be in sight
ABOUT = 1.25  # a break within this factor of another is the same
REACHED = 0.9  # of the coverage of all picks: what is suggested where there is no break


@dataclass(frozen=True)
class Outlier:
    """An item far from everything.

    ``row``; ``score``, robust standard deviations above the usual (of log distance); ``distance``,
    the mean to its nearest neighbours; ``reason``, in words.
    """

    row: int
    score: float
    distance: float
    reason: str


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
    near = _other_distances(table, rows[order], k)
    typical = float(np.exp(center))
    return [
        Outlier(
            int(rows[position]),
            float(scores[position]),
            float(distances[position]),
            _reason(float(distances[position]), typical, beside, int(rows[position]), selection),
        )
        for position, beside in zip(order.tolist(), near, strict=True)
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
    distance: float, typical: float, beside: Float32, row: int, selection: Selection | None
) -> str:
    """Why an item stands out, and what became of it."""
    text = (
        f"its nearest neighbours are {distance:.2f} away on average, "
        f"{distance / max(typical, 1e-6):.1f} times what is usual ({typical:.2f})"
    )
    fellows = int((beside <= typical).sum())
    if fellows:
        text += f"; it has {fellows} near it, and that group is apart from all others"
    if selection is not None:
        picked = np.flatnonzero(selection.indices == row)
        if len(picked):
            others = len(selection.stands_for(int(picked[0]))) - 1
            text += f"; it is pick {int(picked[0]) + 1} and stands for {others} others"
    return text


@dataclass(frozen=True, eq=False)
class LabelsNeeded:
    """What each further label of a selection brings, and a number to stop at.

    Attributes
    ----------
    coverage : float64 [m + 1], by the number of labels b from 0 to m: 1 - (mean squared distance
        of all items to the nearest labelled one) / (the same to a random item). 0 is worth no more
        than one random label, 1 is all items labelled.
    gain : float64 [m], what label b + 1 adds to it.
    suggested : number of labels; ``low`` and ``high``, the middle 80% of resamples of the items.
    sure : share of the resamples that have their break where it is suggested, 0 to 1.
    has_break : whether later labels bring clearly less from some number on. Otherwise
        ``suggested`` is all picks, if the last ones bring no less than those before; or else where
        90% of the coverage of all picks is reached, a mere convention.
    reason : in words.
    """

    coverage: NDArray[np.float64]
    gain: NDArray[np.float64]
    suggested: int
    low: int
    high: int
    sure: float
    has_break: bool
    reason: str

    def expected(self, budget: int) -> float:
        """Coverage of that many labels; beyond the picks, carried on as from m/2 to m.

        There the remaining distance is taken to fall by the same power of the budget.
        """
        m = len(self.gain)
        if budget <= m:
            return float(self.coverage[max(0, budget)])
        left, half = 1 - self.coverage[m], 1 - self.coverage[m // 2]
        if left <= 0 or m < 2 or half <= left:
            return float(self.coverage[m])
        power = np.log(left / half) / np.log(m / max(m // 2, 1))
        return float(1 - left * (budget / m) ** power)


def labels_needed(
    features: ArrayLike,
    selection: Selection,
    *,
    labeled: ArrayLike | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> LabelsNeeded:
    """How coverage grows along the ranking of a selection, and where to stop.

    Select generously, then look where it stops paying. Labels up to a number b are compared with
    those after it: what one of the second half of b brings, over what one of the next b brings. In
    data without structure of d dimensions that ratio is about 2^(1 + 2/d) wherever one looks;
    where b picks have reached every cluster it is much higher, and that is the break: 5 times or
    more, and twice what it is along the whole curve.

    Parameters
    ----------
    features : float [n, d], those of the selection; of more than 20,000 items a sample is used.
    labeled : rows that had a label before.
    seed : of the sample and the resamples.

    How sure it is says how steady the number is when other items of the same kind are looked at.
    It cannot know how classes lie in the clusters: no label is read.
    """
    table = unit_rows(features)
    n, m = len(table), len(selection)
    if len(selection.representative) != n:
        raise DataError(f"selection: of {len(selection.representative)} items, not of these {n}.")
    known = np.empty(0, np.int64) if labeled is None else row_numbers(labeled, n, "labeled")
    rng = np.random.default_rng(seed)
    items = rng.permutation(n)[:ITEMS]
    losses, sizes = _losses(table, items, selection.indices, known, progress)
    points = table[items].astype(np.float64)
    spread = 2 * float((points**2).sum(axis=1).mean() - (points.mean(axis=0) ** 2).sum())

    def coverage_of(weights: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(1 - weights @ losses / (weights @ sizes) / max(spread, 1e-12))

    coverage = coverage_of(np.ones(len(sizes)))
    if not len(known):
        coverage[0] = 0.0  # nothing is labelled: as good as one at random, by definition
    gain = np.diff(coverage)
    place, clear = _break(coverage)
    resampled = []
    for _ in range(RESAMPLES):
        again = coverage_of(rng.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes))))
        again[0] = coverage[0]
        resampled.append(_break(again))
    places = np.array([found for found, _ in resampled])
    clearness = np.array([found for _, found in resampled])
    same = (places <= place * ABOUT) & (places * ABOUT >= place) & (clearness >= 1)
    sure = float(same.mean())
    if clear >= 1 and sure >= 0.5:
        low, high = np.quantile(places, [0.1, 0.9]).round().astype(int).tolist()
        before, after = (100 * float(x[0]) for x in _paces(coverage, np.array([place])))
        reason = (
            f"the labels up to {place} add {before:.2f} points of coverage each, those after it "
            f"{after:.2f}: {place} reach every part of the collection that is clearly apart"
        )
        return LabelsNeeded(coverage, gain, place, low, high, sure, True, reason)
    if m > 3:
        before, after = (float(x[0]) for x in _paces(coverage, np.array([m // 2])))
        if before < SLOWED * after:
            reason = (
                f"the last labels bring about as much as those before: {m} picks are too few to "
                "tell how many are needed. Select more"
            )
            return LabelsNeeded(coverage, gain, m, m, m, sure, False, reason)
    place = int(np.argmax(coverage >= REACHED * coverage[m])) if coverage[m] > 0 else m
    reason = (
        f"what a label brings falls steadily, without a break up to {m}: there is no natural "
        f"number. {place} reach {REACHED:.0%} of what all {m} do"
    )
    return LabelsNeeded(coverage, gain, place, place, m, sure, False, reason)


def _losses(
    table: Float32, items: Rows, picks: Rows, known: Rows, progress: Progress
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Summed squared distance to the nearest of ``known`` and the first b picks, [folds, m + 1].

    And the number of items in each fold. Without known rows b = 0 has none: 4, the largest.
    """
    points, anchors = table[picks], table[known]
    size = -(-len(items) // FOLDS)

    def fold(start: int, stop: int) -> tuple[NDArray[np.float64], int]:
        rows = table[items[start:stop]]
        first: Float32 = np.full((len(rows), 1), 4.0, dtype=np.float32)
        if len(anchors):
            first = nearest(rows, anchors, 1)[1] ** 2
        squared = np.concatenate([first, squared_distances(rows, points)], axis=1)
        return np.minimum.accumulate(squared, axis=1).sum(axis=0, dtype=np.float64), len(rows)

    parts = list(map_blocks(fold, len(items), size, progress=progress, label="coverage"))
    return np.stack([part[0] for part in parts]), np.array([float(part[1]) for part in parts])


def _paces(
    coverage: NDArray[np.float64], places: Rows
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean gain of the second half of the first b labels, and of as many after b, for each b."""
    halves, ends = places // 2, np.minimum(2 * places, len(coverage) - 1)
    before = (coverage[places] - coverage[halves]) / (places - halves)
    return before, (coverage[ends] - coverage[places]) / (ends - places)


def _break(coverage: NDArray[np.float64]) -> tuple[int, float]:
    """The number of labels after which the pace falls most, and how clearly: from 1 on it does.

    That is ``CLEAR`` times, and ``STANDS_OUT`` times what is usual along the curve.
    """
    m = len(coverage) - 1
    places = np.arange(2, 2 * m // 3 + 1)  # at least half as many must come after it
    if not len(places):
        return m, 0.0
    before, after = _paces(coverage, places)
    ratios = before / np.maximum(after, 1e-3 * max(coverage[m], 0.0) / m + 1e-12)
    even = np.unique(np.geomspace(2, places[-1], 30).round().astype(np.int64)) - 2
    usual = max(float(np.median(ratios[even])), 0.0)
    most = float(ratios.max())
    first = int(places[np.argmax(ratios >= NEARLY * most)])
    return first, min(most / CLEAR, most / (STANDS_OUT * usual + 1e-12))
