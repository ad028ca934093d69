"""Which rows may be picked from shards: what every task that looks for picks is told."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import UsageError
from usl.engine.cells import Cell
from usl.engine.columns import Column, Reach
from usl.engine.duplicates import collapse
from usl.engine.shard_table import CellTable
from usl.engine.store import Store
from usl.numeric.arrays import Rows
from usl.selection.constraints.select_within import Constraints
from usl.selection.sharded.labelled import Labelled

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Limits:
    """All rows but those in the file ``excluded`` of the store, and but what else forbids.

    ``alike`` : the column that says which rows speak for their near-duplicates, others are out.
    ``away`` : how far rows are from what picks keep the ``distance`` from. ``kept`` : the file
    with the ``rows`` that are picked already, and which clusters are ``open``.
    """

    store: Store
    alike: Column | None = None
    away: tuple[Reach, ...] = ()
    distance: float = 0.0
    kept: str | None = None

    def beside(self, name: str, rows: Rows, open_: Mask) -> Self:
        """The same for further picks beside ``rows``, of clusters that are open, bool [c]."""
        self.store.save(name, rows=rows, open=open_)
        return replace(self, kept=name)

    def open_clusters(self) -> Mask:
        """Which clusters give further picks, bool [c]."""
        assert self.kept is not None
        return np.asarray(self.store.load(self.kept)["open"])

    def allowed(self, cell: Cell) -> Rows:
        """Positions of the rows of a cell that may be picked, ascending, int64."""
        may = ~np.isin(cell.rows, self.store.rows("excluded")[0])
        if self.alike is not None:
            may &= self.alike.of(cell)
        if self.kept is not None:
            kept = self.store.load(self.kept)
            may &= kept["open"][cell.clusters] & ~np.isin(cell.rows, kept["rows"])
        places = np.flatnonzero(may)
        for reach in self.away:
            places = places[reach.of(cell, places) >= self.distance**2]
        return places


def limited(
    table: CellTable, budget: int, constraints: Constraints, labelled: Labelled
) -> tuple[Limits, dict[str, Any]]:
    """What constraints allow, and their record, as far as known; near-duplicates are found here.

    :class:`UsageError` for a budget above what is left.
    """
    limits, record = Limits(table.store), dict[str, Any]()
    if (distance := constraints.distance_of_duplicates) is not None:
        alike, left_out = collapse(table, distance, labelled.points)
        limits = replace(limits, alike=alike)
        record |= {"collapse_duplicates": distance, "near_duplicates": left_out}
        never = len(table.store.rows("excluded")[0]) + left_out
        check_possible(budget, len(table) - never, labelled.included)
    if (least := constraints.min_distance) is not None:
        points = labelled.avoided
        away = (table.farthest(points),) if len(points) else ()
        limits = replace(limits, away=away, distance=least)
        record["min_distance"] = least
    return limits, record


def check_possible(budget: int, possible: int, included: int) -> None:
    """:class:`UsageError` for a budget above what is left to pick; must-includes come on top."""
    if budget > possible:
        raise UsageError(
            f"budget: {budget + included} given, but with these constraints there are "
            f"{possible + included} items to choose from."
        )
