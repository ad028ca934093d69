"""Further picks where clusters are short of the budget, as :mod:`usl.selection.shared.clusters`.

Round robin over the clusters with the fewest so far, the largest first. The best few rows of every
cluster are listed, given what is picked; where a list is used up, they are listed again.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from usl.numeric.arrays import Float32, Rows, Values
from usl.selection.sharded.bests import Bests
from usl.selection.sharded.kept_apart import FEW
from usl.selection.sharded.limits import Limits

if TYPE_CHECKING:
    from usl.selection.sharded.by_cluster import Partition

LONGEST = 1024  # rows of a list; every pick from it compares them with all that is taken
Rated = Callable[[Bests, Float32], tuple[Values, Values]]


def filled_up(
    picks: Bests,
    budget: int,
    limits: Limits,
    partition: Partition,
    open_: int,
    again: Callable[[Limits, Bests, int], Bests],
    rated: Rated,
) -> Bests:
    """Extend ``picks`` to ``budget``.

    Parameters
    ----------
    open_ : how many clusters have rows that may be picked.
    again : so many best rows of each cluster beside what is kept.
    rated : score and regulariser of rows, float64 [r], given the points that are taken [t, d].
    """
    counts = partition.covered + np.bincount(picks.clusters, minlength=len(partition))
    most = max(FEW, min(LONGEST, FEW * budget // max(1, open_)))  # the driver holds FEW per pick
    everywhere = np.ones(len(partition), dtype=bool)
    for number in count(1):
        if len(picks) >= budget:
            break
        beside = limits.beside(f"further/{number}", picks.rows, everywhere)
        listed = again(beside, picks, most)
        if not len(listed):
            raise RuntimeError(f"{len(picks)} rows to pick from where {budget} were counted.")
        more = _in_turn(listed, picks, budget, partition, counts, most, rated)
        picks = Bests.joined([picks, more])
    return picks


def _in_turn(
    listed: Bests,
    picks: Bests,
    budget: int,
    partition: Partition,
    counts: Rows,
    most: int,
    rated: Rated,
) -> Bests:
    """Picks of ``listed`` until they are enough, or a list of ``most`` rows is used up.

    ``counts`` int64 [c], picks and labelled rows of each cluster, grows.
    """
    known, labelled = len(picks) + len(partition.labelled), partition.labelled.points
    taken = np.empty((budget + len(labelled), listed.points.shape[1]), dtype=np.float32)
    taken[:known] = np.concatenate([labelled, picks.points])
    left = {
        int(cluster): np.flatnonzero(listed.clusters == cluster)
        for cluster in np.unique(listed.clusters)
    }
    full = {cluster for cluster, places in left.items() if len(places) == most}
    turn = [(int(counts[c]), -int(partition.sizes[c]), c) for c in left]
    heapq.heapify(turn)
    chosen: list[int] = []
    scores, regularizer = listed.scores.copy(), listed.regularizer.copy()
    while turn and len(picks) + len(chosen) < budget:
        *_, cluster = heapq.heappop(turn)
        places = left[cluster]
        if not len(places):
            if cluster in full:
                break
            continue
        score, felt = rated(listed.take(places), taken[: known + len(chosen)])
        best = int(np.lexsort((listed.rows[places], -score))[0])
        place = int(places[best])
        scores[place], regularizer[place] = score[best], felt[best]
        taken[known + len(chosen)] = listed.points[place]
        chosen.append(place)
        left[cluster] = np.delete(places, best)
        counts[cluster] += 1
        heapq.heappush(turn, (int(counts[cluster]), -int(partition.sizes[cluster]), cluster))
    known_now = replace(listed, scores=scores, regularizer=regularizer)
    return known_now.take(np.array(chosen, dtype=np.int64))
