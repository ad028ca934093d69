"""Sums and counts of groups over shards, added up on a fixed tree.

Floating-point sums depend on their order. Here it is that of the shards, sixteen at a time,
whichever worker is done first: any number of workers gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from usl.engine.executor import Executor
from usl.engine.store import Store
from usl.numeric.arrays import Float32, Rows, Values
from usl.numeric.inverted_lists import Lists, list_sums

FAN = 16  # files that one task adds up


def save_sums(store: Store, name: str, features: Float32, groups: Rows, count: int) -> None:
    """Write sums and counts of the groups (int [n], below ``count``) that occur in a shard."""
    lists = Lists.of(groups, count)
    there = np.flatnonzero(lists.sizes)
    sums = list_sums(features, lists)[there]
    store.save(name, groups=there, sums=sums, counts=lists.sizes[there])


def total(
    executor: Executor, store: Store, names: list[str], count: int, width: int
) -> tuple[Values, Rows]:
    """Add up files of :func:`save_sums`, and remove them: float64 [count, width], int64 [count]."""
    names = added(executor, store, names, _add)
    sums, counts = np.zeros((count, width)), np.zeros(count, dtype=np.int64)
    for name in names:
        part = store.load(name)
        sums[part["groups"]] += part["sums"]
        counts[part["groups"]] += part["counts"]
    store.remove(names)
    return sums, counts


def added(
    executor: Executor,
    store: Store,
    names: list[str],
    add: Callable[[Store, list[str], str], None],
) -> list[str]:
    """Add up files until sixteen are left at most: their names, in order; the others are removed.

    ``add`` writes the sum of some files under a name.
    """
    level = 0
    while len(names) > FAN:
        level += 1
        several = [names[first : first + FAN] for first in range(0, len(names), FAN)]
        joined = [f"{some[0]}.{level}" for some in several]
        items = [(store, some, into) for some, into in zip(several, joined, strict=True)]
        for _ in executor.map(add, items):
            pass
        store.remove(names)
        names = joined
    return names


def _add(store: Store, names: list[str], into: str) -> None:
    parts = [store.load(name) for name in names]
    groups = np.unique(np.concatenate([part["groups"] for part in parts]))
    sums, counts = np.zeros((len(groups), parts[0]["sums"].shape[1])), np.zeros(len(groups), int)
    for part in parts:
        places = np.searchsorted(groups, part["groups"])
        sums[places] += part["sums"]
        counts[places] += part["counts"]
    store.save(into, groups=groups, sums=sums, counts=counts)
