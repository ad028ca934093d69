"""Estimate how many labels a collection takes, from features and picks alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usl.core.errors import DataError
from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32, Rows
from usl.numeric.blocks import map_blocks
from usl.numeric.distances import nearest, squared_distances
from usl.numeric.unit_rows import unit_rows
from usl.selection.ranking import coverage_order
from usl.selection.result import Selection
from usl.selection.select import row_numbers

ITEMS, FOLDS, RESAMPLES = 20_000, 50, 200
CLEAR, STANDS_OUT = 5.0, 2.0  # how many times less later labels bring: at all, and than elsewhere
NEARLY = 0.7  # of the clearest break: the first number that comes up to that
SLOWED = 1.5  # how many times less the last labels bring, for the end to be in sight
ABOUT = 1.25  # a break within this factor of another is the same
REACHED = 0.9  # of the coverage of all picks: what is suggested where there is no break
LATER = 2  # times as late as in coverage order a break may be
DRAWS = 8  # of items at random, to compare later labels with
ALIKE = 1e-6  # mean squared distance of items that do not differ beyond rounding


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
    sure : share of the resamples that have their break where it is suggested, 0 to 1; 0 where the
        break owes itself to the order or the choice of the picks.
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

    A lucky early pick, or poor later ones, look like a break too. One is believed only if the same
    picks have one near it in greedy coverage order as well, and if as many random items after that
    bring as little. Without this, random draws and other methods with an order of their own show a
    break at 2 to 13 labels in the pixels of Fashion-MNIST, with all resamples agreeing.

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
    points = table[items].astype(np.float64)
    spread = 2 * float((points**2).sum(axis=1).mean() - (points.mean(axis=0) ** 2).sum())
    if spread < ALIKE:
        whole = np.append(float(len(known) > 0), np.ones(m))
        reason = "all items are alike: one label says all there is to say"
        return LabelsNeeded(whole, np.diff(whole), 1, 1, 1, 1.0, True, reason)

    # 1. What each label brings, and where that breaks off.
    def of_picks(picks: Rows) -> _Curve:
        return _Curve(*_losses(table, items, picks, known, progress), spread, bool(len(known)))

    curve = of_picks(selection.indices)
    coverage = curve.coverage()
    gain = np.diff(coverage)
    place, clear = _break(coverage)

    # 2. How steady that is.
    resampled = [_break(curve.coverage(rng)) for _ in range(RESAMPLES)]
    places = np.array([found for found, _ in resampled])
    clearness = np.array([found for _, found in resampled])
    same = (places <= place * ABOUT) & (places * ABOUT >= place) & (clearness >= 1)
    sure = float(same.mean())

    # 3. Whether it lies in the collection, or merely in the order and the choice of the picks.
    found = doubted = clear >= 1 and sure >= 0.5
    slow = m > 3 and _slowed(coverage, m // 2) < SLOWED
    if found or slow:
        order = _in_coverage_order(table, items, selection.indices, known)
        ordered = of_picks(order).coverage()
        slow = slow and _slowed(ordered, m // 2) < SLOWED
        first, clear_too = _break(ordered)
        found = found and clear_too >= 1 and first <= place * ABOUT and place <= LATER * first
    if found:
        drawn = (rng.choice(items, min(first, len(items)), replace=False) for _ in range(DRAWS))
        ends = [of_picks(np.append(order[:first], rows)).coverage()[-1] for rows in drawn]
        at_random = (float(np.mean(ends)) - ordered[first]) / min(first, len(items))
        found = bool(_paces(ordered, np.array([first]))[0][0] >= CLEAR * at_random)
    if found:
        before, after = (float(x[0]) for x in _paces(coverage, np.array([place])))
        low, high = np.quantile(places, [0.1, 0.9]).round().astype(int).tolist()
        reason = (
            f"the labels up to {place} add {100 * before:.2f} points of coverage each, those after "
            f"it {100 * after:.2f}: {place} reach every part of the collection that is clearly "
            "apart"
        )
        return LabelsNeeded(coverage, gain, place, low, high, sure, True, reason)
    sure = 0.0 if doubted else sure
    if slow:
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
    if doubted:
        reason += "; a break that shows is owed to the order or the choice of the picks"
    return LabelsNeeded(coverage, gain, place, place, m, sure, False, reason)


@dataclass(frozen=True, eq=False)
class _Curve:
    """Coverage by the number of labels: ``losses`` and ``sizes`` of :func:`_losses`.

    ``spread`` is the mean squared distance of two items; ``told``, whether any was labelled before.
    """

    losses: NDArray[np.float64]
    sizes: NDArray[np.float64]
    spread: float
    told: bool

    def coverage(self, rng: np.random.Generator | None = None) -> NDArray[np.float64]:
        """Of the items, or of as many folds of them drawn with replacement."""
        folds = len(self.sizes)
        weights = np.ones(folds) if rng is None else rng.multinomial(folds, np.ones(folds) / folds)
        found = 1 - weights @ self.losses / (weights @ self.sizes) / self.spread
        if not self.told:
            found[0] = 0.0  # nothing is labelled: as good as one at random, by definition
        return np.asarray(found)


def _slowed(coverage: NDArray[np.float64], place: int) -> float:
    """How many times less the labels after a number bring."""
    before, after = (float(x[0]) for x in _paces(coverage, np.array([place])))
    return before / max(after, 1e-12)


def _in_coverage_order(table: Float32, items: Rows, picks: Rows, known: Rows) -> Rows:
    """The picks as they would be ordered by what they add to the coverage of the ``items``."""
    stands = np.full(len(table), -1, dtype=np.int64)
    stands[items] = nearest(table[items], table[picks], 1)[0][:, 0]
    return picks[coverage_order(table, picks, stands, None, known)]


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
    places = np.arange(2, m // 2 + 1)  # as many must come after it
    if not len(places):
        return m, 0.0
    before, after = _paces(coverage, places)
    ratios = before / np.maximum(after, 1e-3 * max(coverage[m], 0.0) / m + 1e-12)
    even = np.unique(np.geomspace(2, places[-1], 30).round().astype(np.int64)) - 2
    usual = max(float(np.median(ratios[even])), 0.0)
    most = float(ratios.max())
    first = int(places[np.argmax(ratios >= NEARLY * most)])
    return first, min(most / CLEAR, most / (STANDS_OUT * usual + 1e-12))
