"""Mean and scatter of all rows of shards: one pass, joined on the fixed tree of sums."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from usl.engine.shard_table import ShardTable
from usl.engine.shards import Shards
from usl.engine.store import Store
from usl.engine.sums import added
from usl.numeric.moments import Moments

MOST_PARTS = 256  # files: a scatter of products takes 13 MB each at 1,280 dimensions


def moments_of(table: ShardTable, *, products: bool) -> Moments:
    """The moments of all rows; ``products`` for those of every two dimensions."""
    filled = [number for number in table.each_shard() if table.shards.parts[number].rows]
    several = -(-len(filled) // MOST_PARTS)
    parts = [filled[first : first + several] for first in range(0, len(filled), several)]
    names = [f"moments/{part[0]}" for part in parts]
    items = [
        (table.shards, table.store, name, part, products)
        for name, part in zip(names, parts, strict=True)
    ]
    for _ in table.executor.map(measure, items, progress=table.progress, label="moments"):
        pass
    names = added(table.executor, table.store, names, join)
    found = _joined(table.store, names)
    table.store.remove(names)
    return found


def measure(
    shards: Shards, store: Store, name: str, numbers: Sequence[int], products: bool
) -> None:
    """Write the moments of some shards as one file."""
    if not store.has(name):
        parts = (Moments.of(shards.read(number), products=products) for number in numbers)
        _save(store, name, reduce(Moments.joined, parts))


def join(store: Store, names: list[str], into: str) -> None:
    """Write the moments in several files as one."""
    _save(store, into, _joined(store, names))


def _joined(store: Store, names: list[str]) -> Moments:
    return reduce(Moments.joined, (_load(store, name) for name in names))


def _save(store: Store, name: str, found: Moments) -> None:
    arrays = {"mean": found.mean, "constant": found.constant, "scatter": found.scatter}
    store.save(name, count=np.array(found.count), **arrays)


def _load(store: Store, name: str) -> Moments:
    known = store.load(name)
    return Moments(int(known["count"]), known["mean"], known["constant"], known["scatter"])
