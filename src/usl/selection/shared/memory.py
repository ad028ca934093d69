"""Memory of the stages of a selection, in bytes, feature tables aside.

Counted stage by stage, because stages follow each other: what they hold for every item, for every
cluster, and the blocks that are worked on at once. The tables [n, d] themselves are not in it: they
can lie in files (:mod:`usl.numeric.workspace`). tests/selection/shared/test_memory.py measures
against this.
"""

from __future__ import annotations

from dataclasses import dataclass

from usl.numeric import (
    elkan,
    inverted_search,
    kmeans,
    kmeans_large,
    lloyd,
    neighbor_search,
    self_search,
)
from usl.numeric.blocks import BLOCK_BYTES, thread_count
from usl.selection import ranking
from usl.selection.shared import repulsion

BASE = 128 << 20  # the interpreter and the libraries
PER_ITEM = 136  # bytes of row numbers, clusters, densities and what sorts them, at the worst moment
COPIES = 1.6  # of a block's main array, while it is worked on


@dataclass(frozen=True)
class Size:
    """What a selection is made of: n items of width d, m picks, c clusters, k neighbours."""

    n: int
    d: int
    m: int
    c: int
    k: int
    horizon: int | None = None
    exact: bool = False

    def stages(self) -> dict[str, int]:
        """Bytes of each stage, above ``BASE`` and ``PER_ITEM``."""
        return {
            "unit rows": in_blocks(8 * self.d, self.n),
            "partition": self.partition(self.c),
            "density": self.density(),
            "repulsion": self.repulsion(),
            "order": self.order(),
        }

    def total(self) -> int:
        """Bytes that suffice for all stages, tables aside."""
        return BASE + PER_ITEM * self.n + max(self.stages().values())

    def partition(self, count: int) -> int:
        """k-means into ``count`` clusters."""
        threads, centers = thread_count(), 36 * count * self.d + 200 * count
        few = count <= kmeans.EXACT_CLUSTERS or self.n * count <= kmeans.EXACT_PAIRS
        if self.exact or few:
            block = min(self.n, lloyd.BLOCK) * (4 * count + 12 * self.d)
            bounds = elkan.bytes_of(self.n, count) if self.n * count * self.d > lloyd.LITTLE else 0
            return centers + bounds + threads * (block + 8 * count * self.d)
        rows = min(self.n, kmeans_large.BLOCK)
        near = 3 * 4 * count * min(count, kmeans_large.LAST_NEAR)
        return centers + near + in_blocks(8 * count, count) + threads * 24 * rows * self.d

    def density(self) -> int:
        """Mean distances to the k nearest: all rows against all, or through lists."""
        rules = neighbor_search
        if self.k == 0:
            return 0
        few = self.n <= rules.EXACT_ROWS or self.n < 4 * rules.LIST_ROWS
        if self.exact or few or self.k > rules.MOST_NEIGHBORS * self.n:
            return self_search.search_bytes(self.n, self.d, self.k, self_search.VALUES)
        own = self.n > rules.LONGEST * self.c
        lists = self.n // rules.LIST_ROWS if own else self.c
        index = lists * (24 * self.d + 3 * 4 * min(lists, inverted_search.MOST_PROBES))
        # A chunk keeps its distances, about as much to know who looks where, and a few products.
        chunk = 2 * inverted_search.CHUNK_BYTES + 4 * 4 * inverted_search.PRODUCT
        chunks = min(thread_count() * chunk, self.n * (640 * self.k + 8 * self.d))
        return max(self.partition(lists) if own else 0, index + chunks)

    def repulsion(self) -> int:
        """The picks' repulsion: all pairs of items and picks, or the picks near each cluster."""
        reach = repulsion.REACH * (self.horizon or self.m)
        if self.n * self.m <= repulsion.EXACT_PAIRS or reach >= self.m:
            return 8 * self.m * self.d + in_blocks(12 * self.m, self.n)
        near = self.c * (8 * reach + 24 * self.d) + 12 * self.m * self.d
        rows = min(self.n, repulsion.BLOCK)
        blocks = in_blocks(8 * self.m, self.c) + thread_count() * rows * (8 * self.d + 16 * reach)
        return near + blocks

    def order(self) -> int:
        """Who stands for whom, the order of the picks, and their nearest earlier ones."""
        near = 2 * 16 * self.m * ranking.NEAR if self.m > ranking.MANY else 0
        rows = max(thread_count() * 24 * min(self.n, 16_384), 4 * min(self.n, ranking.PART))
        points = (40 * self.m + rows) * self.d
        return points + near + 16 * 512 * self.m + in_blocks(12 * self.m, self.n)


def in_blocks(row_bytes: int, rows: int) -> int:
    """Blocks of up to ``BLOCK_BYTES`` on every core, and the copies made of them."""
    block = max(BLOCK_BYTES, 16 * row_bytes)
    return int(COPIES * min(thread_count() * block, rows * row_bytes))


def search_bytes(n: int, d: int, k: int) -> int:
    """The k nearest others of each of n items: all compared with all, or through lists."""
    if neighbor_search.looks_at_all(n, k, None):
        return self_search.search_bytes(n, d, k)
    return Size(n, d, m=1, c=1, k=k).density()
