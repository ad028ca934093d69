"""What has an entry per row of a table in cells: handles, which travel in place of the entries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from usl.engine.cells import Cell
from usl.engine.store import Store
from usl.numeric.arrays import Float32, Rows
from usl.numeric.farthest import squared_to_points


@dataclass(frozen=True)
class Column:
    """An entry for every row, in a file ``name/C`` for each cell C."""

    store: Store
    name: str

    def of(self, cell: Cell) -> NDArray[Any]:
        """The entries of a cell's rows, [r]."""
        return self.store.rows(f"{self.name}/{cell.number}")[0]

    def save(self, cell: Cell, entries: NDArray[Any]) -> None:
        """Write the entries of a cell's rows."""
        self.store.save_rows(f"{self.name}/{cell.number}", entries)

    def missing(self, cells: int) -> list[int]:
        """Which of so many cells have no entries yet."""
        there = self.store.sizes(self.name)
        return [number for number in range(cells) if str(number) not in there]


@dataclass(frozen=True)
class Reach:
    """How far every row is from the nearest of some points, which lie in the file ``name``.

    As :class:`usl.numeric.table.Anchored`, but no distance is written: a task that has rows in
    hand anyway asks for theirs. For more points ask the table again.
    """

    store: Store
    name: str

    def of(self, cell: Cell, places: Rows) -> Float32:
        """Squared distances of the rows at some ``places`` in a cell, float32 [p]."""
        return squared_to_points(cell.features, places, self.store.rows(self.name)[0])
