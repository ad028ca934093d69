"""Picks per cluster: the best row of each, which clusters to serve, how to fill up.

A budget is a promise: exactly that many picks. Normally there is one per cluster. Where clusters
are short of that (a partition of one's own, duplicates, few candidates), further rounds take a
second pick from the clusters with the fewest so far, the largest first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import UsageError
from usl.numeric.arrays import Rows
from usl.numeric.distances import squared_distances
from usl.numeric.table import Table
from usl.selection.shared.kept import kept_partition

Score = Callable[[Rows, Rows], NDArray[np.floating[Any]]]


def cluster_ids(
    table: Table, budget: int, labeled: Rows, *, n_clusters: int | None = None, **how: Any
) -> Rows:
    """Partition into L + budget clusters, so that ``budget`` stay without a label; int64 [n].

    Or into ``n_clusters``, which must be no fewer. ``how`` : the arguments of
    :func:`usl.selection.shared.kept.kept_partition`.
    """
    count = min(len(table), budget + len(labeled))
    if n_clusters is not None:
        if not count <= n_clusters <= len(table):
            raise UsageError(
                f"n_clusters: {n_clusters} given; it must lie between {count}, the labels to give "
                f"and given, and {len(table)}, the items."
            )
        count = n_clusters
    return kept_partition(table, count, **how)


def best_per_cluster(score: NDArray[np.floating[Any]], clusters: Rows, rows: Rows) -> Rows:
    """Of ``rows``, the highest ``score`` [n] in each cluster that has any; ties: the lower row."""
    order = rows[np.lexsort((rows, -score[rows], clusters[rows]))]
    _, first = np.unique(clusters[order], return_index=True)
    return order[first]


def serve(
    best: Rows,
    clusters: Rows,
    budget: int,
    labeled: Rows,
) -> Rows:
    """Choose at most ``budget`` of the per-cluster bests: uncovered clusters, the largest first.

    Clusters that hold a labelled row come only when all others are served, fewest labels first.
    """
    sizes = np.bincount(clusters)
    covered = np.bincount(clusters[labeled], minlength=len(sizes))
    of = clusters[best]
    return best[np.lexsort((of, -sizes[of], covered[of]))][:budget]


def fill_up(
    picks: Rows,
    clusters: Rows,
    budget: int,
    labeled: Rows,
    candidates: Rows,
    score: Score,
) -> Rows:
    """Extend ``picks`` to ``budget``, round robin over the clusters with the fewest so far.

    ``score(rows, taken)`` rates candidate rows given the rows picked or labelled already; the
    highest is taken, ties by the lower row.
    """
    sizes = np.bincount(clusters)
    taken = np.concatenate([labeled, picks])
    counts = np.bincount(clusters[taken], minlength=len(sizes))
    chosen = picks.tolist()
    free = np.zeros(len(clusters), dtype=bool)
    free[candidates] = True
    free[picks] = False
    left = np.bincount(clusters[free], minlength=len(sizes))
    while len(chosen) < budget:
        open_clusters = np.flatnonzero(left)
        order = np.lexsort((open_clusters, -sizes[open_clusters], counts[open_clusters]))
        cluster = open_clusters[order[0]]
        rows = np.flatnonzero(free & (clusters == cluster))
        row = int(rows[np.argmax(score(rows, taken))])
        chosen.append(row)
        taken = np.append(taken, row)
        free[row] = False
        left[cluster] -= 1
        counts[cluster] += 1
    return np.array(chosen, dtype=np.int64)


def away_from_taken(table: Table, score: NDArray[np.floating[Any]]) -> Score:
    """For :func:`fill_up`: score times squared distance to the nearest row that is taken.

    ``score`` [n], not negative. So a second pick of a cluster keeps its distance from the first.
    """

    def given(rows: Rows, taken: Rows) -> NDArray[np.floating[Any]]:
        away = squared_distances(table.take(rows), table.take(taken)).min(axis=1)
        return np.asarray(score[rows] * away)

    return given
