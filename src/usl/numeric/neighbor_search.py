"""Nearest neighbours of all rows, and their mean distances (paper Eq. 3), exact or by IVF.

Exact, or through inverted lists where all pairs would take too long.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32
from usl.numeric.distances import mean_neighbor_distance, nearest
from usl.numeric.inverted_lists import Lists
from usl.numeric.inverted_search import (
    Index,
    Probing,
    approximate_mean_distance,
    approximate_nearest,
    probes_needed,
)
from usl.numeric.kmeans import kmeans
from usl.numeric.kmeans_large import move_to_means

EXACT_ROWS = 100_000  # up to here the exact search is a matter of seconds
LIST_ROWS = 100  # rows per list of a partition made for the search alone
LONGEST = 640  # rows per list up to which a partition made for something else serves as well
ITERATIONS = 5  # of k-means for such a partition
MOST_NEIGHBORS = 0.1  # of all rows: for more of them lists gain nothing


def typical_distance(
    features: Float32,
    k: int,
    *,
    exact: bool | None = None,
    clusters: NDArray[np.int64] | None = None,
    squared: bool = False,
    count_self: bool = False,
    progress: Progress = silent,
) -> tuple[NDArray[np.float64], Probing | None]:
    """Mean distance of every row to its k nearest, and how it was found: None if exactly.

    Parameters
    ----------
    features : float32 [n, d].
    k : neighbours; with ``count_self`` the row itself is one of them.
    exact : look at all rows. The default does so up to ``EXACT_ROWS`` rows, and looks into
        inverted lists above.
    clusters : int [n], a partition that may serve as the lists, if it is fine enough.
    squared : average squared distances instead.
    """
    how: Any = {"squared": squared, "count_self": count_self, "progress": progress}
    if looks_at_all(len(features), k, exact):
        return mean_neighbor_distance(features, k, **how), None
    index = make_index(features, clusters, progress)
    probing = probes_needed(features, k, index)
    return approximate_mean_distance(features, k, index, probing, **how), probing


def nearest_others(
    features: Float32, k: int, *, exact: bool | None = None, progress: Progress = silent
) -> tuple[NDArray[np.int64], Float32]:
    """The k nearest other rows of every row: numbers int64 [n, k], distances float32 [n, k].

    Sorted by distance, then by number. ``exact`` as in :func:`typical_distance`.
    """
    if looks_at_all(len(features), k, exact):
        return nearest(features, features, k, exclude_self=True, progress=progress)
    index = make_index(features, None, progress)
    probing = probes_needed(features, k, index)
    return approximate_nearest(features, k, index, probing, progress=progress)


def looks_at_all(n: int, k: int, exact: bool | None) -> bool:
    """Whether the search is exact, and a partition without influence."""
    few = n < 4 * LIST_ROWS or (exact is None and n <= EXACT_ROWS)
    return bool(exact) or few or k > MOST_NEIGHBORS * n


def make_index(
    features: Float32, clusters: NDArray[np.int64] | None, progress: Progress = silent
) -> Index:
    """Inverted lists over the table: those of ``clusters``, or of a finer partition."""
    n = len(features)
    if clusters is not None and n <= LONGEST * (count := int(clusters.max()) + 1):
        centroids = np.zeros((count, features.shape[1]), dtype=np.float32)
        move_to_means(features, Lists.of(clusters, count), centroids)
        return Index.of(clusters.astype(np.int32), centroids)
    rng = np.random.default_rng(0)
    found = kmeans(features, n // LIST_ROWS, rng=rng, iterations=ITERATIONS, progress=progress)
    return Index.of(found.clusters, found.centroids)
