"""Approximate nearest neighbours through inverted lists (IVF): only near lists are searched.

The lists are those of a partition (:mod:`usl.numeric.inverted_lists`), as k-means leaves it anyway.
A row's neighbours are sought in the ``probes`` lists whose centroids are nearest *to that row*; the
lists nearest to the row's own centroid would have to be several times as many for the same recall.

Rows are worked through in chunks of lists that lie close together, so that many rows of a chunk
look into the same list, and one product serves them all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from usl.core.progress import Progress, silent
from usl.numeric import bounded_search
from usl.numeric.arrays import Float32
from usl.numeric.blocks import map_blocks
from usl.numeric.distances import (
    half_distances,
    halved,
    mean_from_half,
    nearest_from_half,
    smallest,
)
from usl.numeric.inverted_lists import Groups, Lists, near_lists

RECALL = 0.98  # share of a row's k nearest that is found, aimed at
SAMPLE = 512  # rows whose exact neighbours say how many lists that takes
FEWEST_PROBES, MOST_PROBES = 8, 512
CHUNK_BYTES = 96 << 20  # of the distances that a chunk of rows keeps
PRODUCT = 4 << 20  # distances computed at once


@dataclass(frozen=True)
class Probing:
    """How many lists a row looks into, and the share of the k nearest that this finds."""

    probes: int
    recall: float


@dataclass(frozen=True)
class Index:
    """Lists in an order in which those close together are close in number.

    ``centroids`` float32 [m, d] and ``near`` int32 [m, c], for each list the lists that rows in it
    may look into.
    """

    lists: Lists
    centroids: Float32
    near: NDArray[np.int32]

    @classmethod
    def of(cls, clusters: NDArray[np.int32], centroids: Float32) -> Index:
        """From a partition int [n] and its centroids float32 [m, d]."""
        by_group = Groups.of(centroids).lists.order
        number = np.empty(len(centroids), dtype=np.int32)
        number[by_group] = np.arange(len(centroids), dtype=np.int32)
        ordered = centroids[by_group]
        lists = Lists.of(number[clusters], len(centroids))
        return cls(lists, ordered, np.sort(near_lists(ordered, MOST_PROBES), axis=1))


def approximate_mean_distance(
    features: Float32,
    k: int,
    index: Index,
    probing: Probing,
    *,
    squared: bool = False,
    count_self: bool = False,
    progress: Progress = silent,
) -> NDArray[np.float64]:
    """Mean distance of every row to the k nearest rows in its lists, float64 [n].

    As :func:`usl.numeric.distances.mean_neighbor_distance`, which is exact. Rows whose lists hold
    fewer than k others are searched for exactly.
    """
    wanted = k - 1 if count_self else k
    result = np.zeros(len(features))
    if wanted == 0:
        return result

    def keep(rows: NDArray[np.int64], half: Float32, _: NDArray[np.int32] | None) -> None:
        half.partition(wanted - 1, axis=1)
        result[rows] = mean_from_half(half[:, :wanted], features[rows], k, squared)

    _look(features, wanted, index, probing, keep, progress=progress, label="density")
    lost = np.flatnonzero(~np.isfinite(result))
    if len(lost):
        _, nearest_half = scan(features, lost, wanted)
        result[lost] = mean_from_half(nearest_half, features[lost], k, squared)
    return result


def approximate_nearest(
    features: Float32,
    k: int,
    index: Index,
    probing: Probing,
    *,
    progress: Progress = silent,
) -> tuple[NDArray[np.int64], Float32]:
    """The k nearest other rows in each row's lists: numbers int64 [n, k], distances float32 [n, k].

    As :func:`usl.numeric.distances.nearest` of the table in itself, which is exact: sorted by
    distance, then by number. Rows whose lists hold fewer than k others are searched for exactly.
    """
    found = np.empty((len(features), k), dtype=np.int64)
    distances = np.empty((len(features), k), dtype=np.float32)

    def keep(rows: NDArray[np.int64], half: Float32, numbers: NDArray[np.integer] | None) -> None:
        found[rows], distances[rows] = nearest_from_half(half, features[rows], k, numbers)

    _look(features, k, index, probing, keep, which=True, progress=progress, label="neighbours")
    lost = np.flatnonzero(~np.isfinite(distances[:, -1]))
    if len(lost):
        numbers, half = scan(features, lost, k)
        keep(lost, half, numbers)
    return found, distances


def _look(
    features: Float32,
    wanted: int,
    index: Index,
    probing: Probing,
    keep: Callable[[NDArray[np.int64], Float32, NDArray[np.int32] | None], None],
    *,
    which: bool = False,
    progress: Progress,
    label: str,
) -> None:
    """Look for every row's ``wanted`` nearest, chunk by chunk, and hand over what is found.

    ``keep`` is called with a chunk's rows, int64 [q], half distances to rows near them, infinite
    where there are none, and with ``which`` the numbers of these; both [q, at least wanted].
    """
    half_norms = row_half_norms(features)
    probes = min(probing.probes, index.near.shape[1])
    width = min(wanted, int(index.lists.sizes.max()))
    entry = 8 if which else 4
    most = CHUNK_BYTES // (entry * probes * width)
    within = bounded_search.pays(index, probes, wanted)
    if within:
        most = min(CHUNK_BYTES // (bounded_search.PROBE_BYTES * probes), bounded_search.MOST_ROWS)
    chunks = _chunks(index.lists, max(1024, most))

    def chunk(number: int, _: int) -> None:
        first, end = chunks[number]
        rows = index.lists.order[index.lists.starts[first] : index.lists.starts[end]]
        if within and len(rows):
            about: Any = (half_norms, rows, first, end, index, probes, wanted)
            keep(rows, *bounded_search.search_within(features, *about))
            return
        half, numbers = _search(
            features, half_norms, features[rows], first, end, index, probes, width, which
        )
        missing = (0, 0), (0, wanted - half.shape[1])
        if missing[1][1] > 0:
            half = np.pad(half, missing, constant_values=np.inf)
            numbers = None if numbers is None else np.pad(numbers, missing)
        keep(rows, half, numbers)

    for done, _ in enumerate(map_blocks(chunk, len(chunks), 1)):
        progress(int(index.lists.starts[chunks[done][1]]), len(features), label)


def _chunks(lists: Lists, most: int) -> list[tuple[int, int]]:
    """Consecutive lists of together at most ``most`` rows; a longer list stands alone."""
    chunks, first = [], 0
    while first < len(lists):
        end = int(np.searchsorted(lists.starts, lists.starts[first] + most, side="right")) - 1
        end = min(max(first + 1, end), len(lists))
        chunks.append((first, end))
        first = end
    return chunks


def _search(
    features: Float32,
    half_norms: Float32,
    queries: Float32,
    first: int,
    end: int,
    index: Index,
    probes: int,
    width: int,
    which: bool,
) -> tuple[Float32, NDArray[np.int32] | None]:
    """Half distances of the rows of lists ``first`` to ``end`` to rows near them.

    float32 [q, probes * width], infinite where a list has fewer than ``width`` rows; with ``which``
    the numbers of these rows, too, int32.
    """
    lists, n_queries = index.lists, len(queries)
    looked = np.empty((n_queries, probes), dtype=np.int32)
    offset = int(lists.starts[first])
    for number in range(first, end):
        low, high = int(lists.starts[number]) - offset, int(lists.starts[number + 1]) - offset
        if low < high:
            near = index.near[number]
            half = half_distances(queries[low:high], halved(index.centroids[near]))
            looked[low:high] = near[smallest(half, probes)]
    return search_looked(features, half_norms, queries, looked, lists, offset, width, which)


def search_looked(
    features: Float32,
    half_norms: Float32,
    queries: Float32,
    looked: NDArray[np.int32],
    lists: Lists,
    offset: int,
    width: int,
    which: bool,
    found: Float32 | None = None,
) -> tuple[Float32, NDArray[np.int32] | None]:
    """Half distances of rows to the ``width`` nearest of each list they look into.

    Parameters
    ----------
    looked : int32 [q, probes], the lists that each row looks into.
    offset : where the rows begin in ``lists.order``, one after the other; none finds itself.
    which : give the numbers of the rows found, too.
    found : to go on with, float32 [q, probes * width], where lists are there part by part.

    Returns float32 [q, probes * width], infinite where a list has fewer rows, and the numbers.
    """
    n_queries, probes = looked.shape
    if found is None:
        found = np.full((n_queries, probes * width), np.inf, dtype=np.float32)
    shape, found = found.shape, found.reshape(n_queries * probes, width)
    numbers = np.zeros(found.shape, dtype=np.int32) if which else None

    # 1. Turned round: the rows that look into each list.
    places = np.arange(n_queries * probes)
    bounds = np.arange(0, n_queries * probes + 1, probes)
    turned = sparse.csr_matrix((places, looked.ravel(), bounds), (n_queries, len(lists))).tocsc()

    # 2. One product per list and its rows.
    for number in np.flatnonzero(np.diff(turned.indptr)).tolist():
        members = lists.order[lists.starts[number] : lists.starts[number + 1]]
        if not len(members):
            continue
        base, norms = features[members].T, half_norms[members]
        own = int(lists.starts[number]) - offset
        step = max(1, PRODUCT // len(members))
        for start in range(int(turned.indptr[number]), int(turned.indptr[number + 1]), step):
            stop = min(start + step, int(turned.indptr[number + 1]))
            rows, place = turned.indices[start:stop], turned.data[start:stop]
            half = norms - queries[rows] @ base
            if -len(members) < own < n_queries:  # a row is no neighbour of itself
                itself = np.flatnonzero((rows >= own) & (rows < own + len(members)))
                half[itself, rows[itself] - own] = np.inf
            if numbers is not None:
                best = smallest(half, width)
                half = np.take_along_axis(half, best, axis=1)
                numbers[place, : half.shape[1]] = members[best]
            elif half.shape[1] > width:
                half.partition(width - 1, axis=1)
                half = half[:, :width]
            found[place, : half.shape[1]] = half
    return found.reshape(shape), None if numbers is None else numbers.reshape(shape)


def probes_needed(
    features: Float32, k: int, index: Index, *, recall: float = RECALL, seed: int = 0
) -> Probing:
    """How many lists it takes, from the exact neighbours of a random sample of rows."""
    n = len(features)
    rng = np.random.default_rng([seed, 20])
    rows = np.sort(rng.choice(n, size=min(SAMPLE, n), replace=False))
    true, _ = scan(features, rows, min(k, n - 1))
    of = np.empty(n, dtype=np.int32)
    of[index.lists.order] = np.repeat(np.arange(len(index.lists)), index.lists.sizes)
    half = half_distances(features[rows], halved(index.centroids))
    # Lists beyond those near a row's own are not looked into, however near they are to the row.
    reach = np.full(half.shape, np.inf, dtype=np.float32)
    near = index.near[of[rows]]
    np.put_along_axis(reach, near, np.take_along_axis(half, near, axis=1), axis=1)
    ranks = np.argsort(np.argsort(reach, axis=1, kind="stable"), axis=1, kind="stable")
    needed = np.sort(np.take_along_axis(ranks, of[true].astype(np.int64), axis=1).ravel()) + 1
    most = min(MOST_PROBES, len(index.lists))
    probes = int(needed[min(len(needed) - 1, int(np.ceil(recall * len(needed))) - 1)])
    probes = min(max(probes, min(FEWEST_PROBES, most)), most)
    return Probing(probes, float((needed <= probes).mean()))


def scan(features: Float32, rows: NDArray[np.int64], k: int) -> tuple[NDArray[np.int64], Float32]:
    """The k nearest of all rows to some rows, not themselves: numbers and half distances [q, k].

    One pass over the table, in little memory.
    """
    queries, n = features[rows], len(features)
    half_norms = row_half_norms(features)
    step = max(256, min(8192, PRODUCT // max(1, len(rows))))

    def block(start: int, stop: int) -> tuple[NDArray[np.int64], Float32]:
        half = half_norms[start:stop] - queries @ features[start:stop].T
        inside = np.flatnonzero((rows >= start) & (rows < stop))
        half[inside, rows[inside] - start] = np.inf
        best = smallest(half, min(k, stop - start))
        return best + start, np.take_along_axis(half, best, axis=1)

    found = np.empty((len(rows), 0), dtype=np.int64)
    values = np.empty((len(rows), 0), dtype=np.float32)
    for numbers, half in map_blocks(block, n, step):
        numbers, half = np.hstack([found, numbers]), np.hstack([values, half])
        best = smallest(half, min(k, half.shape[1]))
        found = np.take_along_axis(numbers, best, axis=1)
        values = np.take_along_axis(half, best, axis=1)
    return found, values


def row_half_norms(features: Float32) -> Float32:
    """|x|^2 / 2 of every row, float32 [n]."""

    def block(start: int, stop: int) -> Float32:
        rows = features[start:stop]
        return np.asarray(0.5 * np.einsum("ij,ij->i", rows, rows), dtype=np.float32)

    return np.concatenate(list(map_blocks(block, len(features), 8192)))
