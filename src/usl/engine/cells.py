"""The rows by centroid: shards are dealt out by list, and neighbouring lists gathered into cells.

=========================== ======================================================================
dealt/S, dealt/S.starts     the rows of shard S by list (features as stored), where lists begin
dealt/S.about               per row: its position in the shard, its list, its cluster
cells/C, cells/C.about      the rows of the lists of cell C; number in the table, list, cluster
=========================== ======================================================================
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from usl.engine.partition import Work, nearest_of, unit_shard
from usl.engine.shards import Shards
from usl.engine.store import Store
from usl.engine.sums import save_sums, total
from usl.numeric.arrays import Float32, Rows
from usl.numeric.inverted_lists import stable_order
from usl.numeric.unit_rows import scale

CELL_BYTES = 64 << 20  # of the float32 rows of a cell, at most
FEWEST_CELLS, LEAST_ROWS = 8, 4096  # work for several workers, but no trifles
TOGETHER = 8  # cells that one task gathers: it reads a little of every shard, each time
READERS = 32  # of them at once: an address takes tens of milliseconds to answer


@dataclass(frozen=True)
class Cells:
    """The lists and their cells, as the driver and every task know them.

    ``bounds`` int64 [cells + 1], the first list of each cell; ``starts`` int64 [lists + 1], the
    first row of each list, cells one after the other.
    """

    store: Store
    bounds: Rows
    starts: Rows

    def __len__(self) -> int:
        """Number of cells."""
        return len(self.bounds) - 1

    def lists(self, cell: int) -> tuple[int, int]:
        """First list of a cell, and the first of the next."""
        return int(self.bounds[cell]), int(self.bounds[cell + 1])

    def features(self, cell: int) -> Float32:
        """All rows of a cell, scaled: float32 [r, d]."""
        return _scaled(self.store.rows(f"cells/{cell}")[0])

    def some_features(self, cell: int, places: Rows) -> Float32:
        """Some rows of a cell, scaled, by their ``places`` in it: float32 [p, d]."""
        spans = [(place, place + 1) for place in places.tolist()]
        return _scaled(np.concatenate(self.store.rows(f"cells/{cell}", spans)))

    def about(self, cell: int) -> tuple[Rows, Rows, Rows]:
        """Of each row of a cell its number in the table, its list and its cluster, int64 [r]."""
        found = self.store.load(f"cells/{cell}.about")
        rows, lists, clusters = (found[name] for name in ("rows", "lists", "clusters"))
        return rows, lists.astype(np.int64), clusters.astype(np.int64)

    def of_lists(self, lists: Rows) -> Float32:
        """The rows of some ``lists``, ascending, one list after the other: float32 [r, d]."""
        found = []
        of = np.searchsorted(self.bounds, lists, side="right") - 1
        for cell in np.unique(of).tolist():
            begin = int(self.starts[self.bounds[cell]])
            inside = lists[of == cell]
            spans = [
                (int(self.starts[one]) - begin, int(self.starts[one + 1]) - begin) for one in inside
            ]
            found += self.store.rows(f"cells/{cell}", joined(spans))
        return _scaled(np.concatenate(found))


def joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ascending spans, those that touch made one, so that fewer are read."""
    found: list[tuple[int, int]] = []
    for first, stop in spans:
        if found and found[-1][1] == first:
            found[-1] = (found[-1][0], stop)
        else:
            found.append((first, stop))
    return found


def make_cells(work: Work, lists: str, clusters: str) -> Cells:
    """Deal out all rows by the centroids ``lists``, note those of ``clusters``, gather the cells.

    The means of the clusters are written as ``means``: sums float64, counts int64.
    """
    store, executor = work.store, work.executor
    width = work.shards.width
    if not store.has("means"):
        count = len(store.load(f"{clusters}/centroids")["centroids"])
        dealt = [(work.shards, store, s, lists, clusters) for s in work.each_shard()]
        for _ in executor.map(deal, dealt, progress=work.progress, label="assign"):
            pass
        names = [f"dealt/{s}.sums" for s in work.each_shard()]
        sums, counts = total(executor, store, names, count, width)
        sizes = sum(np.diff(store.rows(f"dealt/{s}.starts")[0]) for s in work.each_shard())
        store.save("means", sums=sums, counts=counts, sizes=np.asarray(sizes))
    sizes = store.load("means")["sizes"]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    cells = Cells(store, cell_bounds(sizes, width), starts)
    there = store.sizes("cells")
    if not store.has("gathered"):
        items = [
            (work.shards, cells, first, min(first + TOGETHER, len(cells)))
            for first in range(0, len(cells), TOGETHER)
            if any(f"{c}.about" not in there for c in range(len(cells))[first : first + TOGETHER])
        ]
        for _ in executor.map(gather, items, progress=work.progress, label="gather"):
            pass
        store.save("gathered")
    store.remove_folder("dealt")
    return cells


def deal(shards: Shards, store: Store, number: int, lists: str, clusters: str) -> None:
    """Write the rows of a shard by list, and the sums of its clusters."""
    if store.has(f"dealt/{number}.sums"):
        return
    stored = shards.read(number)
    half = stored.astype(np.float16)
    same = np.array_equal(half.astype(np.float32), stored)
    rows = unit_shard(shards, number, stored)
    centroids = store.load(f"{lists}/centroids")["centroids"]
    of = own = nearest_of(rows, centroids)[0]
    count = groups = len(centroids)
    if clusters != lists:
        centroids = store.load(f"{clusters}/centroids")["centroids"]
        own, groups = nearest_of(rows, centroids)[0], len(centroids)
    order = stable_order(of, count)
    store.save_rows(f"dealt/{number}", (half if same else stored)[order])
    sizes = np.bincount(of, minlength=count)
    store.save_rows(f"dealt/{number}.starts", np.concatenate([[0], np.cumsum(sizes)]))
    about = np.stack([order, of[order], own[order]], axis=1).astype(np.int32)
    store.save_rows(f"dealt/{number}.about", about)
    save_sums(store, f"dealt/{number}.sums", rows, own, groups)


def gather(shards: Shards, cells: Cells, first: int, stop: int) -> None:
    """Write the cells ``first`` to ``stop``: the rows of their lists, those of a list by number."""
    store = cells.store
    lists, starts = (int(cells.bounds[first]), int(cells.bounds[stop])), shards.starts

    def read(number: int) -> tuple[Rows, Rows]:
        bounds = store.rows(f"dealt/{number}.starts", [(lists[0], lists[1] + 1)])[0]
        span = [(int(bounds[0]), int(bounds[-1]))]
        about = store.rows(f"dealt/{number}.about", span)[0].astype(np.int64)
        about[:, 0] += starts[number]
        return store.rows(f"dealt/{number}", span)[0], about

    with ThreadPoolExecutor(READERS) as readers:
        parts = list(readers.map(read, range(len(shards.parts))))
    stored, table = (np.concatenate(several) for several in zip(*parts, strict=True))
    order = np.lexsort((table[:, 0], table[:, 1]))
    begins = cells.starts[cells.bounds[first : stop + 1]]
    for cell, (low, high) in enumerate(pairwise((begins - begins[0]).tolist()), first):
        here = order[low:high]
        store.save_rows(f"cells/{cell}", stored[here])
        rows, of, clusters = table[here].T
        columns = {"lists": of.astype(np.int32), "clusters": clusters.astype(np.int32)}
        store.save(f"cells/{cell}.about", rows=np.ascontiguousarray(rows), **columns)


def cell_bounds(sizes: Rows, width: int) -> Rows:
    """First lists of the cells, each of a bounded number of rows or of one list: [cells + 1].

    ``sizes`` int64, of the lists; ``width`` of the rows.
    """
    even = max(LEAST_ROWS, int(sizes.sum()) // FEWEST_CELLS)
    bounds, held, most = [0], 0, max(1, min(CELL_BYTES // (4 * width), even))
    for number, size in enumerate(sizes.tolist()):
        if held and held + size > most:
            bounds.append(number)
            held = 0
        held += size
    return np.array([*bounds, len(sizes)], dtype=np.int64)


def _scaled(stored: Rows) -> Float32:
    rows = np.array(stored, dtype=np.float32)
    scale(rows)
    return rows
