"""Picks from shards that keep a distance from each other.

As on one machine: of the picks, best first, those far enough from all before them stay; the others'
clusters pick again, far enough from what stays. Here the partition stays as it is for that; where a
cluster has no room left, others give a further pick.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from usl.core.errors import UsageError
from usl.selection.constraints.spacing import keep_apart
from usl.selection.sharded.bests import Bests
from usl.selection.sharded.limits import Limits

if TYPE_CHECKING:
    from usl.selection.sharded.by_cluster import Partition

FEW = 8  # rows of a cluster that may take the place of its pick


def spaced(
    picks: Bests,
    budget: int,
    limits: Limits,
    again: Callable[[Limits, Bests, int], Bests],
    record: dict[str, Any],
    partition: Partition,
) -> Bests:
    """``budget`` picks, no two nearer than the distance; ``picks`` come best first.

    Parameters
    ----------
    again : so many best rows of open clusters that are far enough from what is kept.
    record : gets ``rounds``, and how many picks are ``replaced``.

    Raises
    ------
    UsageError
        where no row is left that is far enough from all picks.
    """
    distance = limits.distance
    kept = picks.take(keep_apart(picks.points, distance, budget))
    first, rounds, everywhere = len(kept), 1, False
    while len(kept) < budget:
        open_ = np.ones(len(partition), dtype=bool)
        if not everywhere:
            open_[kept.clusters] = False
        beside = limits.beside(f"apart/{rounds}", kept.rows, open_)
        away = *limits.away, partition.table.farthest(kept.points)
        rounds += 1
        found = again(replace(beside, away=away), kept, FEW).ranked()
        if not len(found) and everywhere:
            included = partition.labelled.included
            raise UsageError(
                f"min_distance: at {distance:g} room was found for {included + len(kept)} picks of "
                f"the {included + budget} wanted. Lower the distance or the budget."
            )
        everywhere = everywhere or not len(found)
        places = keep_apart(found.points, distance, budget - len(kept), found.clusters)
        kept = Bests.joined([kept, found.take(places)])
    record |= {"rounds": rounds, "replaced": budget - first}
    return kept
