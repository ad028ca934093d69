"""Eq. 5 of the paper: how strongly the picks of other clusters repel an item.

Reg(V, S) = sum of 1 / |V - V'|^alpha over the picks V' of other clusters, or over the h nearest of
them. All picks: a matrix of items and picks, in blocks. With a horizon and many picks: only the
picks near an item's cluster are looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usl.numeric.blocks import map_blocks, rows_per_block
from usl.numeric.distances import (
    FLOOR,
    Float32,
    half_distances,
    halved,
    smallest,
    squared_distances,
)
from usl.numeric.inverted_lists import Lists
from usl.numeric.neighbor_search import means_of

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
        coincides with.
    """

    alpha: float
    horizon: int | None = None
    squared: bool = False
    cut: float | None = None
    own_cluster: bool = False

    def of(
        self,
        features: Float32,
        partition: NDArray[np.int64],
        rows: NDArray[np.int64],
        anchors: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """Eq. 5 for ``rows`` int64 [r], repelled by the rows ``anchors``: float64 [r].

        ``partition`` int64 [n] are the clusters, -1 for none.
        """
        reach = REACH * (self.horizon or len(anchors))
        if len(rows) * len(anchors) <= EXACT_PAIRS or reach >= len(anchors):
            return self._of_all(features, partition, rows, anchors)
        return self._of_near(features, partition, rows, anchors, reach)

    def _of_all(
        self,
        features: Float32,
        partition: NDArray[np.int64],
        rows: NDArray[np.int64],
        anchors: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        points, homes = features[anchors], partition[anchors]

        def block(start: int, stop: int) -> NDArray[np.float64]:
            own = rows[start:stop]
            squared = squared_distances(features[own], points)
            return self._sum(squared, partition[own], homes[None, :])

        size = rows_per_block(12 * len(anchors))
        return np.concatenate(list(map_blocks(block, len(rows), size)))

    def _of_near(
        self,
        features: Float32,
        partition: NDArray[np.int64],
        rows: NDArray[np.int64],
        anchors: NDArray[np.int64],
        reach: int,
    ) -> NDArray[np.float64]:
        points, homes = features[anchors], partition[anchors]
        count = int(partition.max()) + 1
        means = means_of(features, partition, count)
        base = halved(points)

        def near_block(start: int, stop: int) -> NDArray[np.int32]:
            return smallest(half_distances(means[start:stop], base), reach).astype(np.int32)

        blocks = map_blocks(near_block, count, rows_per_block(8 * len(anchors)))
        near = np.concatenate(list(blocks))
        lists = Lists.of(partition[rows], count)
        result = np.empty(len(rows))

        def block(start: int, stop: int) -> None:
            places = lists.order[start:stop]
            queries = features[rows[places]]
            for cluster, low, high in lists.segments(start, stop):
                chosen = near[cluster]
                squared = squared_distances(queries[low:high], points[chosen])
                own = np.full(high - low, cluster)
                result[places[low:high]] = self._sum(squared, own, homes[None, chosen])

        for _ in map_blocks(block, len(rows), BLOCK):
            pass
        return result

    def _sum(
        self, squared: Float32, own: NDArray[np.int64], homes: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Sum over the picks of each item; overwrites ``squared`` [r, a]."""
        away = squared == 0 if self.own_cluster else own[:, None] == homes
        away = away & (homes >= 0)
        if self.cut is not None:
            squared[squared >= self.cut] = 1e10
        np.maximum(squared, FLOOR**2, out=squared)
        squared[away] = np.inf  # contributes exactly 0
        horizon = self.horizon or squared.shape[1]
        if horizon < squared.shape[1]:
            squared.partition(horizon - 1, axis=1)
            squared = squared[:, :horizon]
        inverse = inverse_power(squared, self.alpha if self.squared else self.alpha / 2)
        inverse.sort(axis=1)  # one order of summation, whatever the order of the picks
        return np.asarray(inverse.sum(axis=1, dtype=np.float64))


def inverse_power(squared: Float32, exponent: float) -> Float32:
    """``squared ** -exponent``; square roots where they do, being ten times faster."""
    if exponent == 0.25:
        return np.asarray(1.0 / np.sqrt(np.sqrt(squared)))
    if exponent == 0.5:
        return np.asarray(1.0 / np.sqrt(squared))
    if exponent == 1.0:
        return np.asarray(1.0 / squared)
    return np.asarray(squared ** np.float32(-exponent))
