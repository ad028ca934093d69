"""Exact nearest neighbours and distances, block by block.

Distances are Euclidean, computed as |x|^2 + |y|^2 - 2 x.y in float32. The difference cancels for
points that nearly coincide, so squared distances below ``COINCIDENT`` are rounding noise and count
as 0: equal rows are then exactly equal neighbours wherever they stand in the table.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32 as Float32
from usl.numeric.arrays import Rows, Values
from usl.numeric.blocks import map_blocks, rows_per_block

COINCIDENT = 2e-6
DEPTH = 64  # columns in a pile, of which only the least is looked at
FLOOR = 1e-6  # of distances, so that coinciding points have a finite density


def halved(base: Float32) -> Float32:
    """``[-y, |y|^2 / 2]`` for each row y of ``base``: one product then yields distances."""
    half_norms = 0.5 * np.einsum("ij,ij->i", base, base, dtype=np.float64)
    return np.concatenate([-base, half_norms[:, None].astype(np.float32)], axis=1)


def half_distances(queries: Float32, halved_base: Float32) -> Float32:
    """``|y|^2 / 2 - x.y`` for every pair, float32 [q, n]: ordered as the distances are."""
    width = queries.shape[1]
    if len(halved_base) <= width:  # adding to few columns is cheaper than widening the queries
        half: Float32 = queries @ halved_base[:, :width].T
        half += halved_base[:, width]
        return half
    widened = np.ones((len(queries), width + 1), dtype=np.float32)
    widened[:, :width] = queries
    return np.asarray(widened @ halved_base.T)


def squared_from_half(half: Float32, queries: Float32) -> Float32:
    """Squared distances from :func:`half_distances`; rounding noise around 0 becomes 0."""
    norms = np.einsum("ij,ij->i", queries, queries, dtype=np.float64).astype(np.float32)
    squared = 2.0 * half + norms[:, None]
    squared[squared < COINCIDENT] = 0.0
    return np.asarray(squared)


def squared_distances(queries: Float32, base: Float32) -> Float32:
    """Dense squared distances, float32 [q, n]; for blocks and small sets."""
    return squared_from_half(half_distances(queries, halved(base)), queries)


def mean_neighbor_distance(
    features: Float32,
    k: int,
    *,
    squared: bool = False,
    count_self: bool = False,
    progress: Progress = silent,
) -> Values:
    """Mean distance of every row to its k nearest rows: D-bar of Eq. 3, float64 [n].

    Parameters
    ----------
    features : float32 [n, d].
    k : neighbours, 1 <= k <= n - 1 (n with ``count_self``).
    squared : average squared distances instead.
    count_self : count the row itself, at distance 0, as one of the k.

    Only the k smallest of each row's distances are found, not which rows they belong to, and not
    in order; that is a third of the time of a sorted search.
    """
    n = len(features)
    base = halved(features)

    def block(start: int, stop: int) -> Values:
        queries = features[start:stop]
        half = half_distances(queries, base)
        own = np.arange(start, stop)
        half[own - start, own] = -np.inf  # itself first, whatever duplicates there are
        half.partition(k - 1 if count_self else k, axis=1)
        return mean_from_half(half[:, : k if count_self else k + 1], queries, k, squared)

    label = "density"
    rows = rows_per_block(4 * n)
    return np.concatenate(list(map_blocks(block, n, rows, progress=progress, label=label)))


def mean_from_half(half: Float32, queries: Float32, k: int, squared: bool) -> Values:
    """Sum over k of the distances, or of their squares, to the rows found near, float64 [q].

    ``half`` : float32 [q, k], or one more where the row itself is among them, as -inf.
    """
    near = squared_from_half(half, queries)  # -inf becomes 0
    if not squared:
        near = np.sqrt(near)
    near.sort(axis=1)  # one order of summation, whatever the order of the rows
    return np.asarray(near.sum(axis=1, dtype=np.float64) / k)


def nearest_from_half(
    half: Float32, queries: Float32, k: int, numbers: NDArray[np.integer[Any]] | None = None
) -> tuple[Rows, Float32]:
    """The k nearest by half distances [q, n]: row numbers int64 and distances float32, [q, k].

    By distance, then by number. ``numbers`` : of the rows, [q, n]; those of the columns by default.
    """
    best = smallest(half, k)
    near = best if numbers is None else np.take_along_axis(numbers, best, axis=1)
    distances = np.sqrt(squared_from_half(np.take_along_axis(half, best, axis=1), queries))
    order = np.lexsort((near, distances), axis=1)
    ordered = np.take_along_axis(near, order, axis=1).astype(np.int64)
    return ordered, np.take_along_axis(distances, order, axis=1)


def density(mean_distance: NDArray[np.floating[Any]]) -> Values:
    """Representativeness of Eq. 3: 1 / D-bar, float64 [n]; finite where neighbours coincide."""
    return np.asarray(1.0 / np.maximum(mean_distance, FLOOR), dtype=np.float64)


def nearest(
    queries: Float32,
    base: Float32,
    k: int,
    *,
    exclude_self: bool = False,
    progress: Progress = silent,
    label: str = "neighbours",
) -> tuple[Rows, Float32]:
    """The k nearest rows of ``base`` for each query: indices int64 [q, k], distances [q, k].

    Sorted by distance, then by index. With ``exclude_self`` the two tables are the same one and
    row i never finds itself.
    """
    prepared = halved(base)

    def block(start: int, stop: int) -> tuple[Rows, Float32]:
        rows = queries[start:stop]
        half = half_distances(rows, prepared)
        if exclude_self:
            own = np.arange(start, stop)
            half[own - start, own] = np.inf
        return nearest_from_half(half, rows, k)

    size = rows_per_block(12 * len(base))
    parts = list(map_blocks(block, len(queries), size, progress=progress, label=label))
    if not parts:
        return np.empty((0, k), np.int64), np.empty((0, k), np.float32)
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


def nearest_center(
    features: Float32, centers: Float32, *, rows: Rows | None = None, block: int = 4096
) -> Rows:
    """The nearest of ``centers`` [m, d] for every row, or for ``rows``: int64 [n]; ties: the lower.

    ``block`` : rows compared at once.
    """
    base = halved(centers)

    def one_block(start: int, stop: int) -> Rows:
        points = features[start:stop] if rows is None else features[rows[start:stop]]
        return np.asarray(half_distances(points, base).argmin(axis=1))

    n = len(features) if rows is None else len(rows)
    return np.concatenate(list(map_blocks(one_block, n, block)))


def smallest(values: Float32, k: int) -> Rows:
    """Columns of the k smallest entries of every row, int64 [q, k], in no particular order.

    Ties at the k-th value go to the lower columns.
    """
    q, n = values.shape
    if k >= n:
        return np.tile(np.arange(n), (q, 1))
    near = values <= kth_bound(values, k)
    counts = np.count_nonzero(near, axis=1)
    flat = np.flatnonzero(near)  # far quicker than nonzero in 2-D
    if (counts == k).all():
        return np.asarray((flat % n).reshape(q, k))
    if len(flat) > 8 * k * q:  # ties nearly everywhere
        return np.argsort(values, axis=1, kind="stable")[:, :k]
    rows, columns = np.divmod(flat, n)
    order = np.lexsort((columns, values.reshape(-1)[flat], rows))
    rank = np.arange(len(flat)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.asarray(columns[order][rank < k].reshape(q, k))


def kth_bound(values: Float32, k: int) -> Float32:
    """No less than the k-th smallest of every row, and few entries are less; float32 [q, 1].

    The columns are dealt out to piles, and the bound is the k-th smallest of the piles' least: k
    entries are no greater. One pass in place of a partition of the whole row.
    """
    q, n = values.shape
    piles = n // DEPTH
    if piles < 8 * k:
        return np.asarray(np.partition(values, k - 1, axis=1)[:, k - 1 : k])
    least = values[:, : piles * DEPTH].reshape(q, DEPTH, piles).min(axis=1)
    least = np.concatenate([least, values[:, piles * DEPTH :]], axis=1)
    return np.asarray(np.partition(least, k - 1, axis=1)[:, k - 1 : k])
