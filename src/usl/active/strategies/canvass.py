"""Canvass: cover what the model is unsure of, and ask for classes that have few labels (ours).

``quorum``, our rule of the cold start, asks for what represents the whole collection. Canvass goes
on from there with what is known by now (docs/canvass.md has the reasons and the evidence). Again
and again it asks for the candidate c of the largest product::

    sum_x U(x) max(0, k(x, c) - max_s k(x, s))  *  sum_y q(y | c) / n_y

- *coverage*: c is worth the rows x that it covers better than all labels s, the batch included;
- *doubt*: U(x) = 1 - (p1 - p2), of the predictions. A row that the model is sure of hardly counts;
- *class balance*: n_y is how many labels class y has, with those that the batch is likely to add,
  and q(y | c) the class of c by the labels around it, spread over the neighbour graph. Of two
  classes the one with half as many labels counts twice.

There is nothing to set. The kernel is k(x, c) = exp(-|x' - c'|^2 / h^2). x' is x averaged with its
neighbours, which draws images of a kind together. h^2 is the mean squared distance of a row to the
nearest n / 2m, about half of what each of m labels has to cover: the more labels, the finer. While
fewer than two classes have a label nothing can be predicted, and quorum goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Query
from usl.active.shared.doubt import between, two_likeliest
from usl.core.progress import Progress
from usl.core.words import counted
from usl.numeric.arrays import Float32, Rows, Values
from usl.numeric.neighbor_graph import SEARCHED, kept_nearest
from usl.numeric.stage_cache import Keep
from usl.numeric.table import Table, as_table
from usl.selection.methods import quorum
from usl.selection.shared.herding import herd
from usl.selection.shared.kmeanspp_start import ROWS_PER_CLUSTER
from usl.selection.shared.neighborhood import Neighborhood
from usl.selection.shared.sample import draw_pool, draw_sample
from usl.selection.shared.spread import spread

DRAWN = "quorum starts from random rows; of a large collection a sample is looked at"
COLD = "typical of what no label covers yet"  # the reason of quorum's picks
LINKED = 50_000  # rows whose neighbours are sought: all of a smaller collection
COVERED = 10_000  # of these, rows to cover
POOL = 8_000  # of these, candidates
SURE = 0.01  # the least U: where the model is sure of everything, coverage decides
REACH = 0.5  # of the rows that a label has to cover, the share that h reaches
PROBES = 500  # rows at which h is measured
ALONE = 1.0  # h where all rows coincide
RARE = 1.5  # scarcity from which it is named as a reason


def query(
    features: Float32,
    budget: int,
    *,
    labeled: NDArray[np.int64],
    classes: NDArray[np.int64],
    predictions: NDArray[np.float64] | None,
    candidates: NDArray[np.int64],
    seed: int,
    progress: Progress,
    keep: Keep,
) -> Query:
    """Ask for the candidate of the largest coverage x doubt x class balance, again and again.

    Figures of each: ``covered``, the rows, each counted by its doubt, that become like a labelled
    one; ``margin``, its own p1 - p2; ``scarcity``, the mean number of labels of a class over that
    of its own, 2 where its class has half as many as the mean.

    Above ``LINKED`` rows a random sample is looked at, of at least 20 rows per label, and of it
    ``COVERED`` rows are covered by ``POOL`` candidates.
    """
    if predictions is None or not len(labeled):
        cold = quorum.pick(
            features,
            budget,
            labeled=labeled,
            candidates=candidates,
            seed=seed,
            progress=progress,
            keep=keep,
        )
        return Query(cold.indices, (COLD,) * budget, parameters=cold.parameters)

    # 1. What is looked at, its neighbours, and the space in which rows are covered.
    view = View.of(as_table(features), budget, labeled, candidates, seed)
    near = view.neighborhood(keep, progress)
    points = as_table(near.averaged(view.values, view.inner))
    h = reach(points, len(labeled) + budget)

    # 2. The doubt about every row, and the class of every candidate.
    first, second, margin = two_likeliest(predictions, view.rows[view.inner])
    doubt = np.maximum(1 - margin, SURE).astype(np.float32)
    present, numbers = np.unique(classes, return_inverse=True)
    here = np.isin(labeled, view.rows)
    asked = view.inner[view.pool]
    votes = spread(near.graph(), view.labeled, numbers[here], len(present), rows=asked)
    shares = (votes / votes.sum(axis=1, keepdims=True)).astype(np.float64)
    counts = np.bincount(numbers).astype(np.float64)

    # 3. The greedy maximum.
    anchors = np.flatnonzero(np.isin(view.inner, view.labeled))
    worth = balance(shares, counts)
    picks, raised = herd(
        points, budget, anchors, view.pool, h, weights=doubt, worth=worth, progress=progress
    )
    covered = raised * len(points)
    rare, scarcity = scarcities(shares[np.searchsorted(view.pool, picks)], counts)
    return Query(
        view.rows[view.inner[picks]],
        reasons(between(first[picks], second[picks]), covered, present[rare], scarcity),
        {"covered": covered, "margin": margin[picks], "scarcity": scarcity},
        {"h": h, "linked": len(view.rows), "rows": len(points), "pool": len(view.pool)},
    )


@dataclass(frozen=True)
class View:
    """The rows that are looked at.

    ``rows`` int64 [r] of the table have known neighbours, ``values`` float32 [r, d] are their
    features, ``labeled`` their places among ``rows``. ``inner`` int64 [i], places among ``rows``,
    are to be covered, and ``pool`` int64 [p], places in ``inner``, are the candidates; all sorted.
    """

    rows: Rows
    values: Float32
    labeled: Rows
    inner: Rows
    pool: Rows
    sampled: bool

    @classmethod
    def of(cls, table: Table, budget: int, labeled: Rows, candidates: Rows, seed: int) -> View:
        """All of a table while it is small."""
        rng = np.random.default_rng(seed)
        least = ROWS_PER_CLUSTER * (len(labeled) + budget)
        rows = draw_sample(len(table), budget, labeled, candidates, max(LINKED, least), rng)
        known = np.flatnonzero(np.isin(rows, labeled))
        free = np.flatnonzero(np.isin(rows, candidates))
        inner = draw_sample(len(rows), budget, known, free, max(COVERED, least), rng)
        pool = draw_pool(np.flatnonzero(np.isin(inner, free)), max(POOL, budget), seed)
        sampled = len(rows) < len(table)
        return cls(rows, table.take(rows if sampled else None), known, inner, pool, sampled)

    def neighborhood(self, keep: Keep, progress: Progress) -> Neighborhood:
        """The nearest of each of ``rows`` among them, as a training on the same rows finds them."""
        k = min(SEARCHED, len(self.rows) - 1)
        rows = self.rows if self.sampled else None
        return Neighborhood(
            *kept_nearest(as_table(self.values), k, keep=keep, rows=rows, progress=progress)
        )


def reach(points: Table, labels: int) -> float:
    """h: the root of the mean squared distance of a row to the nearest n / 2m others."""
    n = len(points)
    k = int(np.clip(REACH * n / labels, min(5, n - 1), max(1, n // 2)))
    probes = np.unique(np.linspace(0, n - 1, PROBES).astype(np.int64))
    away = points.nearest(k + 1, points.take(probes))[1][:, 1:]  # the first is the row itself
    h = float(np.sqrt((away.astype(np.float64) ** 2).mean()))
    return h if h > 1e-3 else ALONE


def balance(shares: Values, counts: Values) -> Callable[[list[int]], Values]:
    """Of every candidate, after some picks: the mean of 1 / n_y over the classes it may be of, [p].

    Parameters
    ----------
    shares : q(y | c) of each candidate, float64 [p, C].
    counts : labels of each class, float64 [C], at least 1.
    """

    def worth(picks: list[int]) -> Values:
        per_label = 1 / (counts + shares[picks].sum(axis=0))
        # No matrix product: BLAS rounds by the number of its threads, and near ties are decided.
        return np.asarray(np.einsum("py,y->p", shares, per_label))

    return worth


def scarcities(shares: Values, counts: Values) -> tuple[Rows, Values]:
    """For picks in order, of ``shares`` [b, C]: the class that says most, and the figure, [b].

    The figure is that of :func:`balance` over the same for a class with the mean number of labels.
    """
    before = counts + np.cumsum(shares, axis=0) - shares
    parts = shares * (before.mean(axis=1, keepdims=True) / before)
    return parts.argmax(axis=1), parts.sum(axis=1)


def reasons(
    pairs: tuple[str, ...], covered: Values, rare: Rows, scarcity: Values
) -> tuple[str, ...]:
    """``"between {3} and {5}, stands for 12 unsure images, may be {3}, which has few labels"``."""
    stands = [f"stands for {counted(max(1, round(one)), 'unsure image')}" for one in covered]
    few = [
        f", may be {{{number}}}, which has few labels" if figure >= RARE else ""
        for number, figure in zip(rare.tolist(), scarcity.tolist(), strict=True)
    ]
    return tuple(f"{a}, {b}{c}" for a, b, c in zip(pairs, stands, few, strict=True))
