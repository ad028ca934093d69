"""Near-duplicates among all rows: which may be picked, each speaking for those near it.

As :func:`usl.numeric.near_duplicates.near_duplicates`: no two representatives are near each other,
and every other row is near one. The cells work at the same time, in rounds:

1. Every cell proposes representatives for its rows that are open, as one machine would.
2. A proposal that is near one of an earlier cell is withdrawn.
3. Rows near a proposal that stands are its duplicates; what is left is open in the next round.

The first cell's proposals stand, so that this ends; nearly all is settled in the first round.
Rows near a known point, of a labelled row say, are its duplicates before the first.

=========================== ======================================================================
alike/C-R.proposed, .stands bool, of each row of cell C in round R
alike/C-R                   after the round: which rows are ``open``, and which ``speak``; of
                            round 0 the former alone
alike/C                     which rows may be picked, once none is open
=========================== ======================================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from usl.engine.cells import Cell, Cells
from usl.engine.columns import Column, Reach
from usl.engine.shard_kmeans import Centroids
from usl.engine.shard_table import CellTable
from usl.numeric.arrays import Float32
from usl.numeric.distances import half_distances, halved, squared_distances
from usl.numeric.near_duplicates import BLOCK, ROUNDING, near_duplicates

Mask = NDArray[np.bool_]


def collapse(table: CellTable, distance: float, known: Float32) -> tuple[Column, int]:
    """Which rows may be picked, and how many are left out as near-duplicates.

    ``known`` : points [k, d] whose near-duplicates are left out, too.
    """
    store, alike = table.store, Column(table.store, "alike")
    if not store.has("collapsed"):
        left_out, among = 0, list(range(len(table.cells)))
        near = table.farthest(known) if len(known) else None
        for number in count(1):
            if not among:
                break
            proposing = [(table.cells, c, number, distance, near) for c in among]
            told = list(table.executor.map(propose, proposing))
            turn = Round(number, distance, table.list_centroids, among)
            items = [(table.cells, c, turn) for c in among]
            for task, label in ((withdraw, ""), (settle, "duplicates")):
                told = list(table.executor.map(task, items, progress=table.progress, label=label))
            left_out += sum(gone for _, gone in told)
            among = [c for c, (open_, _) in zip(among, told, strict=True) if open_]
        store.save("collapsed", left_out=np.array(left_out))
    return alike, int(store.load("collapsed")["left_out"])


@dataclass(frozen=True)
class Round:
    """A round, from 1, in which the cells ``among`` have open rows.

    ``centroids`` : those of the lists; a row lies in the list of the nearest.
    """

    number: int
    distance: float
    centroids: Centroids
    among: Sequence[int]


def propose(cells: Cells, cell: int, number: int, distance: float, known: Reach | None) -> None:
    """Write one proposal for each group of open rows of a cell that look alike."""
    store, name = cells.store, f"alike/{cell}-{number}.proposed"
    if store.has(name):
        return
    own = Cell(cells, cell)
    if number == 1:
        open_ = _free(own)
        places = np.flatnonzero(open_)
        if known is not None:
            open_[places] = known.of(own, places) >= distance**2
        store.save(f"alike/{cell}-0", open=open_)
    open_ = _open(cells, cell, number)
    order = np.argsort(own.rows)  # the turn of the rows is that of the table
    points = own.features[order]
    del own  # they are held once
    original = near_duplicates(points, distance, rows=np.flatnonzero(open_[order]))
    proposed = np.empty(len(order), dtype=bool)
    proposed[order] = original == np.arange(len(order))
    store.save_rows(name, proposed & open_)


def withdraw(cells: Cells, cell: int, turn: Round) -> None:
    """Write the proposals of a cell that are near none of an earlier cell."""
    store, name = cells.store, f"alike/{cell}-{turn.number}.stands"
    if store.has(name):
        return
    stands = store.rows(f"alike/{cell}-{turn.number}.proposed")[0].copy()
    earlier = [other for other in turn.among if other < cell]
    stands[near_one(cells, cell, np.flatnonzero(stands), earlier, "proposed", turn)] = False
    store.save_rows(name, stands)


def settle(cells: Cells, cell: int, turn: Round) -> tuple[int, int]:
    """End a round for a cell: how many of its rows are still open, and how many fell out."""
    store, number = cells.store, turn.number
    name = f"alike/{cell}-{number}"
    before = _open(cells, cell, number)
    stands = store.rows(f"{name}.stands")[0]
    if not store.has(name):
        open_ = before & ~stands
        open_[near_one(cells, cell, np.flatnonzero(open_), turn.among, "stands", turn)] = False
        speak = stands.copy()
        if number > 1:
            speak |= store.load(f"alike/{cell}-{number - 1}")["speak"]
        if not open_.any():
            store.save_rows(f"alike/{cell}", speak)
        store.save(name, open=open_, speak=speak)
    open_ = store.load(name)["open"]
    if number == 1:
        before = _free(Cell(cells, cell))
    return int(open_.sum()), int((before & ~stands & ~open_).sum())


def near_one(
    cells: Cells,
    cell: int,
    places: NDArray[np.int64],
    others: Sequence[int],
    what: str,
    turn: Round,
) -> NDArray[np.int64]:
    """Those of ``places`` in a cell that are near a row of ``others`` marked as ``what``.

    A row can be near one of another list only if it is near the plane between the two centroids.
    """
    if not len(places) or not others:
        return places[:0]
    store = cells.store
    here = Cell(cells, cell)
    points, centers = here.features[places], turn.centroids.read()
    own = centers[here.lists[places]]
    del here  # of its rows only those are held
    to_own = 0.5 * np.einsum("ij,ij->i", own, own) - np.einsum("ij,ij->i", points, own)
    found = np.zeros(len(places), dtype=bool)
    for other in others:
        beside = Cell(cells, other)
        first, stop = beside.first, beside.stop
        there, base = centers[first:stop], halved(centers[first:stop])
        reach = np.zeros((len(places), stop - first), dtype=bool)
        for low in range(0, len(places), BLOCK):
            part = slice(low, low + BLOCK)
            beyond = half_distances(points[part], base) - to_own[part, None]
            apart = np.sqrt(squared_distances(own[part], there))
            reach[part] = beyond <= turn.distance * apart + ROUNDING
        lists = first + np.flatnonzero(reach.any(axis=0))
        if not len(lists):
            continue
        marked = store.rows(f"alike/{other}-{turn.number}.{what}")[0]
        rows, low = cells.of_lists(lists), 0
        for one in lists.tolist():
            span = slice(*(cells.starts[one : one + 2] - beside.begin).tolist())
            high = low + span.stop - span.start
            some, low = rows[low:high][marked[span]], high
            near = np.flatnonzero(reach[:, one - first] & ~found)
            for start in range(0, len(near) if len(some) else 0, BLOCK):
                block = near[start : start + BLOCK]
                squared = squared_distances(points[block], some)
                found[block] = (squared < turn.distance**2).any(axis=1)
    return places[found]


def _open(cells: Cells, cell: int, number: int) -> Mask:
    """Which rows of a cell are neither representatives nor duplicates before a round."""
    return np.asarray(cells.store.load(f"alike/{cell}-{number - 1}")["open"])


def _free(cell: Cell) -> Mask:
    """Which rows of a cell may be picked, near-duplicates or not."""
    return ~np.isin(cell.rows, cell.cells.store.rows("excluded")[0])
