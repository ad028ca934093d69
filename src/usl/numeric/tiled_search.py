"""Exact search of rows in another table, in tiles of products that stay in the processor's cache.

Comparing a row with all of a table at once writes and reads as many products as the table has rows.
Here a bound comes first, from the distances to a random sample of the table: more rows than are
wanted are nearer, but few. Of every tile only what is within the bound is kept.
"""

from __future__ import annotations

import numpy as np

from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32, Rows
from usl.numeric.blocks import map_blocks
from usl.numeric.distances import half_distances, halved, nearest, nearest_from_half
from usl.numeric.near_pairs import Pairs, aligned
from usl.numeric.self_search import FEWEST, STRIP, TILE, bound_rank, expected_near, sample_rows

PAYS = 24  # times as many rows in the table as are expected within a bound, at least
CROWDED = 4  # times as many as expected are kept, at most


def nearest_in_tiles(
    queries: Float32,
    base: Float32,
    k: int,
    *,
    progress: Progress = silent,
    label: str = "neighbours",
) -> tuple[Rows, Float32]:
    """As :func:`usl.numeric.distances.nearest`, faster in a large table."""
    n, expected = len(base), expected_near(len(base), k)
    if n < FEWEST or PAYS * expected > n or not len(queries):
        return nearest(queries, base, k, progress=progress, label=label)
    half_norms = halved(base)[:, -1].copy()
    sample, rank = halved(base[sample_rows(n)]), bound_rank(n, k)

    def block(start: int, stop: int) -> tuple[Rows, Float32, Rows]:
        rows = queries[start:stop]
        half = half_distances(rows, sample)
        half.partition(rank - 1, axis=1)
        bound = half[:, rank - 1 : rank].copy()
        found: list[Pairs] = []
        room = CROWDED * expected * len(rows)
        for first in range(0, n, TILE):
            half = rows @ base[first : first + TILE].T
            np.subtract(half_norms[first : first + TILE], half, out=half)
            flat = np.flatnonzero(half <= bound)
            of = flat // half.shape[1]  # divmod takes several times as long
            near = (flat - of * half.shape[1] + first).astype(np.int32)
            found.append((of.astype(np.uint16), near, half.reshape(-1)[flat]))
            room -= len(flat)
            if room < 0:  # rows of the table coincide: all at once after all
                nothing = np.zeros((len(rows), k))
                return nothing.astype(np.int64), nothing.astype(np.float32), np.arange(start, stop)
        values, numbers, counts = aligned(found, len(rows), k)
        indices, distances = nearest_from_half(values, rows, k, numbers)
        return indices, distances, start + np.flatnonzero(counts < k)

    parts = list(map_blocks(block, len(queries), STRIP, progress=progress, label=label))
    indices, distances, left = (np.concatenate(column) for column in zip(*parts, strict=True))
    if len(left):
        indices[left], distances[left] = nearest(queries[left], base, k)
    return indices, distances
