"""Mean distance of every row to its nearest (paper Eq. 3), among the lists near it, cell by cell.

As :func:`usl.numeric.inverted_search.approximate_mean_distance` does on one machine: of the lists
near its own, a row looks into the ``probes`` whose means are nearest to it. How many that takes is
measured before, on rows whose exact neighbours are sought in the whole table.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from usl.core.progress import Progress
from usl.engine.cells import CELL_BYTES, Cells
from usl.engine.executor import Executor
from usl.numeric.arrays import Float32, Rows, Values
from usl.numeric.distances import half_distances, halved, mean_from_half, smallest
from usl.numeric.inverted_lists import Lists, near_lists
from usl.numeric.inverted_search import (
    CHUNK_BYTES,
    FEWEST_PROBES,
    MOST_PROBES,
    RECALL,
    SAMPLE,
    Probing,
    row_half_norms,
    search_looked,
)
from usl.numeric.neighbor_search import EXACT_ROWS, LIST_ROWS

FOUND_BYTES = 256 << 20  # of the distances that rows of a cell keep while lists are read
ELSEWHERE = 1 << 40  # where rows begin that are not among those of the lists


def mean_distances(
    executor: Executor, cells: Cells, k: int, squared: bool, count_self: bool, progress: Progress
) -> Probing | None:
    """Write ``density/C`` for every cell C: float64 [r], and say how lists were searched.

    Up to ``EXACT_ROWS`` rows every row looks into all lists: None, for an exact search.
    """
    store = cells.store
    total, count = int(cells.starts[-1]), len(cells.starts) - 1
    wanted = k - 1 if count_self else k
    if not store.has("list_means"):
        parts = executor.map(list_means, [(cells, c) for c in range(len(cells))])
        means = np.concatenate(list(parts))
        store.save_rows("near_lists", np.sort(near_lists(means, MOST_PROBES), axis=1))
        store.save_rows("list_means", means)
    exact = total <= EXACT_ROWS
    if not exact and not store.has("probing"):
        found = probes_needed(executor, cells, wanted, progress)
        store.save("probing", probes=np.array(found.probes), recall=np.array(found.recall))
    probing = None
    if not exact:
        told = store.load("probing")
        probing = Probing(int(told["probes"]), float(told["recall"]))
    probes = count if probing is None else probing.probes
    there = store.sizes("density")
    items = [
        (cells, c, k, wanted, probes, squared) for c in range(len(cells)) if str(c) not in there
    ]
    for _ in executor.map(density_of, items, progress=progress, label="density"):
        pass
    return probing


def list_means(cells: Cells, cell: int) -> Float32:
    """The means of a cell's lists, float32 [lists, d]; far from everything for an empty one."""
    rows, (first, stop) = cells.features(cell), cells.lists(cell)
    starts = cells.starts[first : stop + 1] - cells.starts[first]
    means = np.full((stop - first, rows.shape[1]), 1e3, dtype=np.float32)
    for number, (low, high) in enumerate(pairwise(starts)):
        if high > low:
            means[number] = rows[low:high].mean(axis=0, dtype=np.float64)
    return means


def density_of(cells: Cells, cell: int, k: int, wanted: int, probes: int, squared: bool) -> None:
    """Write the mean distance of every row of a cell to its nearest."""
    rows = cells.features(cell)
    result = np.zeros(len(rows))
    if wanted:
        everywhere = probes >= len(cells.starts) - 1
        about = cells, cell, rows
        blocks = of_all(*about) if everywhere else in_lists(*about, wanted, probes)
        for start, half in blocks:
            most = min(wanted, half.shape[1])
            half.partition(most - 1, axis=1)
            near = half[:, :most]
            near[~np.isfinite(near)] = 1.5  # fewer than k in its lists: as far as can be
            stop = start + len(near)
            result[start:stop] = mean_from_half(near, rows[start:stop], k, squared)
    cells.store.save_rows(f"density/{cell}", result)


def of_all(cells: Cells, cell: int, rows: Float32) -> Iterator[tuple[int, Float32]]:
    """Half distances to all other rows, block by block of a cell: where it starts, [q, n]."""
    points = cells.of_lists(np.arange(len(cells.starts) - 1))
    begin, half_norms = int(cells.starts[cells.bounds[cell]]), row_half_norms(points)
    step = max(64, CHUNK_BYTES // (4 * len(points)))
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        half: Float32 = half_norms - some @ points.T
        own = np.arange(len(some))
        half[own, begin + start + own] = np.inf  # a row is no neighbour of itself
        yield start, half


def in_lists(
    cells: Cells, cell: int, rows: Float32, wanted: int, probes: int
) -> Iterator[tuple[int, Float32]]:
    """Half distances to the nearest rows of the lists nearest to each row, block by block.

    Lists of other cells are read part by part: rows of one cell may look into most of the table.
    """
    means = cells.store.rows("list_means")[0]
    (first, stop), begin = cells.lists(cell), int(cells.starts[cells.lists(cell)[0]])
    near = cells.store.rows("near_lists", [(first, stop)])[0]
    looked = np.empty((len(rows), min(probes, near.shape[1])), dtype=np.int32)
    for number, own in enumerate(near, first):
        low, high = (int(cells.starts[one]) - begin for one in (number, number + 1))
        if low < high:
            half = half_distances(rows[low:high], halved(means[own]))
            looked[low:high] = own[smallest(half, looked.shape[1])]
    sizes = np.diff(cells.starts)
    width = min(wanted, int(sizes[np.unique(looked)].max()))
    step = max(4096, FOUND_BYTES // (4 * width * looked.shape[1]))
    for start in range(0, len(rows), step):
        some, into = rows[start : start + step], looked[start : start + step]
        found = np.full((len(some), into.shape[1] * width), np.inf, dtype=np.float32)
        for several, points in _by_part(cells, rows, (first, stop), np.unique(into)):
            ends = np.cumsum([*sizes[several], 0])  # the last has no rows: what is not in this part
            lists = Lists(np.arange(len(points)), np.concatenate([[0], ends]))
            places = np.minimum(np.searchsorted(several, into), len(several) - 1)
            here = np.where(several[places] == into, places, len(several)).astype(np.int32)
            begin = start if points is rows else ELSEWHERE
            how = here, lists, begin, width, False
            search_looked(points, row_half_norms(points), some, *how, found)
        yield start, found


def _by_part(
    cells: Cells, rows: Float32, own: tuple[int, int], needed: Rows
) -> Iterator[tuple[Rows, Float32]]:
    """Lists and their rows, part by part: first all those of a cell, whose ``rows`` are known."""
    yield np.arange(*own), rows
    others = needed[(needed < own[0]) | (needed >= own[1])].astype(np.int64)
    most = max(1, CELL_BYTES // (4 * rows.shape[1]))
    held = np.cumsum(cells.starts[others + 1] - cells.starts[others])
    for part in np.split(others, 1 + np.flatnonzero(np.diff(held // most))):
        if len(part):
            yield part, cells.of_lists(part)


def probes_needed(executor: Executor, cells: Cells, k: int, progress: Progress) -> Probing:
    """How many lists it takes to find 98% of the k nearest; from the exact ones of 512 rows.

    At least those that hold 800 rows on average, as the fewest of one machine do.
    """
    total = int(cells.starts[-1])
    rng = np.random.default_rng([0, 20])
    places = np.sort(rng.choice(total, size=min(SAMPLE, total), replace=False, shuffle=False))
    of = np.searchsorted(cells.starts[cells.bounds], places, side="right") - 1
    queries = np.concatenate(
        [
            cells.some_features(cell, places[of == cell] - int(cells.starts[cells.bounds[cell]]))
            for cell in np.unique(of).tolist()
        ]
    )
    cells.store.save_rows("queries", queries)
    found: list[tuple[Rows, Float32]] = []
    items = [(cells, cell, places, k) for cell in range(len(cells))]
    for part in executor.map(scan_cell, items, progress=progress, label="recall"):
        numbers, half = part
        if found:
            numbers, half = np.hstack([found[0][0], numbers]), np.hstack([found[0][1], half])
        best = smallest(half, min(k, half.shape[1]))
        found = [(np.take_along_axis(numbers, best, 1), np.take_along_axis(half, best, 1))]
    true = np.searchsorted(cells.starts, found[0][0], side="right") - 1
    means = cells.store.rows("list_means")[0]
    near = cells.store.rows("near_lists")[0][np.searchsorted(cells.starts, places, "right") - 1]
    needed = np.empty_like(true)
    for row, own in enumerate(near):
        ranks = np.full(len(means), MOST_PROBES)  # a list that is not near is never looked into
        half = half_distances(queries[row : row + 1], halved(means[own]))[0]
        ranks[own[np.argsort(half, kind="stable")]] = np.arange(len(own))
        needed[row] = 1 + ranks[true[row]]
    needed = np.sort(needed.ravel())
    most, average = near.shape[1], total / len(means)
    fewest = min(most, max(2, round(FEWEST_PROBES * LIST_ROWS / average)))
    probes = int(needed[min(len(needed) - 1, int(np.ceil(RECALL * len(needed))) - 1)])
    probes = min(max(probes, fewest), most)
    return Probing(probes, float((needed <= probes).mean()))


def scan_cell(cells: Cells, cell: int, places: Rows, k: int) -> tuple[Rows, Float32]:
    """The k rows of a cell nearest to the rows at ``places``: places and half distances [q, k]."""
    rows, begin = cells.features(cell), int(cells.starts[cells.bounds[cell]])
    queries = cells.store.rows("queries")[0]
    half_norms = row_half_norms(rows)
    numbers = np.empty((len(queries), 0), np.int64)
    best: Float32 = np.empty((len(queries), 0), np.float32)
    for start in range(0, len(rows), 8192):
        stop = min(start + 8192, len(rows))
        half: Float32 = np.asarray(half_norms[start:stop] - queries @ rows[start:stop].T)
        inside = np.flatnonzero((places >= begin + start) & (places < begin + stop))
        half[inside, places[inside] - begin - start] = np.inf
        near = smallest(half, min(k, stop - start))
        numbers = np.hstack([numbers, near + begin + start])
        best = np.hstack([best, np.take_along_axis(half, near, axis=1)])
        near = smallest(best, min(k, best.shape[1]))
        numbers = np.take_along_axis(numbers, near, 1)
        best = np.take_along_axis(best, near, 1)
    return numbers, best


def utilities(cells: Cells, cell: int) -> Values:
    """The mean distances of a cell, float64 [r]."""
    return np.asarray(cells.store.rows(f"density/{cell}")[0])
