"""Inverted lists (IVF): the rows of a table by cluster, and which clusters lie near which.

What makes a million rows an ordinary job is that a row need not be compared with everything: its
neighbours, and the centroids it might belong to, are in lists whose centroids are near.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.numeric.arrays import Float32, Rows
from usl.numeric.blocks import map_blocks, rows_per_block
from usl.numeric.distances import half_distances, halved, smallest
from usl.numeric.lloyd import lloyd, random_centroids

BLOCK = 16_384  # rows; fixed, because sums are rounded block by block
EXACT_LISTS = 20_000  # lists whose distances to each other are all computed
GROUPS_SEARCHED = 24  # for the lists near one, where not all are compared
GROUP_ROUNDS = 8  # of k-means over centroids: groups only have to be roughly right


@dataclass(frozen=True)
class Lists:
    """Rows by cluster.

    Attributes
    ----------
    order : int64 [n], the rows, those of list 0 first, ascending within a list.
    starts : int64 [m + 1], where each list begins in ``order``.
    """

    order: Rows
    starts: Rows

    @classmethod
    def of(cls, clusters: NDArray[np.integer], n_lists: int) -> Lists:
        """The lists of a partition, int [n] of numbers below ``n_lists``."""
        order = stable_order(clusters, n_lists)
        sizes = np.bincount(clusters, minlength=n_lists)
        return cls(order, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))

    def __len__(self) -> int:
        """Number of lists."""
        return len(self.starts) - 1

    @property
    def sizes(self) -> Rows:
        """Rows per list, int64 [m]."""
        return np.diff(self.starts)

    def segments(self, start: int, stop: int) -> list[tuple[int, int, int]]:
        """(list, first, end) of the lists in ``order[start:stop]``, positions from ``start``."""
        first = int(np.searchsorted(self.starts, start, side="right")) - 1
        last = int(np.searchsorted(self.starts, stop, side="left"))
        bounds = np.clip(self.starts[first : last + 1] - start, 0, stop - start).tolist()
        pairs = zip(range(first, last), bounds[:-1], bounds[1:], strict=True)
        return [(number, low, high) for number, low, high in pairs if high > low]


def stable_order(values: NDArray[np.integer], count: int) -> Rows:
    """Positions of ``values`` (0 <= value < count) sorted, equal ones in order, int64 [n].

    A radix sort for 16 bits, which is linear, once or twice.
    """
    low = (values & 0xFFFF).astype(np.uint16)
    order = np.argsort(low, kind="stable")
    if count > 1 << 16:
        high = (values >> 16).astype(np.uint16)
        order = order[np.argsort(high[order], kind="stable")]
    return np.asarray(order, dtype=np.int64)


def list_sums(
    features: NDArray[np.floating[Any]],
    lists: Lists,
    rows: Rows | None = None,
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Sum of the features of each list, float64 [m, d].

    Parameters
    ----------
    rows : int64 [r], if the lists are of these rows of ``features`` and not of all.
    weights : float64, one per row that the lists hold: how often it counts.
    """
    sums = np.zeros((len(lists), features.shape[1]))

    def block(start: int, stop: int) -> tuple[Rows, NDArray[np.float64]]:
        places = lists.order[start:stop]
        points = features[places if rows is None else rows[places]].astype(np.float64)
        if weights is not None:
            points *= weights[places, None]
        segments = np.array(lists.segments(start, stop))
        return segments[:, 0], np.add.reduceat(points, segments[:, 1], axis=0)

    for numbers, partial in map_blocks(block, len(lists.order), BLOCK):
        sums[numbers] += partial  # a list that two blocks share gets both, in order
    return sums


def near_lists(centroids: Float32, count: int) -> NDArray[np.int32]:
    """For each centroid the ``count`` nearest, itself among them, in no order: int32 [m, count].

    Exact up to ``EXACT_LISTS`` centroids; above, sought in the groups of centroids that are near.
    """
    m = len(centroids)
    count = min(count, m)
    if m > EXACT_LISTS:
        return _near_by_groups(centroids, count)
    base = halved(centroids)

    def block(start: int, stop: int) -> NDArray[np.int32]:
        return smallest(half_distances(centroids[start:stop], base), count).astype(np.int32)

    return np.concatenate(list(map_blocks(block, m, rows_per_block(8 * m))))


def _near_by_groups(centroids: Float32, count: int) -> NDArray[np.int32]:
    groups = Groups.of(centroids)
    found = np.empty((len(centroids), count), dtype=np.int32)
    width = max(count, GROUPS_SEARCHED * len(centroids) // len(groups.centers))

    def block(start: int, stop: int) -> None:
        for group in range(start, stop):
            rows = groups.members(group)
            near = groups.candidates(group, width)
            half = half_distances(centroids[rows], halved(centroids[near]))
            found[rows] = near[smallest(half, count)]

    list(map_blocks(block, len(groups.centers), 8))
    return found


@dataclass(frozen=True)
class Groups:
    """Centroids in about sqrt(m) groups: ``centers`` [g, d], their ``lists``, and ``near`` [g, g],
    the groups by distance from each.
    """

    centers: Float32
    lists: Lists
    near: NDArray[np.int64]

    @classmethod
    def of(cls, centroids: Float32) -> Groups:
        """Group centroids by a few rounds of k-means; the same groups whatever the seed."""
        count = max(1, round(len(centroids) ** 0.5))
        rng = np.random.default_rng(0)
        start = random_centroids(centroids, count, rng)
        result = lloyd(centroids, start, iterations=GROUP_ROUNDS)
        squared = half_distances(result.centroids, halved(result.centroids))
        near = np.argsort(squared, axis=1, kind="stable")
        return cls(result.centroids, Lists.of(result.clusters, count), near)

    def members(self, group: int) -> Rows:
        """The centroids of a group, int64, ascending."""
        return self.lists.order[self.lists.starts[group] : self.lists.starts[group + 1]]

    def candidates(self, group: int, count: int) -> Rows:
        """At least ``count`` centroids, if there are as many, of the groups nearest to a group."""
        sizes = np.cumsum(self.lists.sizes[self.near[group]])
        last = int(np.searchsorted(sizes, count)) + 1
        return np.concatenate([self.members(int(g)) for g in self.near[group][:last]])
