"""k-means for many clusters: a row is compared with the centroids near its own only.

1. The first assignment goes through groups of centroids.
2. Then, until the inertia hardly falls: means; each centroid's nearest centroids; and every row
   moves to the nearest of those near its own. As rows follow from list to list, little is missed.
3. The last assignment looks through longer lists.

An iteration costs n times ``NEAR`` distances instead of n times m.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32
from usl.numeric.blocks import map_blocks
from usl.numeric.distances import half_distances, halved, nearest_center
from usl.numeric.inverted_lists import Groups, Lists, list_sums, near_lists
from usl.numeric.lloyd import KMeans, fill_empty, inertia_of

NEAR, LAST_NEAR = 64, 256  # centroids that a row is compared with, and in the last assignment
FIRST_SHARE = 0.1  # of all centroids, that a row is compared with in the first
SETTLED = 5e-4  # relative gain of an iteration below which there are no more
BLOCK = 16_384  # rows; fixed, because sums are rounded block by block


def candidate_kmeans(
    features: Float32,
    centroids: Float32,
    *,
    iterations: int,
    weights: NDArray[np.float64] | None = None,
    progress: Progress = silent,
) -> KMeans:
    """Partition ``features`` (float32 [n, d]) from a start (float32 [m, d], overwritten).

    ``weights`` : how often a row counts, float64 [n].
    """
    n, m = len(features), len(centroids)
    steps = iterations + 2
    clusters = first_assignment(features, centroids)
    progress(1, steps, "k-means")
    before = np.inf
    for iteration in range(1, iterations + 1):
        lists = Lists.of(clusters, m)
        move_to_means(features, lists, centroids, weights)
        clusters, farness = assign(features, lists, centroids, near_lists(centroids, NEAR))
        refill(features, clusters, farness, m)
        inertia = inertia_of(farness, weights)
        progress(iteration + 1, steps, "k-means")
        if before - inertia <= SETTLED * inertia:
            break
        before = inertia
    lists = Lists.of(clusters, m)
    move_to_means(features, lists, centroids, weights)
    clusters, farness = assign(features, lists, centroids, near_lists(centroids, LAST_NEAR))
    refill(features, clusters, farness, m)
    move_to_means(features, Lists.of(clusters, m), centroids, weights)
    progress(steps, steps, "k-means")
    assert len(clusters) == n
    return KMeans(clusters, centroids, inertia_of(farness, weights), iteration)


def first_assignment(features: Float32, centroids: Float32) -> NDArray[np.int32]:
    """A near centroid of every row, mostly the nearest: int32 [n].

    Among the centroids of the groups that lie nearest to the row's own group.
    """
    groups = Groups.of(centroids)
    found = np.empty(len(features), dtype=np.int32)
    of = nearest_center(features, groups.centers)
    lists = Lists.of(of, len(groups.centers))
    width = max(NEAR, round(FIRST_SHARE * len(centroids)))

    def block(start: int, stop: int) -> None:
        for group, low, high in lists.segments(start, stop):
            rows = lists.order[start + low : start + high]
            near = np.sort(groups.candidates(group, width))
            half = half_distances(features[rows], halved(centroids[near]))
            found[rows] = near[half.argmin(axis=1)]

    for _ in map_blocks(block, len(features), 4096):
        pass
    return found


def move_to_means(
    features: Float32,
    lists: Lists,
    centroids: Float32,
    weights: NDArray[np.float64] | None = None,
) -> None:
    """Put every centroid, float32 [m, d], at the mean of its list; of an empty one it stays."""
    sums = list_sums(features, lists, weights=weights)
    masses = lists.sizes if weights is None else list_sums(weights[:, None], lists)[:, 0]
    occupied = lists.sizes > 0
    centroids[occupied] = sums[occupied] / masses[occupied, None]


def assign(
    features: Float32, lists: Lists, centroids: Float32, near: NDArray[np.int32]
) -> tuple[NDArray[np.int32], Float32]:
    """The nearest of the centroids ``near`` (int32 [m, c]) that of each row's list.

    Clusters int32 [n] and squared distances float32 [n]; ties go to the lower number.
    """
    clusters = np.empty(len(features), dtype=np.int32)
    farness = np.empty(len(features), dtype=np.float32)
    candidates = np.sort(near, axis=1)
    half_norms = 0.5 * np.einsum("ij,ij->i", centroids, centroids)

    def block(start: int, stop: int) -> None:
        rows = lists.order[start:stop]
        points = features[rows]
        best = np.empty(len(rows), dtype=np.int32)
        half_best = np.empty(len(rows), dtype=np.float32)
        for number, low, high in lists.segments(start, stop):
            near = candidates[number]
            half = half_norms[near] - points[low:high] @ centroids[near].T
            columns = half.argmin(axis=1)
            best[low:high] = near[columns]
            half_best[low:high] = half[np.arange(high - low), columns]
        squared = 2.0 * half_best + np.einsum("ij,ij->i", points, points)
        clusters[rows], farness[rows] = best, np.maximum(squared, 0.0)

    for _ in map_blocks(block, len(features), BLOCK):
        pass
    return clusters, farness


def refill(features: Float32, clusters: NDArray[np.int32], farness: Float32, m: int) -> None:
    """Give empty clusters the rows farthest from their centroids, in place."""
    counts = np.bincount(clusters, minlength=m)
    if not counts.all():
        fill_empty(features, clusters, np.zeros((m, features.shape[1])), counts, farness)
