"""How much memory a selection takes beside its tables of features.

Counted stage by stage, because stages follow each other: what they hold for every item, for every
cluster, and the blocks that are worked on at once. The tables [n, d] themselves are not in it: they
can lie in files (:mod:`usl.numeric.workspace`). tests/selection/test_memory.py measures against this.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from usl.core.errors import UslWarning
from usl.core.methods import load_method
from usl.numeric import inverted_search as approximate
from usl.numeric import kmeans
from usl.numeric import kmeans_large as candidate_kmeans
from usl.numeric import neighbor_search as representativeness
from usl.numeric.blocks import BLOCK_BYTES, thread_count
from usl.numeric.lazy_table import bytes_in_memory
from usl.numeric.workspace import Workspace
from usl.selection import exchange, ranking, usl_t_heads
from usl.selection.contract import FUNCTION, NEEDED, ROOM

if TYPE_CHECKING:
    from usl.data.collection import Collection
    from usl.features.contract import Encoder

BASE = 128 << 20  # the interpreter and the libraries
PER_ITEM = 136  # bytes of row numbers, clusters, densities and what sorts them, at the worst moment
# Bytes of each image of a run, ids (of so many bytes) aside, and how many copies of its id: all
# along, and while the run folder is written.
KEPT, KEPT_IDS = 120, 2
WRITTEN, WRITTEN_IDS = 400, 5
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
            "exchange": self.exchange(),
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
            block = min(self.n, kmeans.BLOCK) * (4 * count + 12 * self.d)
            return centers + threads * (block + 8 * count * self.d)
        rows = min(self.n, candidate_kmeans.BLOCK)
        near = 3 * 4 * count * min(count, candidate_kmeans.LAST_NEAR)
        return centers + near + in_blocks(8 * count, count) + threads * 24 * rows * self.d

    def density(self) -> int:
        """Mean distances to the k nearest: all rows against all, or through lists."""
        rules = representativeness
        if self.k == 0:
            return 0
        few = self.n <= rules.EXACT_ROWS or self.n < 4 * rules.LIST_ROWS
        if self.exact or few or self.k > rules.MOST_NEIGHBORS * self.n:
            return 8 * self.n * (self.d + 1) + in_blocks(4 * self.n, self.n)
        own = self.n > rules.LONGEST * self.c
        lists = self.n // rules.LIST_ROWS if own else self.c
        index = lists * (24 * self.d + 3 * 4 * min(lists, approximate.MOST_PROBES))
        # A chunk keeps its distances, about as much to know who looks where, and a few products.
        chunk = 2 * approximate.CHUNK_BYTES + 4 * 4 * approximate.PRODUCT
        chunks = min(thread_count() * chunk, self.n * (640 * self.k + 8 * self.d))
        return max(self.partition(lists) if own else 0, index + chunks)

    def exchange(self) -> int:
        """The picks' repulsion: all pairs of items and picks, or the picks near each cluster."""
        reach = exchange.REACH * (self.horizon or self.m)
        if self.n * self.m <= exchange.EXACT_PAIRS or reach >= self.m:
            return 8 * self.m * self.d + in_blocks(12 * self.m, self.n)
        near = self.c * (8 * reach + 24 * self.d) + 12 * self.m * self.d
        rows = min(self.n, exchange.BLOCK)
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
    if representativeness.looks_at_all(n, k, None):
        return 8 * n * (d + 1) + in_blocks(12 * n, n)
    return Size(n, d, m=1, c=1, k=k).density()


def learning_bytes(
    n: int, d: int, clusters: int, k: int, training: usl_t_heads.Training | None = None
) -> int:
    """USL-T's clusters of n items with k neighbours: its scale, its batches, its assignment."""
    rules, training = usl_t_heads, training or usl_t_heads.Training()
    sample, batch, heads = min(n, rules.CALIBRATION_ROWS), training.batch_size, training.heads
    scale = 0
    if training.scale is None:
        scale = 4 * sample * (d + 4) + 3 * 4 * min(n, 4096) * clusters
        scale += Size(sample, d, clusters, clusters, k).partition(clusters)
    steps = (7 + 3 * heads) * 4 * clusters * d + batch * (2 * 4 * d + 12 * 4 * clusters)
    assignment = heads * in_blocks(16 * clusters + 4 * d, n) + 3 * heads * 4 * clusters * d
    return 8 * k * n + 16 * n + max(scale, steps, assignment)


def needed(method: str, n: int, d: int, budget: int, labeled: int, params: dict[str, Any]) -> int:
    """Bytes that a selection needs beside its tables.

    A method says so itself with a function ``needed`` (:mod:`usl.selection.contract`). For one
    that does not, only what the selection does around it is counted.
    """
    own = getattr(load_method(ROOM, FUNCTION, method), NEEDED, None)
    if own is None:
        m = budget + labeled
        return Size(n, d, m, m, k=0).total()
    return int(own(n, d, budget, labeled, params))


def reserve(
    workspace: Workspace,
    method: str,
    table: Any,
    budget: int,
    labeled: int,
    params: dict[str, Any],
) -> None:
    """Keep free what selecting from ``table`` [n, d] needs beside tables.

    :class:`usl.core.errors.UsageError` if the bound is too small for that; a
    :class:`UslWarning` for a method that does not say what it needs.
    """
    if workspace.memory is None:
        return
    if not hasattr(load_method(ROOM, FUNCTION, method), NEEDED):
        warnings.warn(
            f"memory: what {method} itself needs is not counted; the bound holds for the tables "
            "and for what is done around the method.",
            UslWarning,
            stacklevel=3,
        )
    n, d = table.shape
    given = 0 if workspace.owns(table) else bytes_in_memory(table)
    workspace.reserve(given + needed(method, n, d, budget, labeled, params))


def run_needs(
    collection: Collection,
    width: int,
    pca: int | None,
    method: str,
    budget: int,
    params: dict[str, Any],
) -> tuple[int, int]:
    """Bytes that a run holds all along, and those it works with, its tables in files aside.

    ``width`` of the encoder's rows; ``pca`` dimensions they are brought to, None for all.
    """
    n, name = len(collection.rows_in("train")), collection.ids.dtype.itemsize
    held = (KEPT + KEPT_IDS * name) * len(collection)
    if collection.features is not None:
        held += bytes_in_memory(collection.features)
    written = (WRITTEN + WRITTEN_IDS * name) * len(collection)
    fit = in_blocks(24 * width, n) + (40 * width * width if pca else 0)
    selection = needed(method, n, min(width, pca or width), budget, 0, params)
    return held, max(BASE + fit, BASE + written, selection)


def bound_run(
    workspace: Workspace,
    collection: Collection,
    model: str,
    method: str,
    budget: int,
    pca: int | None,
    params: dict[str, Any],
) -> str | Encoder:
    """Refuse a bound that a run cannot keep, before any image is read; the encoder of the run.

    Without a bound the encoder is not opened yet.
    """
    if workspace.memory is None:
        return model
    encoder: str | Encoder = model
    if collection.features is not None:
        width = int(collection.features.shape[1])
    else:
        from usl.features.open_encoder import open_encoder

        encoder = open_encoder(model)
        width = encoder.dim
        pca = encoder.preprocessing["pca"] if pca is None else pca
    held, work = run_needs(collection, width, pca, method, budget, params)
    workspace.hold(held)
    workspace.reserve(work)
    return encoder
