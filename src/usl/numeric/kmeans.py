"""k-means (paper Eq. 4): exact for few clusters, through lists of near centroids for many."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32
from usl.numeric.kmeans_large import candidate_kmeans
from usl.numeric.lloyd import KMeans, lloyd, random_centroids

EXACT_CLUSTERS = 256  # so few that lists of candidates would hardly be shorter
EXACT_PAIRS = 100_000_000  # rows times clusters; half a second per iteration at 128-d


def kmeans(
    features: Float32,
    n_clusters: int,
    *,
    rng: np.random.Generator,
    iterations: int = 200,
    exact: bool | None = None,
    start: Float32 | None = None,
    weights: NDArray[np.float64] | None = None,
    progress: Progress = silent,
) -> KMeans:
    """Partition ``features`` (float32 [n, d]) into ``n_clusters`` <= n clusters.

    Starts from distinct random rows (as far as the data has distinct ones) and alternates
    assignment and means until no row moves, at most ``iterations`` times. A cluster that empties
    is restarted at the row farthest from its centroid; clusters stay empty only where there are
    fewer distinct rows than clusters.

    Parameters
    ----------
    exact : compare every row with every centroid. The default does so for up to ``EXACT_CLUSTERS``
        clusters or ``EXACT_PAIRS`` pairs; above, rows are compared with the centroids near their
        own (:mod:`usl.numeric.kmeans_large`), which ends within 1% of the exact inertia.
    start : float32 [n_clusters, d], centroids to start from instead of random rows.
    weights : positive, float64 [n]: how often a row counts in the means and in the inertia. A
        random start knows nothing of them.
    """
    few = n_clusters <= EXACT_CLUSTERS or len(features) * n_clusters <= EXACT_PAIRS
    alternate = lloyd if exact or (exact is None and few) else candidate_kmeans
    centroids = random_centroids(features, n_clusters, rng) if start is None else start.copy()
    return alternate(features, centroids, iterations=iterations, weights=weights, progress=progress)
