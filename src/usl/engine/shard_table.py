"""A large table in shards: the verbs of :class:`usl.numeric.table.Table`, as tasks for workers.

What has an entry per row stays in files beside the rows; a verb gives a handle of it
(:mod:`usl.engine.columns`). Points that tasks need, a few for each, travel as a file, too.

================= ================================================================================
ShardTable        rows in the order of the shards: ``take``, ``kmeans``, ``assign``, ``farthest``
CellTable         the same rows by centroid, which ``assign`` gives: it searches and sums
================= ================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from usl.core.hashing import array_digest
from usl.core.progress import Progress, silent
from usl.engine.cells import Cell, Cells, cell_bounds, deal, gather
from usl.engine.columns import Column, Reach
from usl.engine.densities import closest, density_of, list_means, probes_needed, scan_cell
from usl.engine.executor import Executor
from usl.engine.shard_kmeans import Centroids, draw, first_centroids, restart, step_of
from usl.engine.shard_rows import collected, take_unit
from usl.engine.shards import Shards
from usl.engine.store import Store
from usl.engine.sums import total
from usl.numeric.arrays import Float32, Rows, Values
from usl.numeric.distances import nearest_from_half
from usl.numeric.inverted_lists import Groups, near_lists
from usl.numeric.inverted_search import MOST_PROBES, SAMPLE, Probing
from usl.numeric.kmeans import EXACT_CLUSTERS, EXACT_PAIRS
from usl.numeric.kmeans_large import NEAR, SETTLED
from usl.numeric.neighbor_search import EXACT_ROWS

ROWS_PER_CENTROID = 256
STEPS = 10
RENEWED = 2  # steps after which lists of near centroids are made anew
TOGETHER = 8  # cells that one task gathers: it reads a little of every shard, each time


@dataclass(frozen=True)
class ShardTable:
    """The rows of ``shards``, scaled to unit length; ``store`` has what tasks make of them.

    ``executor`` runs the tasks. A file that is there is not made again.
    """

    shards: Shards
    store: Store
    executor: Executor
    progress: Progress = silent

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d)."""
        return len(self.shards), self.shards.width

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.shards)

    def each_shard(self) -> range:
        """The numbers of the shards."""
        return range(len(self.shards.parts))

    def take(self, rows: Rows) -> Float32:
        """See :meth:`usl.numeric.table.Table.take`; never all of them."""
        if not len(rows):
            return np.empty((0, self.shards.width), dtype=np.float32)
        how: dict[str, Any] = {"progress": self.progress, "label": "sample"}
        return collected(take_unit, self.executor, self.shards, rows, **how)

    def kmeans(self, count: int, *, seed: int) -> Centroids:
        """``count`` <= n centroids, fitted on a sample (:mod:`usl.engine.shard_kmeans`).

        :meth:`assign` then finds the clusters. Every shard draws from the ``seed`` by itself.
        """
        store, name = self.store, f"kmeans-{count}-{seed}"
        fitted = Centroids(store, f"{name}/centroids", count)
        if store.has(fitted.name):
            return fitted
        size = min(len(self), ROWS_PER_CENTROID * count)
        bounds = self.shards.starts * size // len(self)
        items = [
            (self.shards, store, f"{name}/sample-{s}", s, int(bounds[s + 1] - bounds[s]), seed)
            for s in self.each_shard()
        ]
        self._run(draw, items, "sample")
        samples = [item[2] for item in items if item[4]]
        centroids = first_centroids(store, samples, count)
        always = count <= EXACT_CLUSTERS or size * count <= EXACT_PAIRS
        farthest = -(-count // len(samples))  # of a shard: those of all can restart every cluster
        before, last = np.inf, 0
        for step in range(1, STEPS + 1):
            exact = always or step == 1
            if exact:
                near = np.zeros((count, 0), np.int32)
            elif step % RENEWED == 0:
                near = near_lists(centroids, NEAR)
            store.save(f"{name}/step-{step}", centroids=centroids, near=near)
            tasks = [(store, name, s, step, exact, farthest) for s in samples]
            told = list(self.executor.map(step_of, tasks))
            parts = [f"{s}.sums-{step}" for s in samples]  # a host cut off may write one late
            sums, counts = total(self.executor, store, parts, count, self.shards.width)
            filled = counts > 0
            centroids[filled] = sums[filled] / counts[filled, None]
            restart(centroids, np.flatnonzero(~filled), [far for _, far in told])
            inertia, last = sum(value for value, _ in told), step
            self.progress(step, STEPS, "k-means")
            if before - inertia <= SETTLED * inertia:
                break
            before = inertia
        self.progress(STEPS, STEPS, "k-means")
        store.save(fitted.name, centroids=centroids[Groups.of(centroids).lists.order])
        steps = range(1, last + 1)
        store.remove([*samples, *(f"{name}/step-{step}" for step in steps)])
        store.remove(f"{s}.clusters-{step}" for s in samples for step in steps)
        return fitted

    def assign(self, centers: Centroids, lists: Centroids | None = None) -> CellTable:
        """The nearest of ``centers`` for every row, ties: the lower; rows are dealt out by it.

        Or by the nearest of ``lists``. The sums of the clusters are added up in the same pass. A
        store holds one such table.
        """
        store, lists = self.store, lists or centers
        if not store.has("means"):
            dealt = [(self.shards, store, s, centers, lists) for s in self.each_shard()]
            self._run(deal, dealt, "assign")
            names = [f"dealt/{s}.sums" for s in self.each_shard()]
            sums, counts = total(self.executor, store, names, centers.count, self.shards.width)
            sizes = sum(np.diff(store.rows(f"dealt/{s}.starts")[0]) for s in self.each_shard())
            store.save("means", sums=sums, counts=counts, sizes=np.asarray(sizes))
        known = store.load("means")
        starts = np.concatenate([[0], np.cumsum(known["sizes"])]).astype(np.int64)
        cells = Cells(store, cell_bounds(known["sizes"], self.shards.width), starts)
        if not store.has("gathered"):
            there = store.sizes("cells")
            missing = [c for c in range(len(cells)) if f"{c}.about" not in there]
            items = [
                (self.shards, cells, first, min(first + TOGETHER, len(cells)))
                for first in sorted({c // TOGETHER * TOGETHER for c in missing})
            ]
            self._run(gather, items, "gather")
            store.save("gathered")
        store.remove_folder("dealt")
        own = self.shards, store, self.executor, self.progress
        return CellTable(*own, cells=cells, list_centroids=lists, counts=known["counts"])

    def farthest(self, anchors: Float32) -> Reach:
        """Squared distance of every row to the nearest of the points ``anchors`` [a, d]."""
        return Reach(self.store, self._sent(anchors))

    def _sent(self, points: Float32) -> str:
        """Write points for tasks; the name of the file, which is the same for the same points."""
        name = f"points/{array_digest(points)}"
        self.store.save_rows(name, points)
        return name

    def _run(self, task: Callable[..., None], items: list[Any], label: str) -> None:
        for _ in self.executor.map(task, items, progress=self.progress, label=label):
            pass


@dataclass(frozen=True)
class CellTable(ShardTable):
    """The rows of a table by the nearest of some centroids; row p is the p-th, list after list.

    ``cells`` hold the rows by list, each with its cluster and its number in the shards; a row lies
    in the list of the nearest of ``list_centroids``. ``counts`` int64 [m], rows of each cluster.
    """

    cells: Cells = field(kw_only=True)
    list_centroids: Centroids = field(kw_only=True)
    counts: Rows = field(kw_only=True)

    def over(self, task: Callable[..., Any], *how: Any, label: str = "") -> Iterator[Any]:
        """``task(cells, number, *how)`` for every cell, in order."""
        items = [(self.cells, number, *how) for number in range(len(self.cells))]
        progress = self.progress if label else silent
        return self.executor.map(task, items, progress=progress, label=label)

    def take(self, rows: Rows) -> Float32:
        """See :meth:`usl.numeric.table.Table.take`; read here, row by row."""
        found = np.empty((len(rows), self.shards.width), dtype=np.float32)
        of = np.searchsorted(self.cells.starts[self.cells.bounds], rows, side="right") - 1
        for number in np.unique(of).tolist():
            cell = Cell(self.cells, number)
            found[of == number] = cell.some_features(rows[of == number] - cell.begin)
        return found

    def sums(self) -> Values:
        """The sum of the rows of each cluster, float64 [m, d]: :meth:`assign` has added them up."""
        return self.store.load("means")["sums"]

    def nearest(
        self, k: int, points: Float32, *, label: str = "neighbours"
    ) -> tuple[Rows, Float32]:
        """The k rows nearest to each of ``points`` [q, d]; all rows are looked at.

        See :meth:`usl.numeric.table.Table.nearest`.
        """
        k = min(k, len(self))
        numbers, half = np.empty((len(points), 0), np.int64), np.empty((len(points), 0), np.float32)
        for more, away in self.over(scan_cell, self._sent(points), k, label=label):
            numbers, half = closest(np.hstack([numbers, more]), np.hstack([half, away]), k)
        return nearest_from_half(half, points, k, numbers)

    def mean_distance(
        self, k: int, *, squared: bool = False, count_self: bool = False
    ) -> tuple[Column, Probing | None]:
        """Mean distance of every row to its k nearest others (Eq. 3), and how lists were searched.

        Up to ``EXACT_ROWS`` rows every row looks into all lists: None, for an exact search. See
        :meth:`usl.numeric.table.Table.mean_distance`.
        """
        store, cells, wanted = self.store, self.cells, k - 1 if count_self else k
        if not store.has("list_means"):
            means = np.concatenate(list(self.over(list_means)))
            store.save_rows("near_lists", np.sort(near_lists(means, MOST_PROBES), axis=1))
            store.save_rows("list_means", means)
        exact = len(self) <= EXACT_ROWS or not wanted
        probing = None if exact else self._probing(wanted)
        probes = cells.n_lists if probing is None else probing.probes
        name = f"mean_distance-{k}{'-squared' if squared else ''}{'-self' if count_self else ''}"
        density = Column(store, name)
        how = density, k, wanted, probes, squared
        missing = [(cells, number, *how) for number in density.missing(len(cells))]
        self._run(density_of, missing, "density")
        return density, probing

    def _probing(self, k: int) -> Probing:
        """How many lists it takes, from the exact k nearest of a sample of rows."""
        store, starts, name = self.store, self.cells.starts, f"probing-{k}"
        if not store.has(name):
            rng = np.random.default_rng([0, 20])
            size = min(SAMPLE, len(self))
            rows = np.sort(rng.choice(len(self), size=size, replace=False, shuffle=False))
            queries = self.take(rows)
            near, _ = self.nearest(k + 1, queries, label="recall")
            others = near != rows[:, None]
            others[others.all(axis=1), -1] = False  # more than k copies, and not itself
            of = np.searchsorted(starts, near[others], side="right") - 1
            own = np.searchsorted(starts, rows, side="right") - 1
            lists = store.rows("list_means")[0], store.rows("near_lists")[0]
            average = len(self) / self.cells.n_lists
            found = probes_needed(queries, own, of.reshape(size, -1), *lists, average)
            store.save(name, probes=np.array(found.probes), recall=np.array(found.recall))
        told = store.load(name)
        return Probing(int(told["probes"]), float(told["recall"]))
