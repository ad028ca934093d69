"""Find near-duplicates: rows within a distance of another row.

Rows are taken in turn. One that is nearer than the distance to an earlier representative becomes
its duplicate, any other becomes a representative. So a duplicate is always near the row that
speaks for it (chains of near pairs do not add up), and representatives are never near each other.

No pair is missed, and no n x n matrix is made: rows lie in the lists of their nearest centroids,
and a row can be near a row of another list only if it is near the plane between the two.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32, Rows
from usl.numeric.blocks import one_blas_thread, rows_per_block
from usl.numeric.distances import half_distances, halved, nearest_center, squared_distances
from usl.numeric.inverted_lists import Lists
from usl.numeric.lloyd import lloyd, random_centroids

ONE_LIST = 8_192  # rows that are compared all with all
SAMPLE_PER_LIST, ROUNDS = 64, 5  # of the k-means that makes the lists
BLOCK = 2_048
ROUNDING = 1e-5  # of half a squared distance


def near_duplicates(
    features: Float32,
    distance: float,
    *,
    rows: Rows | None = None,
    first: Rows | None = None,
    progress: Progress = silent,
) -> Rows:
    """For each row the row that represents it, itself if none does: int64 [n].

    Parameters
    ----------
    features : float32 [n, d].
    distance : rows nearer than this to a representative are its duplicates.
    rows : int64, the rows to compare; the others represent themselves. Default: all.
    first : int64, rows among them that are representatives whatever lies near them.

    Up to ``ONE_LIST`` rows the turn is that of the table; of more, that of the lists. Same result
    on every run and any number of threads. Memory: a few blocks beside the centroids.
    """
    rows = np.arange(len(features)) if rows is None else rows
    original = np.arange(len(features))
    if not len(rows):
        return original
    search = _Search(features, distance, _centroids(features, rows))
    count = len(search.centroids)
    size = rows_per_block(8 * count)
    lists = Lists.of(nearest_center(features, search.centroids, rows=rows, block=size), count)
    if first is not None:
        number = np.empty(len(features), dtype=np.int64)
        number[rows[lists.order]] = np.repeat(np.arange(len(lists)), lists.sizes)
        for row in first.tolist():
            search.add(int(number[row]), np.array([row]))
    fixed = np.zeros(len(features), dtype=bool)
    fixed[[] if first is None else first] = True
    done = 0
    with one_blas_thread():
        for number_of_list in range(len(lists)):
            low, high = lists.starts[number_of_list : number_of_list + 2]
            members = rows[lists.order[low:high]]
            done += len(members)
            members = members[~fixed[members]]
            for start in range(0, len(members), BLOCK):
                block = members[start : start + BLOCK]
                original[block] = search.settle(number_of_list, block)
            progress(done, len(rows), "duplicates")
    return original


class _Search:
    """The representatives found so far, by list."""

    def __init__(self, features: Float32, distance: float, centroids: Float32) -> None:
        self.features, self.distance, self.centroids = features, distance, centroids
        self.base = halved(centroids)
        self.apart = np.sqrt(squared_distances(centroids, centroids))
        self.found: list[list[Rows]] = [[] for _ in centroids]

    def add(self, number: int, rows: Rows) -> None:
        """Make ``rows`` of a list representatives."""
        if len(rows):
            self.found[number].append(rows)

    def settle(self, number: int, rows: Rows) -> Rows:
        """Representatives of a block of rows of one list; new ones join those found."""
        points = self.features[rows]
        original = np.full(len(rows), -1, dtype=np.int64)
        # 1. Near an earlier representative, of this list or beyond the plane to another.
        half = half_distances(points, self.base)
        beyond = half - half[:, [number]]  # over |c_a - c_b|: the way to the plane between
        within_reach = beyond <= self.distance * self.apart[number] + ROUNDING
        for other in np.flatnonzero(within_reach.any(axis=0)).tolist():
            if not self.found[other]:
                continue
            if len(self.found[other]) > 1:
                self.found[other] = [np.concatenate(self.found[other])]
            earlier = self.found[other][0]
            for start in range(0, len(earlier), BLOCK):
                some = earlier[start : start + BLOCK]
                open_ = np.flatnonzero(within_reach[:, other] & (original < 0))
                if not len(open_):
                    break
                near = self._near(points[open_], self.features[some])
                hit = near.any(axis=1)
                original[open_[hit]] = some[near[hit].argmax(axis=1)]
        # 2. Near an earlier row of the block.
        left = np.flatnonzero(original < 0)
        near = self._near(points[left], points[left])
        for position in np.flatnonzero(np.count_nonzero(near, axis=1) > 1).tolist():
            if original[left[position]] < 0:
                members = left[near[position]]
                members = members[original[members] < 0]
                original[members] = rows[left[position]]
        alone = original < 0
        original[alone] = rows[alone]
        self.add(number, rows[original == rows])
        return original

    def _near(self, queries: Float32, base: Float32) -> NDArray[np.bool_]:
        return np.asarray(squared_distances(queries, base) < self.distance**2)


def _centroids(features: Float32, rows: Rows) -> Float32:
    """About sqrt(n) centroids, or one for few rows; the same whatever the seed of a selection."""
    if len(rows) <= ONE_LIST:
        return features[rows[:1]]
    rng = np.random.default_rng(0)
    count = round(len(rows) ** 0.5)
    sample = rng.permutation(rows)[: SAMPLE_PER_LIST * count]
    points = features[np.sort(sample)]
    return lloyd(points, random_centroids(points, count, rng), iterations=ROUNDS).centroids
