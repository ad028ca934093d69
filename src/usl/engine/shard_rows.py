"""Rows of shards by number: read where they lie, and brought together in memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from usl.core.progress import Progress, silent
from usl.engine.executor import Executor
from usl.engine.shards import Shards
from usl.numeric.arrays import Float32, Rows
from usl.numeric.unit_rows import scale


def collected(
    task: Callable[[Shards, int, Rows], Float32],
    executor: Executor,
    shards: Shards,
    rows: Rows,
    *,
    progress: Progress = silent,
    label: str = "",
) -> Float32:
    """What ``task(shards, number, local)`` reads of some rows of each shard: [r, ...], as ``rows``.

    ``rows`` int64 [r], one at least, in any order; ``local`` their numbers in the shard.
    """
    parts = list(shards.by_shard(rows))
    items = [(shards, number, local) for number, _, local in parts]
    found = np.concatenate(list(executor.map(task, items, progress=progress, label=label)))
    places = np.concatenate([here for _, here, _ in parts])
    return np.asarray(found[np.argsort(places)])


def take_unit(shards: Shards, number: int, rows: Rows) -> Float32:
    """Some rows of one shard, scaled to unit length, float32 [r, d]."""
    return unit_shard(shards, number)[rows]


def take_stored(shards: Shards, number: int, rows: Rows) -> Float32:
    """Some rows of one shard, as it holds them, float32 [r, d]."""
    return shards.read(number)[rows]


def take_lengths(shards: Shards, number: int, rows: Rows) -> Float32:
    """The lengths of some rows of one shard, float32 [r]."""
    return shards.lengths(number)[rows]


def unit_shard(shards: Shards, number: int, stored: Float32 | None = None) -> Float32:
    """The rows of a shard, scaled to unit length: float32 [rows, d]; of ``stored``, once read."""
    rows = np.require(shards.read(number), requirements="W") if stored is None else stored.copy()
    scale(rows)
    return rows
