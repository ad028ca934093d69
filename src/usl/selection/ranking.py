"""Rank the picks by greedy coverage, and say which items each stands for.

A person may stop labelling early, so any prefix should be a good selection by itself. The order is
greedy facility location: next comes the pick that most lowers the mean squared distance of all
items to the nearest pick so far, where the items one pick stands for move together.
"""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.numeric.arrays import Float32
from usl.numeric.blocks import map_blocks, one_blas_thread, rows_per_block
from usl.numeric.distances import (
    half_distances,
    halved,
    nearest,
    smallest,
    squared_distances,
    squared_from_half,
)
from usl.numeric.inverted_lists import Lists, list_sums

FARTHEST = 4.0  # no squared distance inside the unit ball is larger
BATCH = 64
MANY = 2048  # picks; of more, those after the first DENSE are weighed against near groups alone
DENSE, NEAR = 512, 256
PART = 32_768  # rows; whole blocks of any search, so that nothing is rounded differently


def coverage_order(
    features: Float32,
    picks: NDArray[np.int64],
    stands: NDArray[np.int64],
    utility: NDArray[np.float64] | None,
    labeled: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Positions into ``picks`` in greedy facility-location order, int64 [m].

    The items with ``stands == j`` form group j, of size w_j and mean mu_j. The cost of a set S is
    sum_j w_j min_{i in S} |mu_j - f_i|^2: up to a constant (the spread inside the groups) the sum
    of squared distances of all items, each group being served as a whole. Distances between picks
    in place of group means would reward nothing but size: a pick is at distance 0 from itself and
    nearly equally far from all others. On CIFAR-10 the first 40 of 100 picks are as good as 40
    selected directly (docs/results.md).

    Labelled rows are in S from the start. Ties go to the higher utility, then to the lower row.
    Steps are lazy: a gain can only shrink, so an old one need be renewed only when it leads. Of
    many picks, the first 512 are weighed against all groups; by then a further pick helps only
    groups near it, and the others are weighed against their 256 nearest.
    """
    m = len(picks)
    spoken_for = np.flatnonzero(stands >= 0)
    owner = stands[spoken_for]
    sizes = np.bincount(owner, minlength=m).astype(np.float64)
    sums = list_sums(features, Lists.of(owner, m), spoken_for)
    means = (sums / np.maximum(sizes, 1)[:, None]).astype(np.float32)

    cost = np.full(m, FARTHEST)
    if len(labeled):
        cost = nearest(means, features[labeled], 1)[1][:, 0].astype(np.float64) ** 2
    return greedy_order(features[picks], means, sizes, cost, utility, picks)


def greedy_order(
    points: Float32,
    means: Float32,
    sizes: NDArray[np.float64],
    cost: NDArray[np.float64],
    utility: NDArray[np.float64] | None,
    picks: NDArray[np.int64],
) -> NDArray[np.int64]:
    """:func:`coverage_order` from the ``points`` of the picks and the groups' means, each [m, d].

    ``sizes`` and ``cost``, which is overwritten, float64 [m]: of each group, and how far it is,
    squared, from what is labelled.
    """
    m, base = len(picks), halved(means)

    def costs_with(chosen: list[int]) -> NDArray[np.float64]:
        rows = points[chosen]
        return np.asarray(np.minimum(cost, squared_from_half(half_distances(rows, base), rows)))

    tie = (np.zeros(m) if utility is None else -utility).tolist()
    queue = [(-np.inf, tie[i], int(picks[i]), i, -1) for i in range(m)]
    heapq.heapify(queue)
    order: list[int] = []
    dense = m if m <= MANY else DENSE
    with one_blas_thread():
        while len(order) < dense:
            stale: list[tuple[float, float, int, int, int]] = []
            while queue and queue[0][-1] < len(order) and len(stale) < BATCH:
                stale.append(heapq.heappop(queue))
            if stale:  # renew a batch of upper bounds at the cost of one
                gains = (cost - costs_with([entry[3] for entry in stale])) @ sizes
                for (_, *key, _), gain in zip(stale, gains.tolist(), strict=True):
                    heapq.heappush(queue, (-gain, *key, len(order)))
            else:
                i = heapq.heappop(queue)[3]
                cost = costs_with([i])[0]
                order.append(i)
    if queue:
        order += _order_by_near_groups(points, base, sizes, cost, queue)
    return np.array(order, dtype=np.int64)


def _order_by_near_groups(
    points: Float32,
    base: Float32,
    sizes: NDArray[np.float64],
    cost: NDArray[np.float64],
    queue: list[tuple[float, float, int, int, int]],
) -> list[int]:
    """The rest of :func:`coverage_order`; the gains in ``queue`` are upper bounds of those here."""
    rest = np.array(sorted(entry[3] for entry in queue))
    place = np.full(len(points), -1)
    place[rest] = np.arange(len(rest))

    def block(start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        rows = points[rest[start:stop]]
        half = half_distances(rows, base)
        near = smallest(half, NEAR)
        squared = squared_from_half(np.take_along_axis(half, near, axis=1), rows)
        return near, squared.astype(np.float64)

    parts = list(map_blocks(block, len(rest), rows_per_block(8 * len(base))))
    near = np.concatenate([part[0] for part in parts])
    squared = np.concatenate([part[1] for part in parts])
    order: list[int] = []
    while queue:
        _, tie, row, i, seen = heapq.heappop(queue)
        groups, reached = near[place[i]], squared[place[i]]
        if seen == -1 - len(order):
            order.append(i)
            cost[groups] = np.minimum(cost[groups], reached)
        else:
            gain = float(np.maximum(cost[groups] - reached, 0.0) @ sizes[groups])
            heapq.heappush(queue, (-gain, tie, row, i, -1 - len(order)))
    return order


def representatives(
    features: Float32,
    picks: NDArray[np.int64],
    labeled: NDArray[np.int64],
    clusters: NDArray[np.integer[Any]] | None,
) -> NDArray[np.int64]:
    """Which pick stands for each item: positions into ``picks``, int64 [n]; -1 for none.

    Inside a cluster with a pick, that pick stands for the cluster (the nearest, if several).
    Everywhere else the nearest of all picks and labelled rows does; -1 where that is a labelled
    row, whose answer is known already.
    """
    anchors = np.concatenate([picks, labeled])
    stands = np.full(len(features), -1, dtype=np.int64)
    open_rows = np.ones(len(features), dtype=bool)  # of clusters without a pick, or all
    if clusters is not None:
        by_cluster: dict[int, list[int]] = {}
        for position, cluster in enumerate(clusters[picks].tolist()):
            by_cluster.setdefault(cluster, []).append(position)
        lone = np.full(int(clusters.max()) + 1, -1, dtype=np.int64)
        for cluster, positions in by_cluster.items():
            if len(positions) == 1:
                lone[cluster] = positions[0]
            else:
                rows = np.flatnonzero(clusters == cluster)
                local = nearest(features[rows], features[picks[positions]], 1)[0][:, 0]
                stands[rows] = np.array(positions)[local]
                open_rows[rows] = False
        owner = lone[clusters]
        stands = np.where(owner >= 0, owner, stands)
        open_rows &= owner < 0
    points, left = features[anchors], np.flatnonzero(open_rows)
    for start in range(0, len(left), PART):  # or all rows would be copied
        rows = left[start : start + PART]
        stands[rows] = nearest(features[rows], points, 1)[0][:, 0]
    stands[picks] = np.arange(len(picks))
    stands[stands >= len(picks)] = -1
    return stands


def nearest_earlier(
    features: Float32, ranked: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each pick, best first: the rank (from 0) of the nearest earlier pick, and its distance.

    -1 and NaN for the first.
    """
    points = features[ranked]
    ranks = np.full(len(ranked), -1, dtype=np.int64)
    distances = np.full(len(ranked), np.nan)
    block = 512
    for start in range(0, len(ranked), block):
        stop = min(start + block, len(ranked))
        squared = squared_distances(points[start:stop], points[:stop])
        later = np.arange(stop)[None, :] >= np.arange(start, stop)[:, None]
        squared[later] = np.inf
        ranks[start:stop] = squared.argmin(axis=1)
        distances[start:stop] = np.sqrt(squared.min(axis=1))
    ranks[:1], distances[:1] = -1, np.nan
    return ranks, distances
