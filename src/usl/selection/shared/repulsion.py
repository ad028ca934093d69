"""Eq. 5 of the paper: how strongly the picks of other clusters repel an item.

Reg(V, S) = sum of 1 / |V - V'|^alpha over the picks V' of other clusters, or over the h nearest of
them. All picks: a matrix of items and picks, in blocks. With a horizon and many picks: only the
picks near an item's cluster are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from usl.numeric.arrays import Float32, Rows, Values
from usl.numeric.blocks import map_blocks, rows_per_block
from usl.numeric.distances import FLOOR, half_distances, halved, smallest, squared_distances
from usl.numeric.inverted_lists import stable_order
from usl.numeric.table import Table, group_means

EXACT_PAIRS = 250_000_000  # items times picks; up to here every pair is looked at
REACH = 4  # horizons: how many of the picks nearest to a cluster's mean its items look at
BLOCK = 8192  # items; fixed


@dataclass(frozen=True)
class Repulsion:
    """How picks repel.

    Attributes
    ----------
    alpha : exponent of the distance, or with ``squared`` of the squared distance.
    horizon : only so many nearest picks count; None for all.
    cut : squared distances from here on count as 1e10.
    own_cluster : the pick of an item's own cluster repels it as well, but no pick does that it
        coincides with; such a pick is still one of the ``horizon`` nearest, as in the release.
    own_in_horizon : the pick of an item's own cluster is one of the ``horizon`` nearest, though it
        does not repel, as in the release's CLIP run.
    """

    alpha: float
    horizon: int | None = None
    squared: bool = False
    cut: float | None = None
    own_cluster: bool = False
    own_in_horizon: bool = False

    def of(self, table: Table, partition: Rows, rows: Rows, anchors: Rows) -> Values:
        """Eq. 5 for ``rows`` int64 [r], repelled by the rows ``anchors``: float64 [r].

        ``partition`` int64 [n] are the clusters, -1 for none.
        """
        reach = REACH * (self.horizon or len(anchors))
        if len(rows) * len(anchors) <= EXACT_PAIRS or reach >= len(anchors):
            return self._of_all(table, partition, rows, anchors)
        return self._of_near(table, partition, rows, anchors, reach)

    def _of_all(self, table: Table, partition: Rows, rows: Rows, anchors: Rows) -> Values:
        picks, homes = table.take(anchors), partition[anchors]

        def block(points: Float32, own: Rows) -> Values:
            return self.from_all(points, own, picks, homes)

        size = rows_per_block(12 * len(anchors))
        return np.concatenate(list(table.map(block, partition[rows], rows=rows, block=size)))

    def from_all(self, points: Float32, own: Rows, picks: Float32, homes: Rows) -> Values:
        """Eq. 5 for ``points`` [r, d] of the clusters ``own`` [r], float64 [r].

        Repelled by ``picks`` [a, d] of the clusters ``homes`` [a].
        """
        return self._sum(squared_distances(points, picks), own, homes[None, :])

    def _of_near(
        self, table: Table, partition: Rows, rows: Rows, anchors: Rows, reach: int
    ) -> Values:
        picks, homes = table.take(anchors), partition[anchors]
        count = int(partition.max()) + 1
        near = near_picks(group_means(table, partition, count), picks, reach)
        by_cluster = stable_order(partition[rows], count)

        def block(points: Float32, own: Rows) -> Values:
            return self.from_near(points, own, picks, homes, near)

        places = rows[by_cluster]
        result = np.empty(len(rows))
        parts = table.map(block, partition[places], rows=places, block=BLOCK)
        result[by_cluster] = np.concatenate(list(parts))
        return result

    def from_near(
        self, points: Float32, own: Rows, picks: Float32, homes: Rows, near: NDArray[np.int32]
    ) -> Values:
        """:meth:`from_all` of the picks ``near`` a point's cluster alone; points by cluster."""
        bounds = [0, *(np.flatnonzero(np.diff(own)) + 1).tolist(), len(own)]
        found = np.empty(len(own))
        for low, high in pairwise(bounds):
            if low == high:
                continue
            chosen = near[own[low]]
            squared = squared_distances(points[low:high], picks[chosen])
            found[low:high] = self._sum(squared, own[low:high], homes[None, chosen])
        return found

    def _sum(self, squared: Float32, own: Rows, homes: Rows) -> Values:
        """Sum over the picks of each item; overwrites ``squared`` [r, a]."""
        if self.cut is not None:
            squared[squared >= self.cut] = 1e10
        horizon = self.horizon or squared.shape[1]
        if self.own_cluster:
            squared[(squared == 0) & (homes < 0)] = FLOOR**2
        else:
            np.maximum(squared, FLOOR**2, out=squared)
            theirs = (own[:, None] == homes) & (homes >= 0)
            if self.own_in_horizon and horizon < squared.shape[1]:
                chosen = np.argpartition(squared, horizon - 1, axis=1)[:, :horizon]
                squared = np.take_along_axis(squared, chosen, axis=1)
                theirs = np.take_along_axis(theirs, chosen, axis=1)
            squared[theirs] = np.inf  # contributes exactly 0
        if horizon < squared.shape[1]:
            squared.partition(horizon - 1, axis=1)
            squared = squared[:, :horizon]
        if self.own_cluster:  # only now: in the release a coinciding pick is one of the h nearest
            squared[squared == 0] = np.inf
            np.maximum(squared, FLOOR**2, out=squared)
        inverse = inverse_power(squared, self.alpha if self.squared else self.alpha / 2)
        inverse.sort(axis=1)  # one order of summation, whatever the order of the picks
        return np.asarray(inverse.sum(axis=1, dtype=np.float64))


def near_picks(means: Float32, picks: Float32, reach: int) -> NDArray[np.int32]:
    """The ``reach`` picks nearest to the mean of each cluster, int32 [clusters, reach]."""
    base = halved(picks)

    def block(start: int, stop: int) -> NDArray[np.int32]:
        return smallest(half_distances(means[start:stop], base), reach).astype(np.int32)

    return np.concatenate(list(map_blocks(block, len(means), rows_per_block(8 * len(picks)))))


def inverse_power(squared: Float32, exponent: float) -> Float32:
    """``squared ** -exponent``; square roots where they do, being ten times faster."""
    if exponent == 0.25:
        return np.asarray(1.0 / np.sqrt(np.sqrt(squared)))
    if exponent == 0.5:
        return np.asarray(1.0 / np.sqrt(squared))
    if exponent == 1.0:
        return np.asarray(1.0 / squared)
    return np.asarray(squared ** np.float32(-exponent))
