"""k-means: the row nearest to each centroid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32
from usl.numeric.stage_cache import NOTHING, Keep
from usl.numeric.table import as_table
from usl.selection.contract import Picks
from usl.selection.shared.clusters import best_per_cluster, cluster_ids, fill_up, serve

NAME = "k-means"
DRAWN = "k-means starts from random rows"
BLOCK = 8192  # rows


def pick(
    features: Float32,
    budget: int,
    *,
    labeled: NDArray[np.int64],
    candidates: NDArray[np.int64],
    seed: int = 0,
    progress: Progress = silent,
    keep: Keep = NOTHING,
    iterations: int = 200,
) -> Picks:
    """Partition into budget + L clusters (L: labelled rows), pick the row nearest each mean.

    Parameters
    ----------
    iterations : upper bound of the k-means iterations.
    """
    table = as_table(features)
    clusters = cluster_ids(
        table, budget, labeled, seed=seed, iterations=iterations, progress=progress, keep=keep
    )
    counts = np.bincount(clusters)
    means = table.sums(clusters, len(counts)) / np.maximum(counts, 1)[:, None]

    def to_mean(points: Float32, of: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(-np.linalg.norm(points - means[of], axis=1))

    closeness = np.concatenate(list(table.map(to_mean, clusters, block=BLOCK)))
    best = best_per_cluster(closeness, clusters, candidates)
    picks = serve(best, clusters, budget, labeled)
    picks = fill_up(
        picks, clusters, budget, labeled, candidates, lambda rows, taken: closeness[rows]
    )
    return Picks(
        picks,
        clusters=clusters,
        utility=closeness[picks],
        parameters={"iterations": iterations},
    )
