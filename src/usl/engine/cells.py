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
from functools import cached_property
from itertools import pairwise

import numpy as np

from usl.engine.shard_kmeans import Centroids, nearest_of
from usl.engine.shard_rows import unit_shard
from usl.engine.shards import Shards
from usl.engine.store import Store
from usl.engine.sums import save_sums
from usl.numeric.arrays import Float32, Rows
from usl.numeric.inverted_lists import stable_order
from usl.numeric.unit_rows import scale

CELL_BYTES = 64 << 20  # of the float32 rows of a cell, at most
FEWEST_CELLS, LEAST_ROWS = 8, 4096  # work for several workers, but no trifles
READERS = 32  # shards read at once: an address takes tens of milliseconds to answer


@dataclass(frozen=True)
class Cells:
    """The lists and their cells, as every task knows them.

    ``bounds`` int64 [cells + 1], the first list of each cell; ``starts`` int64 [lists + 1], the
    first row of each list, cells one after the other.
    """

    store: Store
    bounds: Rows
    starts: Rows

    def __len__(self) -> int:
        """Number of cells."""
        return len(self.bounds) - 1

    @property
    def n_lists(self) -> int:
        """Number of lists."""
        return len(self.starts) - 1

    def of_lists(self, lists: Rows) -> Float32:
        """The rows of some ``lists``, ascending, one list after the other: float32 [r, d]."""
        found = []
        of = np.searchsorted(self.bounds, lists, side="right") - 1
        for number in np.unique(of).tolist():
            cell, inside = Cell(self, number), lists[of == number]
            spans = [(int(self.starts[one]), int(self.starts[one + 1])) for one in inside]
            found += cell.parts([(low - cell.begin, high - cell.begin) for low, high in spans])
        return _scaled(np.concatenate(found))


@dataclass(frozen=True)
class Cell:
    """The rows of the lists ``first`` to ``stop``; a task reads what it asks for, once."""

    cells: Cells
    number: int

    @property
    def first(self) -> int:
        """Its first list."""
        return int(self.cells.bounds[self.number])

    @property
    def stop(self) -> int:
        """The first list of the next cell."""
        return int(self.cells.bounds[self.number + 1])

    @property
    def begin(self) -> int:
        """Where its rows begin among those of all cells."""
        return int(self.cells.starts[self.first])

    @cached_property
    def features(self) -> Float32:
        """All rows, scaled: float32 [r, d]."""
        return _scaled(self.cells.store.rows(f"cells/{self.number}")[0])

    def some_features(self, places: Rows) -> Float32:
        """Some rows, scaled, by their ``places`` in the cell: float32 [p, d]."""
        return _scaled(np.concatenate(self.parts([(one, one + 1) for one in places.tolist()])))

    def parts(self, spans: list[tuple[int, int]]) -> list[Rows]:
        """The rows of each of some spans as they are stored, those that touch as one."""
        return self.cells.store.rows(f"cells/{self.number}", joined(spans))

    @property
    def rows(self) -> Rows:
        """The number of each row in the table, int64 [r]."""
        return self._about["rows"]

    @property
    def lists(self) -> Rows:
        """The list of each row, int64 [r]."""
        return self._about["lists"]

    @property
    def clusters(self) -> Rows:
        """The cluster of each row, int64 [r]."""
        return self._about["clusters"]

    @cached_property
    def _about(self) -> dict[str, Rows]:
        found = self.cells.store.load(f"cells/{self.number}.about")
        return {name: column.astype(np.int64) for name, column in found.items()}


def joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ascending spans, those that touch made one, so that fewer are read."""
    found: list[tuple[int, int]] = []
    for first, stop in spans:
        if found and found[-1][1] == first:
            found[-1] = (found[-1][0], stop)
        else:
            found.append((first, stop))
    return found


def deal(shards: Shards, store: Store, number: int, clusters: Centroids, lists: Centroids) -> None:
    """Write the rows of a shard by list, and the sums of its clusters."""
    if store.has(f"dealt/{number}.sums"):
        return
    stored = shards.read(number)
    half = stored.astype(np.float16)
    same = np.array_equal(half.astype(np.float32), stored)
    rows = unit_shard(shards, number, stored)
    of = own = nearest_of(rows, lists.read())[0]
    if clusters != lists:
        own = nearest_of(rows, clusters.read())[0]
    order = stable_order(of, lists.count)
    store.save_rows(f"dealt/{number}", (half if same else stored)[order])
    sizes = np.bincount(of, minlength=lists.count)
    store.save_rows(f"dealt/{number}.starts", np.concatenate([[0], np.cumsum(sizes)]))
    about = np.stack([order, of[order], own[order]], axis=1).astype(np.int32)
    store.save_rows(f"dealt/{number}.about", about)
    save_sums(store, f"dealt/{number}.sums", rows, own, clusters.count)


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
