"""Exact search of a table in itself: what is near every row, each pair of rows computed once.

A pair's product serves both of its rows. That halves the work, but the nearest of a row are then
complete only when all rows before it are done; until then what may be among them has to be kept:

1. A bound for every row, from its distances to a random sample of the rows: about as many rows as
   are wanted are nearer, seldom fewer.
2. Strips of rows, compared with themselves and all rows after them, in tiles. What is within the
   bound of either row of a pair is kept: in the strip's own list, and in that of the other row.
3. A strip is complete then. Rows of which too few are within the bound are searched for alone.

Where that would keep too much (many neighbours of few rows, rows that coincide), every row is
compared with all others instead.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, sqrt

import numpy as np
from numpy.typing import NDArray

from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32, Rows
from usl.numeric.blocks import BLOCK_BYTES, map_blocks, rows_per_block, thread_count
from usl.numeric.distances import half_distances, halved
from usl.numeric.inverted_search import scan
from usl.numeric.near_pairs import Pairs, aligned

FEWEST = 4096  # rows, below which the search takes a moment either way
STRIP, TILE = 256, 2048  # rows, and rows that they are compared with at once: 2 MiB of products
SHARE, SAMPLE = 32, 1024  # of the rows one in so many is in the sample, but at least so many
MOST_KEPT, MOST_SHARE = 100_000_000, 24  # pairs kept in all; of a row, one in so many of all rows
AFTER_ALL = 64  # rows compared with all at once, in the memory that was meant for pairs
KEPT_BYTES = 10  # of a pair that waits for its row
VALUES, ROWS_TOO = 4, 12  # bytes of an entry where only values are sought, or rows as well

Finish = Callable[[Rows, Float32, "NDArray[np.int32] | None"], None]


class TooManyNearError(Exception):
    """More rows are within the bounds than was to be expected."""


def search_itself(
    features: Float32,
    k: int,
    finish: Finish,
    *,
    entry: int = ROWS_TOO,
    progress: Progress = silent,
    label: str = "neighbours",
) -> None:
    """Hand over what is near every row, itself left out, until all rows are done.

    Parameters
    ----------
    features : float32 [n, d]; k : how many of the nearest are wanted, 1 <= k < n.
    finish : is called with some rows, int64 [q], half distances to rows near them, float32 [q, w]
        that may be overwritten, the k smallest among them, and with the numbers of these rows,
        int32 [q, w], or None where column j stands for row j. Blocks may come side by side; a row
        may come again, and counts as it comes last.
    entry : bytes of a row and another that ``finish`` works on, where all are compared.
    """
    if in_pairs(len(features), k):
        try:
            return _search_pairs(features, k, finish, progress, label)
        except TooManyNearError:
            size = AFTER_ALL
    else:
        size = rows_per_block(entry * len(features))
    _search_rows(features, finish, size, progress, label)


def _search_rows(
    features: Float32, finish: Finish, size: int, progress: Progress, label: str
) -> None:
    base, n = halved(features), len(features)

    def block(start: int, stop: int) -> None:
        rows = np.arange(start, stop)
        half = half_distances(features[start:stop], base)
        half[rows - start, rows] = np.inf
        finish(rows, half, None)

    for _ in map_blocks(block, n, size, progress=progress, label=label):
        pass


def in_pairs(n: int, k: int) -> bool:
    """Whether every pair is computed once, to find the k nearest of each of n rows."""
    kept = expected_near(n, k)
    return n >= FEWEST and kept * MOST_SHARE <= n and kept * n <= MOST_KEPT


def search_bytes(n: int, d: int, k: int, entry: int = ROWS_TOO) -> int:
    """Bytes that :func:`search_itself` takes beside the table: the more of its two ways."""
    pairs, threads = in_pairs(n, k), thread_count()
    block = entry * n * (AFTER_ALL if pairs else max(16, BLOCK_BYTES // (entry * n)))
    rows = 8 * n * (d + 1) + int(1.6 * min(threads * block, entry * n * n))  # 1.6: copies of parts
    if not pairs:
        return rows
    kept = KEPT_BYTES * expected_near(n, k)
    strips = threads * STRIP * (16 * TILE + 6 * kept) + 16 * STRIP * kept
    return max(rows, int(0.35 * n * kept) + strips + 8 * n)  # a quarter waits, and some luck


def bound_rank(n: int, k: int) -> int:
    """The place in the sample's distances that is the bound: at nearly all rows beyond the k-th."""
    mean = k * _sample(n) / n
    return min(_sample(n), ceil(mean + 3 * sqrt(mean) + 3))


def expected_near(n: int, k: int) -> int:
    """How many of n rows are within the bound of a row, on average."""
    return ceil(bound_rank(n, k) * n / _sample(n))


def sample_rows(n: int) -> Rows:
    """The random rows, of n, whose distances give the bounds, ascending."""
    return np.sort(np.random.default_rng(0).choice(n, _sample(n), replace=False))


def _sample(n: int) -> int:
    return min(n, max(n // SHARE, SAMPLE))


def _bounds(features: Float32, k: int) -> Float32:
    """Half distances that few rows but more than k are within, float32 [n]."""
    n = len(features)
    base, rank = halved(features[sample_rows(n)]), bound_rank(n, k)

    def block(start: int, stop: int) -> Float32:
        half = half_distances(features[start:stop], base)
        half.partition(rank - 1, axis=1)
        return half[:, rank - 1].copy()

    return np.concatenate(list(map_blocks(block, n, 2 * STRIP)))


def _search_pairs(
    features: Float32, k: int, finish: Finish, progress: Progress, label: str
) -> None:
    n, most = len(features), 4 * expected_near(len(features), k)
    half_norms = (0.5 * np.einsum("ij,ij->i", features, features, dtype=np.float64)).astype("f")
    least = -_bounds(features, k)  # of product less half norm, which is minus the half distance

    def strip(start: int, stop: int) -> tuple[list[Pairs], list[tuple[int, Pairs]]]:
        points, own, others = features[start:stop], [], []
        bound, norms, count = least[start:stop, None], half_norms[start:stop, None], 0
        for first in range(start, n, TILE):
            last = min(first + TILE, n)
            products = points @ features[first:last].T
            if first == start:
                np.fill_diagonal(products, -np.inf)
            own.append(_within(products - half_norms[first:last], bound, first))
            count += len(own[-1][0])
            if last > stop:  # pairs of two rows of the strip are in its own list already
                beyond = max(first, stop)
                apart = products[:, beyond - first :]
                apart -= norms
                rows, near, values = _within(apart, least[beyond:last], 0)
                order = np.argsort(near.astype(np.uint16), kind="stable")
                pairs = near[order], rows[order].astype(np.int32) + start, values[order]
                others += _by_strip(beyond, *pairs)
            if count > most * (stop - start):
                raise TooManyNearError
        return own, others

    waiting: list[list[Pairs]] = [[] for _ in range(0, n, STRIP)]
    waits, lost = 0, []
    strips = map_blocks(strip, n, STRIP, progress=progress, label=label)
    for number, (own, others) in enumerate(strips):
        for other, pairs in others:
            waiting[other].append(pairs)
            waits += len(pairs[0])
        waits -= sum(len(pairs[0]) for pairs in waiting[number])
        if waits > most * n // 4:
            raise TooManyNearError
        rows = np.arange(number * STRIP, min((number + 1) * STRIP, n))
        half, numbers, counts = aligned(waiting[number] + own, len(rows), k)
        waiting[number] = []
        finish(rows, half, numbers)
        lost.append(rows[counts < k])
    alone = np.concatenate(lost)
    if len(alone):
        found, half = scan(features, alone, k)
        finish(alone, half, found.astype(np.int32))


def _within(nearness: Float32, least: Float32, first: int) -> Pairs:
    """The entries of a tile that are no less than ``least``: row, column + ``first``, -entry."""
    flat = np.flatnonzero(nearness >= least)
    rows = flat // nearness.shape[1]  # divmod takes several times as long
    columns = flat - rows * nearness.shape[1]
    values = np.negative(nearness.reshape(-1)[flat])
    return rows.astype(np.uint16), (columns + first).astype(np.int32), values


def _by_strip(
    first: int, rows: NDArray[np.int32], near: NDArray[np.int32], values: Float32
) -> list[tuple[int, Pairs]]:
    """Pairs by the strip that their rows, ascending and counted from ``first``, lie in."""
    if not len(rows):
        return []
    rows = rows + first
    numbers = np.arange(rows[0] // STRIP, rows[-1] // STRIP + 1)
    ends = np.searchsorted(rows, [(number + 1) * STRIP for number in numbers])
    parts, start = [], 0
    for number, end in zip(numbers, ends, strict=True):
        part = slice(start, end)
        own = (rows[part] - number * STRIP).astype(np.uint16)
        parts.append((int(number), (own, near[part], values[part])))
        start = end
    return parts
