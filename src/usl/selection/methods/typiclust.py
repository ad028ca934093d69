"""TypiClust: the most typical item of each k-means cluster (Hacohen, Dekel & Weinshall, 2022).

1. k-means into L + budget clusters (L: labelled rows), 500 at most.
2. Clusters with the fewest labels first, the larger first; clusters of up to 5 items last.
3. Round robin over them: the item with the nearest neighbours among the cluster's unlabelled rest.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from usl.core.parameters import Positive
from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32
from usl.numeric.distances import mean_neighbor_distance
from usl.numeric.stage_cache import NOTHING, Keep
from usl.numeric.table import as_table
from usl.selection.contract import Picks
from usl.selection.shared.kept import kept_partition

DRAWN = "k-means starts from random rows"
SMALL = 5  # items; clusters up to this size are served when no other has a candidate left

# Whether to square distances, and what is added to their mean. The paper divides by d, the released
# code by d^2, as its index returns it. The paper adds nothing: ours keeps coinciding items finite.
PRESETS: dict[str, tuple[bool, float]] = {"paper": (False, 1e-6), "released": (True, 1e-5)}


def pick(
    features: Float32,
    budget: int,
    *,
    labeled: NDArray[np.int64],
    candidates: NDArray[np.int64],
    seed: int = 0,
    progress: Progress = silent,
    keep: Keep = NOTHING,
    preset: Literal["paper", "released"] = "paper",
    k: Annotated[int, Positive] = 20,
    max_clusters: Annotated[int, Positive] = 500,
    iterations: Annotated[int, Positive] = 200,
) -> Picks:
    """Pick the most typical candidate of each cluster, round robin over the clusters.

    Two departures from the released code: its k-means is unseeded, mini-batch above 50 clusters;
    and where it runs out of clusters or of a cluster's items it fails, here the budget is met.

    Parameters
    ----------
    preset : typicality is 1 / mean distance in the ``paper``, 1 / (mean squared distance + 1e-5)
        in the ``released`` code.
    k : neighbours in the typicality; at most half of what is left of the cluster.
    max_clusters : upper bound of the number of clusters.
    iterations : upper bound of the k-means iterations.
    """
    squared, floor = PRESETS[preset]
    own = {"k": k, "max_clusters": max_clusters, "iterations": iterations}
    count = min(len(labeled) + budget, max_clusters, len(features))
    table = as_table(features)
    clusters = kept_partition(
        table, count, seed=seed, iterations=iterations, progress=progress, keep=keep
    )

    rest = clusters.copy()  # -1 once labelled or picked: no neighbour of the others any more
    rest[labeled] = -1
    allowed = np.zeros(len(features), dtype=bool)
    allowed[candidates] = True
    picks: list[int] = []
    typicality: list[float] = []
    sizes = np.bincount(clusters, minlength=count)
    covered = np.bincount(clusters[labeled], minlength=count)
    while len(picks) < budget:
        left = np.bincount(clusters[allowed], minlength=count) > 0
        for cluster in in_turn(sizes, covered, left):
            rows = np.flatnonzero(rest == cluster)
            score = np.zeros(len(rows))
            if len(rows) > 1:
                near = min(k, len(rows) // 2)
                mean = mean_neighbor_distance(table.take(rows), near, squared=squared)
                score = 1 / (mean + floor)
            best = int(np.where(allowed[rows], score, -1).argmax())
            row = int(rows[best])
            rest[row], allowed[row] = -1, False
            picks.append(row)
            typicality.append(float(score[best]))
            progress(len(picks), budget, "picks")
            if len(picks) == budget:
                break
    return Picks(
        np.array(picks, dtype=np.int64),
        clusters=clusters,
        utility=np.array(typicality),
        parameters={"preset": preset, **own},
    )


def in_turn(
    sizes: NDArray[np.int64], covered: NDArray[np.int64], left: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """The clusters with a candidate ``left``: fewest labels first, then the larger, then the lower.

    Small ones only if no other is left. ``sizes``, labels (``covered``) and ``left``, each [c].
    """
    order = np.lexsort((-sizes, covered))
    open_ = order[left[order]]
    large = open_[sizes[open_] > SMALL]
    return large if len(large) else open_
