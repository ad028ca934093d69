"""Rows that count as labelled: those that have a label, and those that must be picked."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from usl.engine.cells import Cell, Cells
from usl.engine.shard_table import CellTable
from usl.numeric.arrays import Float32, Rows


@dataclass(frozen=True)
class Labelled:
    """Rows that count as labelled, ascending: numbers int64 [l] and ``points`` [l, d].

    ``included`` : how many of them are must-includes. ``avoided`` : points [a, d] that picks keep
    the minimum distance from, these and others. ``clusters`` int64 [l], once they are known.
    """

    rows: Rows
    points: Float32
    included: int
    avoided: Float32
    clusters: Rows | None = None

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def located(self, table: CellTable) -> Labelled:
        """The same with their clusters."""
        clusters = np.empty(len(self), dtype=np.int64)
        if len(self):
            for places, of in table.over(clusters_of, self.rows):
                clusters[places] = of
        return replace(self, clusters=clusters)

    def covered(self, count: int) -> Rows:
        """How many lie in each of ``count`` clusters, int64 [count]."""
        assert self.clusters is not None
        return np.bincount(self.clusters, minlength=count)


def clusters_of(cells: Cells, number: int, rows: Rows) -> tuple[Rows, Rows]:
    """Which of ``rows``, ascending, lie in a cell, as places in them, and their clusters."""
    cell = Cell(cells, number)
    here = np.flatnonzero(np.isin(cell.rows, rows))
    return np.searchsorted(rows, cell.rows[here]), cell.clusters[here]
