"""Lloyd's algorithm: exact k-means (paper Eq. 4), no cluster left empty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from usl.core.progress import Progress, silent
from usl.numeric import elkan
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

    ``features`` float32 [n, d]; ``centroids`` float32 [m, d] are overwritten. Every row gets the
    nearest of them. ``weights`` : how often a row counts, float64 [n].
    """
    m = len(centroids)
    assignment = _Assignment(features, m, weights)
    previous: NDArray[np.int32] | None = None
    for iteration in range(1, iterations + 1):
        clusters, sums, counts = assignment.to(centroids)
        farness: Float32 | None = None
        if not counts.all():
            farness = assignment.farness(centroids)
            if fill_empty(features, clusters, sums, counts, farness, weights):
                previous = None
                assignment.forget()
        progress(iteration, iterations, "k-means")
        ends = previous is not None and np.array_equal(clusters, previous)
        if ends or iteration == iterations:
            if farness is None:
                farness = assignment.farness(centroids)
            inertia = inertia_of(farness, weights)
        if ends:
            break
        previous = clusters
        masses = counts if weights is None else np.bincount(clusters, weights, m)
        occupied = counts > 0
        centroids[occupied] = (sums[occupied] / masses[occupied, None]).astype(np.float32)
    return KMeans(clusters, centroids, inertia, iteration)


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


class _Assignment:
    """The nearest centroid of every row, again and again while the centroids move.

    Where the work is large enough, rows that cannot have another one are not looked at again
    (:mod:`usl.numeric.elkan`).
    """

    def __init__(self, features: Float32, m: int, weights: NDArray[np.float64] | None) -> None:
        n = len(features)
        self.features, self.m, self.weights = features, m, weights
        self.little = features.size * m <= LITTLE
        self.norms = np.concatenate(list(map_blocks(self._norms, n, BLOCK, alone=True)))
        self.clusters = np.empty(n, dtype=np.int32)
        self.away = np.empty(n, dtype=np.float32)  # squared distances
        self.known = False  # whether they are those of the last assignment
        self.before: Float32 | None = None  # the centroids of the last assignment
        bounded = not self.little and elkan.bytes_of(n, m) > 0
        self.bounds = elkan.Bounds(n, m) if bounded else None
        self.longest = float(self.norms.max(initial=0)) if bounded else 0.0

    def _norms(self, start: int, stop: int) -> Float32:
        rows = self.features[start:stop]
        return np.asarray(np.einsum("ij,ij->i", rows, rows))

    def to(
        self, centroids: Float32
    ) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.int64]]:
        """The nearest of ``centroids`` for every row (ties: the lower id), int32 [n].

        And per cluster the weighted sums and counts.
        """
        m, base, bounds = self.m, halved(centroids), self.bounds
        first = self.before is None  # centroids move far then: bounds would not last
        if bounds is not None and self.before is not None:
            bounds.move(self.before, centroids, self.longest)
        self.known = bounds is None

        def block(start: int, stop: int) -> NDArray[np.float64]:
            rows, own = self.features[start:stop], self.clusters[start:stop]
            some = None if bounds is None else bounds.in_doubt(start, stop, own)
            points = rows if some is None else rows[some]
            half = half_distances(points, base)
            nearest = half.argmin(axis=1).astype(np.int32)
            own[slice(None) if some is None else some] = nearest
            if bounds is not None and not first:
                norms = self.norms[start:stop]
                bounds.look(
                    start, stop, some, half, norms if some is None else norms[some], nearest
                )
            elif bounds is None:
                best = half[np.arange(len(rows)), nearest]
                self.away[start:stop] = 2.0 * best + self.norms[start:stop]
            counts = np.ones(len(rows)) if self.weights is None else self.weights[start:stop]
            filled = counts.astype(np.float32), own, np.arange(len(rows) + 1, dtype=np.int32)
            return np.asarray(sparse.csc_matrix(filled, (m, len(rows))) @ rows)

        sums = np.zeros((m, self.features.shape[1]), dtype=np.float64)
        for partial in map_blocks(block, len(self.features), BLOCK, alone=self.little):
            sums += (
                partial  # in the order of the blocks: the same rounding on any machine's threads
            )
        if bounds is not None:
            bounds.valid, self.before = not first, centroids.copy()
        joined = self.clusters.copy()
        return joined, sums, np.bincount(joined, minlength=m)

    def farness(self, centroids: Float32) -> Float32:
        """Squared distance of every row to its centroid, float32 [n], after :meth:`to` these."""
        if not self.known:
            for start in range(0, len(self.features), BLOCK):
                part = slice(start, start + BLOCK)
                own = centroids[self.clusters[part]]
                gaps = self.features[part] - own
                self.away[part] = np.einsum("ij,ij->i", gaps, gaps)
            self.known = True
        return np.maximum(self.away, 0.0)

    def forget(self) -> None:
        """Rows were given other clusters: look at all of them anew."""
        if self.bounds is not None:
            self.bounds.valid, self.before = False, None


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
