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
from itertools import count

import numpy as np
from numpy.typing import NDArray

from usl.engine.cells import Cells
from usl.engine.partition import Work
from usl.numeric.blocks import rows_per_block
from usl.numeric.distances import half_distances, halved, squared_distances
from usl.numeric.near_duplicates import BLOCK, ROUNDING, near_duplicates

Mask = NDArray[np.bool_]


def collapse(work: Work, cells: Cells, centroids: str, distance: float) -> int:
    """Write ``alike/C`` for every cell C; how many rows are left out as near-duplicates.

    ``centroids`` : the name under which those of the lists were fitted; a row lies in the list of
    the nearest.
    """
    executor, store = work.executor, work.store
    if not store.has("collapsed"):
        left_out, among = 0, list(range(len(cells)))
        for number in count(1):
            if not among:
                break
            about = number, distance
            told = list(executor.map(propose, [(cells, c, *about) for c in among]))
            for task in (withdraw, settle):
                items = [(cells, c, *about, centroids, among) for c in among]
                label = "duplicates" if task is settle else ""
                told = list(executor.map(task, items, progress=work.progress, label=label))
            left_out += sum(gone for _, gone in told)
            among = [c for c, (open_, _) in zip(among, told, strict=True) if open_]
        store.save("collapsed", left_out=np.array(left_out))
    return int(store.load("collapsed")["left_out"])


def propose(cells: Cells, cell: int, number: int, distance: float) -> None:
    """Write one proposal for each group of open rows of a cell that look alike."""
    store, name = cells.store, f"alike/{cell}-{number}.proposed"
    if store.has(name):
        return
    if number == 1:
        store.save(f"alike/{cell}-0", open=_far_from_known(cells, cell, distance))
    open_ = _open(cells, cell, number)
    order = np.argsort(cells.about(cell)[0])  # the turn of the rows is that of the table
    points = cells.features(cell)[order]
    original = near_duplicates(points, distance, rows=np.flatnonzero(open_[order]))
    proposed = np.empty(len(order), dtype=bool)
    proposed[order] = original == np.arange(len(order))
    store.save_rows(name, proposed & open_)


def withdraw(
    cells: Cells, cell: int, number: int, distance: float, centroids: str, among: Sequence[int]
) -> None:
    """Write the proposals of a cell that are near none of an earlier cell."""
    store, name = cells.store, f"alike/{cell}-{number}.stands"
    if store.has(name):
        return
    stands = store.rows(f"alike/{cell}-{number}.proposed")[0].copy()
    earlier = [other for other in among if other < cell]
    about = number, "proposed", distance, centroids
    stands[near_one(cells, cell, np.flatnonzero(stands), earlier, *about)] = False
    store.save_rows(name, stands)


def settle(
    cells: Cells, cell: int, number: int, distance: float, centroids: str, among: Sequence[int]
) -> tuple[int, int]:
    """End a round for a cell: how many of its rows are still open, and how many fell out."""
    store, name = cells.store, f"alike/{cell}-{number}"
    before = _open(cells, cell, number)
    stands = store.rows(f"{name}.stands")[0]
    if not store.has(name):
        open_ = before & ~stands
        about = number, "stands", distance, centroids
        open_[near_one(cells, cell, np.flatnonzero(open_), among, *about)] = False
        speak = stands.copy()
        if number > 1:
            speak |= store.load(f"alike/{cell}-{number - 1}")["speak"]
        if not open_.any():
            store.save_rows(f"alike/{cell}", speak)
        store.save(name, open=open_, speak=speak)
    open_ = store.load(name)["open"]
    if number == 1:
        before = _free(cells, cell)
    return int(open_.sum()), int((before & ~stands & ~open_).sum())


def near_one(
    cells: Cells,
    cell: int,
    places: NDArray[np.int64],
    others: Sequence[int],
    number: int,
    what: str,
    distance: float,
    centroids: str,
) -> NDArray[np.int64]:
    """Those of ``places`` in a cell that are near a row of ``others`` marked as ``what``.

    A row can be near one of another list only if it is near the plane between the two centroids.
    """
    if not len(places) or not others:
        return places[:0]
    store = cells.store
    points, of = cells.features(cell)[places], cells.about(cell)[1][places]
    centers = store.load(f"{centroids}/centroids")["centroids"]
    own = centers[of]
    to_own = 0.5 * np.einsum("ij,ij->i", own, own) - np.einsum("ij,ij->i", points, own)
    found = np.zeros(len(places), dtype=bool)
    for other in others:
        first, stop = cells.lists(other)
        there, base = centers[first:stop], halved(centers[first:stop])
        reach = np.zeros((len(places), stop - first), dtype=bool)
        for low in range(0, len(places), BLOCK):
            part = slice(low, low + BLOCK)
            beyond = half_distances(points[part], base) - to_own[part, None]
            apart = np.sqrt(squared_distances(own[part], there))
            reach[part] = beyond <= distance * apart + ROUNDING
        lists = first + np.flatnonzero(reach.any(axis=0))
        if not len(lists):
            continue
        marked = store.rows(f"alike/{other}-{number}.{what}")[0]
        begin = int(cells.starts[first])
        rows, low = cells.of_lists(lists), 0
        for one in lists.tolist():
            span = slice(int(cells.starts[one]) - begin, int(cells.starts[one + 1]) - begin)
            high = low + span.stop - span.start
            some, low = rows[low:high][marked[span]], high
            near = np.flatnonzero(reach[:, one - first] & ~found)
            for start in range(0, len(near) if len(some) else 0, BLOCK):
                block = near[start : start + BLOCK]
                squared = squared_distances(points[block], some)
                found[block] = (squared < distance**2).any(axis=1)
    return places[found]


def _open(cells: Cells, cell: int, number: int) -> Mask:
    """Which rows of a cell are neither representatives nor duplicates before a round."""
    return np.asarray(cells.store.load(f"alike/{cell}-{number - 1}")["open"])


def _free(cells: Cells, cell: int) -> Mask:
    """Which rows of a cell may be picked, near-duplicates or not."""
    return ~np.isin(cells.about(cell)[0], cells.store.rows("excluded")[0])


def _far_from_known(cells: Cells, cell: int, distance: float) -> Mask:
    """Which rows of a cell may be picked and are near none of the points ``known`` [k, d]."""
    open_, store = _free(cells, cell), cells.store
    if store.has("known"):
        points, known = cells.features(cell), store.rows("known")[0]
        places, step = np.flatnonzero(open_), rows_per_block(4 * len(known))
        for first in range(0, len(places), step):
            some = places[first : first + step]
            open_[some] = (squared_distances(points[some], known) >= distance**2).all(axis=1)
    return open_
