"""Nearest neighbours of all rows, and their mean distances (paper Eq. 3), exact or by IVF.

Exact, or through inverted lists where all pairs would take too long.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32, Rows, Values
from usl.numeric.distances import mean_from_half, nearest_from_half
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
from usl.numeric.self_search import VALUES, search_itself

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
        mean = _Means(features, k, squared, count_self)
        if mean.wanted:
            own: dict[str, Any] = {"entry": VALUES, "progress": progress, "label": "density"}
            search_itself(features, mean.wanted, mean.finish, **own)
        return mean.values, None
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
        near = _Nearest(features, k)
        search_itself(features, k, near.finish, progress=progress)
        return near.rows, near.distances
    index = make_index(features, None, progress)
    probing = probes_needed(features, k, index)
    return approximate_nearest(features, k, index, probing, progress=progress)


def neighborhood(
    features: Float32, k: int, wide: int, *, squared: bool = False, progress: Progress = silent
) -> tuple[tuple[Rows, Float32], tuple[Values, Probing | None]]:
    """:func:`nearest_others` for ``k`` and :func:`typical_distance` for ``wide``, in one search."""
    if not looks_at_all(len(features), min(k, wide), None):
        how: dict[str, Any] = {"squared": squared, "progress": progress}
        found = nearest_others(features, k, progress=progress)
        return found, typical_distance(features, wide, **how)
    near, mean = _Nearest(features, k), _Means(features, wide, squared, count_self=False)

    def finish(rows: Rows, half: Float32, numbers: NDArray[np.int32] | None) -> None:
        near.finish(rows, half, numbers)
        mean.finish(rows, half, numbers)

    search_itself(features, max(k, wide), finish, progress=progress)
    return (near.rows, near.distances), (mean.values, None)


class _Nearest:
    """The k nearest others of every row, [n, k], as a search hands them over."""

    def __init__(self, features: Float32, k: int) -> None:
        self.features, self.k = features, k
        self.rows = np.empty((len(features), k), np.int64)
        self.distances = np.empty((len(features), k), np.float32)

    def finish(self, rows: Rows, half: Float32, numbers: NDArray[np.int32] | None) -> None:
        """What is near some rows; see :func:`usl.numeric.self_search.search_itself`."""
        found = nearest_from_half(half, self.features[rows], self.k, numbers)
        self.rows[rows], self.distances[rows] = found


class _Means:
    """The mean distance of every row to its k nearest, float64 [n], as a search hands them over."""

    def __init__(self, features: Float32, k: int, squared: bool, count_self: bool) -> None:
        self.features, self.k, self.squared = features, k, squared
        self.wanted = k - 1 if count_self else k
        self.values = np.zeros(len(features))

    def finish(self, rows: Rows, half: Float32, numbers: NDArray[np.int32] | None) -> None:
        """As :meth:`_Nearest.finish`; overwrites ``half``."""
        half.partition(self.wanted - 1, axis=1)
        near = half[:, : self.wanted]
        self.values[rows] = mean_from_half(near, self.features[rows], self.k, self.squared)


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
