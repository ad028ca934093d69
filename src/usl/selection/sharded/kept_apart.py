"""Constraints on picks from shards: near-duplicates are left out, and picks keep a distance.

The distance is kept as on one machine: of the picks, best first, those far enough from all before
them stay; the others' clusters pick again, far enough from what stays. Here the partition stays as
it is for that; where a cluster has no room left, others give a further pick.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import UsageError
from usl.engine.cells import Cells
from usl.engine.duplicates import collapse
from usl.engine.partition import Work
from usl.selection.constraints.select_within import Constraints
from usl.selection.constraints.spacing import keep_apart
from usl.selection.sharded.bests import Apart, Bests
from usl.selection.sharded.labelled import Labelled

if TYPE_CHECKING:
    from usl.selection.sharded.by_cluster import Partition

Mask = NDArray[np.bool_]
FEW = 8  # rows of a cluster that may take the place of its pick


def collapsed(
    work: Work,
    cells: Cells,
    lists: str,
    budget: int,
    constraints: Constraints,
    labelled: Labelled,
) -> dict[str, Any]:
    """Leave out near-duplicates where that is asked; the constraints' record, as far as known.

    :class:`UsageError` for a budget above what is left.
    """
    record: dict[str, Any] = {}
    if (distance := constraints.distance_of_duplicates) is not None:
        left_out = collapse(work, cells, lists, distance)
        record |= {"collapse_duplicates": distance, "near_duplicates": left_out}
        never = len(work.store.rows("excluded")[0]) + left_out
        check_possible(budget, len(work.shards) - never, labelled.included)
    if constraints.min_distance is not None:
        record["min_distance"] = constraints.min_distance
    return record


def check_possible(budget: int, possible: int, included: int) -> None:
    """:class:`UsageError` for a budget above what is left to pick; must-includes come on top."""
    if budget > possible:
        raise UsageError(
            f"budget: {budget + included} given, but with these constraints there are "
            f"{possible + included} items to choose from."
        )


def keep(work: Work, name: str, picks: Bests, open_: Mask) -> Apart:
    """Write what is kept, and which clusters, bool [c], are open."""
    work.store.save(name, rows=picks.rows, points=picks.points, open=open_)
    return Apart(name)


def spaced(
    work: Work,
    picks: Bests,
    budget: int,
    distance: float,
    again: Callable[[Apart, Bests, int], Bests],
    record: dict[str, Any],
    partition: Partition,
) -> Bests:
    """``budget`` picks, no two nearer than ``distance``; ``picks`` come best first.

    Parameters
    ----------
    again : so many best rows of open clusters that are far enough from what is kept.
    record : gets ``rounds``, and how many picks are ``replaced``.

    Raises
    ------
    UsageError
        where no row is left that is far enough from all picks.
    """
    kept = picks.take(keep_apart(picks.points, distance, budget))
    first, rounds, everywhere = len(kept), 1, False
    while len(kept) < budget:
        open_ = np.ones(len(partition), dtype=bool)
        if not everywhere:
            open_[kept.clusters] = False
        apart = replace(keep(work, f"apart/{rounds}", kept, open_), distance=distance)
        rounds += 1
        found = again(apart, kept, FEW).ranked()
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
