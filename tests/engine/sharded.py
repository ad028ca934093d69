"""A small table in shards, and the same rows in one array."""

from __future__ import annotations

import numpy as np

from usl.engine.shards import open_shards, write_record, write_shard


def mixture(n, width, clumps, seed=0):
    """Points of a mixture, float16 [n, width]."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(clumps, width))
    of = rng.integers(0, clumps, n)
    return (centers[of] + 0.4 * rng.normal(size=(n, width))).astype(np.float16)


def write_shards(folder, points, sizes):
    """Shards of these sizes under a folder, opened."""
    parts, first = [], 0
    for number, size in enumerate(sizes):
        ids = [f"image-{row:06d}" for row in range(first, first + size)]
        parts.append(write_shard(str(folder), number, ids, points[first : first + size]))
        first += size
    write_record(str(folder), points.shape[1], parts, {"name": "mixture"})
    return open_shards(str(folder))
