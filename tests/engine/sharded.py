"""A small table in shards, and the same rows in one array."""

from __future__ import annotations

import numpy as np

from usl.engine.cells import Cell, Cells, cell_bounds
from usl.engine.shards import open_shards, write_record, write_shard
from usl.engine.store import Store


def mixture(n, width, clumps, seed=0):
    """Points of a mixture, float16 [n, width]."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(clumps, width))
    of = rng.integers(0, clumps, n)
    return (centers[of] + 0.4 * rng.normal(size=(n, width))).astype(np.float16)


def write_shards(folder, points, sizes, encoder=None):
    """Shards of these sizes under a folder, opened; ``encoder`` : the record of what made them."""
    parts, first = [], 0
    for number, size in enumerate(sizes):
        ids = [f"image-{row:06d}" for row in range(first, first + size)]
        parts.append(write_shard(str(folder), number, ids, points[first : first + size]))
        first += size
    write_record(str(folder), points.shape[1], parts, encoder or {"name": "mixture"})
    return open_shards(str(folder))


def partition_of(place, n, width=12):
    """The cluster of every row, from the cells of the selection that worked at ``place``."""
    (folder,) = place.iterdir()
    return clusters_in(folder, n, width)


def clusters_in(folder, n, width=12):
    """The cluster of every row, from the cells in a folder."""
    store = Store(str(folder))
    sizes = store.load("means")["sizes"]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    cells = Cells(store, cell_bounds(sizes, width), starts)
    clusters = np.full(n, -1)
    for cell in (Cell(cells, number) for number in range(len(cells))):
        clusters[cell.rows] = cell.clusters
    return clusters


def unit(points):
    """Rows at unit length, float64."""
    rows = points.astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
