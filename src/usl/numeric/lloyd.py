"""Lloyd's algorithm: exact k-means (paper Eq. 4), no cluster left empty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32
from usl.numeric.blocks import map_blocks
from usl.numeric.distances import half_distances, halved

BLOCK = 4096  # rows; fixed, because sums are rounded block by block
LITTLE = 50_000_000  # products of an iteration; a few milliseconds


@dataclass(frozen=True)
class KMeans:
    """A partition of n rows into m clusters.

    ``clusters`` int32 [n]; ``centroids`` float32 [m, d], plain means, not renormalised;
    ``inertia``, the sum of squared distances of Eq. 4; ``iterations`` done.
    """

    clusters: NDArray[np.int32]
    centroids: Float32
    inertia: float
    iterations: int


def lloyd(
    features: Float32,
    centroids: Float32,
    *,
    iterations: int = 200,
    weights: NDArray[np.float64] | None = None,
    progress: Progress = silent,
) -> KMeans:
    """Alternate assignment and means until no row moves, at most ``iterations`` times.

    Every row of ``features`` float32 [n, d] is compared with every one of ``centroids``
    float32 [m, d], which are overwritten. ``weights`` : how often a row counts, float64 [n].
    """
    m = len(centroids)
    previous: NDArray[np.int32] | None = None
    for iteration in range(1, iterations + 1):
        clusters, sums, counts, farness = _assign(features, centroids, weights)
        if not counts.all() and fill_empty(features, clusters, sums, counts, farness, weights):
            previous = None
        progress(iteration, iterations, "k-means")
        if previous is not None and np.array_equal(clusters, previous):
            break
        previous = clusters
        masses = counts if weights is None else np.bincount(clusters, weights, m)
        occupied = counts > 0
        centroids[occupied] = (sums[occupied] / masses[occupied, None]).astype(np.float32)
    return KMeans(clusters, centroids, inertia_of(farness, weights), iteration)


def inertia_of(farness: Float32, weights: NDArray[np.float64] | None) -> float:
    """Sum of squared distances, each as often as its row counts."""
    if weights is not None:  # no matrix product: BLAS rounds by the number of its threads
        return float((farness * weights).sum())
    return float(farness.sum(dtype=np.float64))


def random_centroids(features: Float32, count: int, rng: np.random.Generator) -> Float32:
    """``count`` random rows, repeating a value only once every distinct value is used."""
    order = rng.permutation(len(features))
    chosen: list[int] = []
    spare: list[int] = []
    seen: set[bytes] = set()
    for row in order.tolist():
        if len(chosen) == count:
            break
        value = features[row].tobytes()
        (spare if value in seen else chosen).append(row)
        seen.add(value)
    return features[chosen + spare[: count - len(chosen)]].copy()


def _assign(
    features: Float32, centroids: Float32, weights: NDArray[np.float64] | None
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.int64], Float32]:
    """Nearest centroid of every row (ties: the lower id), weighted sums and counts per cluster.

    Also each row's squared distance to its centroid, float32 [n].
    """
    m = len(centroids)
    base = halved(centroids)

    def block(start: int, stop: int) -> tuple[NDArray[np.int32], NDArray[np.float64], Float32]:
        rows = features[start:stop]
        half = half_distances(rows, base)
        nearest = half.argmin(axis=1).astype(np.int32)
        best = half[np.arange(len(rows)), nearest]
        squared = 2.0 * best + np.einsum("ij,ij->i", rows, rows)
        counts = np.ones(len(rows)) if weights is None else weights[start:stop]
        filled = counts.astype(np.float32), nearest, np.arange(len(rows) + 1)
        member = sparse.csc_matrix(filled, (m, len(rows)))
        return nearest, member @ rows, np.maximum(squared, 0.0)

    sums = np.zeros((m, features.shape[1]), dtype=np.float64)
    clusters, farness = [], []
    little = features.size * m <= LITTLE
    for nearest, partial, squared in map_blocks(block, len(features), BLOCK, alone=little):
        clusters.append(nearest)
        farness.append(squared)
        sums += partial  # in the order of the blocks: the same rounding on any machine's threads
    joined = np.concatenate(clusters)
    return joined, sums, np.bincount(joined, minlength=m), np.concatenate(farness)


def fill_empty(
    features: Float32,
    clusters: NDArray[np.int32],
    sums: NDArray[np.float64],
    counts: NDArray[np.int64],
    farness: Float32,
    weights: NDArray[np.float64] | None = None,
) -> bool:
    """Move the farthest rows into empty clusters, in place; False when no row can move."""
    moved = False
    empty = np.flatnonzero(counts == 0).tolist()
    for row in np.argsort(-farness, kind="stable").tolist():
        if not empty or farness[row] <= 1e-6:
            break
        home = clusters[row]
        if counts[home] < 2:
            continue
        target = empty.pop(0)
        part = features[row] if weights is None else features[row] * weights[row]
        sums[home] -= part
        counts[home] -= 1
        sums[target] += part
        counts[target] = 1
        clusters[row] = target
        farness[row] = 0.0
        moved = True
    return moved
