"""k-means over shards (paper Eq. 4): fitted on a sample, then one pass over all rows.

1. Every shard gives its share of a sample, at least 256 rows per centroid where there are as many.
2. At most ten steps on the sample: each row moves to the nearest of all centroids in the first,
   later of those near its own (:mod:`usl.numeric.kmeans_large`); each centroid to the mean of its
   rows. (A first step through groups of centroids leaves many between two clumps of rows: of 10,000
   centroids for a million rows 1,300 served no row in the end.)
3. All rows get the nearest of all centroids, shard by shard; the means are those of all rows.
   (Rows that are looked at once cannot follow from list to list, as in 2: near lists alone would
   miss many.)

Centroids are numbered so that those near each other are near in number. Here is what the tasks do;
:class:`usl.engine.shard_table.ShardTable` leads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.engine.shard_rows import unit_shard
from usl.engine.shards import Shards
from usl.engine.store import Store
from usl.engine.sums import save_sums
from usl.numeric.arrays import Float32, Rows, Values
from usl.numeric.distances import half_distances, halved
from usl.numeric.inverted_lists import Lists
from usl.numeric.kmeans_large import assign

TILE = 512, 2048  # rows and centroids whose distances stay in a processor's cache


@dataclass(frozen=True)
class Centroids:
    """``count`` centroids in the file ``name``; they travel by it."""

    store: Store
    name: str
    count: int

    def read(self) -> Float32:
        """All of them, float32 [count, d]."""
        return np.asarray(self.store.load(self.name)["centroids"])


def draw(shards: Shards, store: Store, name: str, number: int, size: int, seed: int) -> None:
    """Write ``size`` random rows of a shard, scaled, in random order."""
    if size and not store.has(name):
        rows = unit_shard(shards, number)
        rng = np.random.default_rng([seed, number])
        store.save_rows(name, rows[rng.permutation(len(rows))[:size]])


def first_centroids(store: Store, samples: list[str], count: int) -> Float32:
    """The first rows of every sample, distinct ones first, float32 [count, d]."""
    ample = -(-2 * count // len(samples))
    while len(found := _first_rows(store, samples, ample)) < count:
        ample *= 2  # most rows lie in few of the shards
    _, first = np.unique(found, axis=0, return_index=True)
    spare = np.setdiff1d(np.arange(len(found)), first)
    mixed = np.random.default_rng(0).permutation(np.sort(first))  # of all shards alike
    return np.asarray(found[np.concatenate([mixed, spare])[:count]])


def step_of(
    store: Store, name: str, sample: str, step: int, exact: bool, farthest: int
) -> tuple[float, tuple[Values, Float32]]:
    """One step of k-means on a shard's sample: its inertia, and its ``farthest`` rows."""
    rows = _all_rows(store, sample)
    known = store.load(f"{name}/step-{step}")
    earlier = None if exact else _all_rows(store, f"{sample}.clusters-{step - 1}")
    clusters, away = nearest_of(rows, known["centroids"], known["near"], exact, earlier)
    save_sums(store, f"{sample}.sums-{step}", rows, clusters, len(known["centroids"]))
    store.save_rows(f"{sample}.clusters-{step}", clusters.astype(np.int32))
    far = np.argsort(-away, kind="stable")[:farthest]
    return float(away.sum(dtype=np.float64)), (away[far].astype(np.float64), rows[far])


def nearest_of(
    rows: Float32,
    centroids: Float32,
    near: NDArray[np.int32] | None = None,
    exact: bool = True,
    before: Rows | None = None,
) -> tuple[Rows, Float32]:
    """The nearest centroid of every row and the squared distance, int64 and float32 [n].

    Of all, or without ``exact`` of those ``near`` the one it had ``before``.
    """
    if exact:
        starts = range(0, len(centroids), TILE[1])
        bases = [halved(centroids[low : low + TILE[1]]) for low in starts]
        best, least = np.zeros(len(rows), np.int64), np.full(len(rows), np.inf, np.float32)
        for first in range(0, len(rows), TILE[0]):
            part = slice(first, first + TILE[0])
            for low, base in zip(starts, bases, strict=True):
                half = half_distances(rows[part], base)
                columns = half.argmin(axis=1)
                values = half[np.arange(len(half)), columns]
                closer = values < least[part]
                least[part] = np.where(closer, values, least[part])
                best[part] = np.where(closer, low + columns, best[part])
        return best, np.maximum(2.0 * least + np.einsum("ij,ij->i", rows, rows), 0.0)
    assert near is not None
    assert before is not None
    found, away = assign(rows, Lists.of(before, len(centroids)), centroids, near)
    return found.astype(np.int64), away


def restart(centroids: Float32, empty: Rows, far: list[tuple[Values, Float32]]) -> None:
    """Put the centroids of empty clusters at the rows that are farthest from theirs."""
    if not len(empty):
        return
    away, rows = np.concatenate([one[0] for one in far]), np.concatenate([one[1] for one in far])
    chosen = np.argsort(-away, kind="stable")[: len(empty)]
    chosen = chosen[away[chosen] > 1e-6]
    centroids[empty[: len(chosen)]] = rows[chosen]


def _all_rows(store: Store, name: str) -> Any:
    return store.rows(name)[0]


def _first_rows(store: Store, samples: list[str], count: int) -> Float32:
    return np.concatenate([store.rows(name, [(0, count)], cut=True)[0] for name in samples])
