"""Mean distance of every row to its nearest (paper Eq. 3), among the lists near it, cell by cell.

As :func:`usl.numeric.inverted_search.approximate_mean_distance` does on one machine: of the lists
near its own, a row looks into the ``probes`` whose means are nearest to it. How many that takes is
measured before, on rows whose exact neighbours are sought in the whole table. Here is what the
tasks do; :class:`usl.engine.shard_table.CellTable` leads them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from usl.engine.cells import CELL_BYTES, Cell, Cells
from usl.engine.columns import Column
from usl.numeric.arrays import Float32, Rows
from usl.numeric.distances import half_distances, halved, mean_from_half, smallest
from usl.numeric.inverted_lists import Lists
from usl.numeric.inverted_search import (
    CHUNK_BYTES,
    FEWEST_PROBES,
    MOST_PROBES,
    RECALL,
    Probing,
    row_half_norms,
    search_looked,
)
from usl.numeric.neighbor_search import LIST_ROWS

FOUND_BYTES = 256 << 20  # of the distances that rows of a cell keep while lists are read
ELSEWHERE = 1 << 40  # where rows begin that are not among those of the lists


def list_means(cells: Cells, number: int) -> Float32:
    """The means of a cell's lists, float32 [lists, d]; far from everything for an empty one."""
    cell = Cell(cells, number)
    rows, starts = cell.features, cells.starts[cell.first : cell.stop + 1] - cell.begin
    means = np.full((len(starts) - 1, rows.shape[1]), 1e3, dtype=np.float32)
    for place, (low, high) in enumerate(pairwise(starts)):
        if high > low:
            means[place] = rows[low:high].mean(axis=0, dtype=np.float64)
    return means


def density_of(
    cells: Cells, number: int, density: Column, k: int, wanted: int, probes: int, squared: bool
) -> None:
    """Write the mean distance of every row of a cell to its nearest."""
    cell = Cell(cells, number)
    rows = cell.features
    result = np.zeros(len(rows))
    if wanted:
        everywhere = probes >= cells.n_lists
        blocks = of_all(cell) if everywhere else in_lists(cell, wanted, probes)
        for start, half in blocks:
            most = min(wanted, half.shape[1])
            half.partition(most - 1, axis=1)
            near = half[:, :most]
            near[~np.isfinite(near)] = 1.5  # fewer than k in its lists: as far as can be
            stop = start + len(near)
            result[start:stop] = mean_from_half(near, rows[start:stop], k, squared)
    density.save(cell, result)


def of_all(cell: Cell) -> Iterator[tuple[int, Float32]]:
    """Half distances to all other rows, block by block of a cell: where it starts, [q, n]."""
    rows, points = cell.features, cell.cells.of_lists(np.arange(cell.cells.n_lists))
    half_norms = row_half_norms(points)
    step = max(64, CHUNK_BYTES // (4 * len(points)))
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        half: Float32 = half_norms - some @ points.T
        own = np.arange(len(some))
        half[own, cell.begin + start + own] = np.inf  # a row is no neighbour of itself
        yield start, half


def in_lists(cell: Cell, wanted: int, probes: int) -> Iterator[tuple[int, Float32]]:
    """Half distances to the nearest rows of the lists nearest to each row, block by block.

    Lists of other cells are read part by part: rows of one cell may look into most of the table.
    """
    cells, rows = cell.cells, cell.features
    means = cells.store.rows("list_means")[0]
    near = cells.store.rows("near_lists", [(cell.first, cell.stop)])[0]
    looked = np.empty((len(rows), min(probes, near.shape[1])), dtype=np.int32)
    for number, own in enumerate(near, cell.first):
        low, high = (int(cells.starts[one]) - cell.begin for one in (number, number + 1))
        if low < high:
            half = half_distances(rows[low:high], halved(means[own]))
            looked[low:high] = own[smallest(half, looked.shape[1])]
    sizes = np.diff(cells.starts)
    width = min(wanted, int(sizes[np.unique(looked)].max()))
    step = max(4096, FOUND_BYTES // (4 * width * looked.shape[1]))
    for start in range(0, len(rows), step):
        some, into = rows[start : start + step], looked[start : start + step]
        found = np.full((len(some), into.shape[1] * width), np.inf, dtype=np.float32)
        for several, points in _by_part(cell, np.unique(into)):
            ends = np.cumsum([*sizes[several], 0])  # the last has no rows: what is not in this part
            lists = Lists(np.arange(len(points)), np.concatenate([[0], ends]))
            places = np.minimum(np.searchsorted(several, into), len(several) - 1)
            here = np.where(several[places] == into, places, len(several)).astype(np.int32)
            begin = start if points is rows else ELSEWHERE
            how = here, lists, begin, width, False
            search_looked(points, row_half_norms(points), some, *how, found)
        yield start, found


def _by_part(cell: Cell, needed: Rows) -> Iterator[tuple[Rows, Float32]]:
    """Lists and their rows, part by part: first all those of a cell, whose rows are there."""
    cells, rows = cell.cells, cell.features
    yield np.arange(cell.first, cell.stop), rows
    others = needed[(needed < cell.first) | (needed >= cell.stop)].astype(np.int64)
    most = max(1, CELL_BYTES // (4 * rows.shape[1]))
    held = np.cumsum(cells.starts[others + 1] - cells.starts[others])
    for part in np.split(others, 1 + np.flatnonzero(np.diff(held // most))):
        if len(part):
            yield part, cells.of_lists(part)


def probes_needed(
    queries: Float32, own: Rows, true: Rows, means: Float32, near: Rows, average: float
) -> Probing:
    """How many lists it takes to find 98% of the nearest of some rows; and how many that finds.

    At least those that hold 800 rows, as the fewest of one machine do.

    Parameters
    ----------
    queries : the rows, float32 [q, d].
    own, true : the list of each, int64 [q], and those of its nearest, int64 [q, k].
    means, near : of all lists, float32 [m, d], and which are near each, int32 [m, c].
    average : rows of a list.
    """
    needed = np.empty_like(true)
    for row, near_own in enumerate(near[own]):
        ranks = np.full(len(means), MOST_PROBES)  # a list that is not near is never looked into
        half = half_distances(queries[row : row + 1], halved(means[near_own]))[0]
        ranks[near_own[np.argsort(half, kind="stable")]] = np.arange(len(near_own))
        needed[row] = 1 + ranks[true[row]]
    needed = np.sort(needed.ravel())
    most = near.shape[1]
    fewest = min(most, max(2, round(FEWEST_PROBES * LIST_ROWS / average)))
    probes = int(needed[min(len(needed) - 1, int(np.ceil(RECALL * len(needed))) - 1)])
    probes = min(max(probes, fewest), most)
    return Probing(probes, float((needed <= probes).mean()))


def scan_cell(cells: Cells, number: int, points: str, k: int) -> tuple[Rows, Float32]:
    """The k rows of a cell nearest to each of the ``points`` in the file of that name.

    Their numbers among the rows of all cells, int64 [q, k], and half distances, in no order.
    """
    cell = Cell(cells, number)
    rows, begin = cell.features, cell.begin
    queries = cells.store.rows(points)[0]
    half_norms = row_half_norms(rows)
    numbers = np.empty((len(queries), 0), np.int64)
    best: Float32 = np.empty((len(queries), 0), np.float32)
    for start in range(0, len(rows), 8192):
        stop = min(start + 8192, len(rows))
        half: Float32 = np.asarray(half_norms[start:stop] - queries @ rows[start:stop].T)
        near = smallest(half, min(k, stop - start))
        numbers = np.hstack([numbers, near + begin + start])
        best = np.hstack([best, np.take_along_axis(half, near, axis=1)])
        numbers, best = closest(numbers, best, k)
    return numbers, best


def closest(numbers: Rows, half: Float32, k: int) -> tuple[Rows, Float32]:
    """The k nearest of some rows found, by half distances [q, f]; those in front at ties."""
    best = smallest(half, min(k, half.shape[1]))
    return np.take_along_axis(numbers, best, 1), np.take_along_axis(half, best, 1)
