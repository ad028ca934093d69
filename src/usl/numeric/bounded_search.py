"""The search through inverted lists where many rows are looked at for each that is wanted.

The lists nearest to a row's own give a bound for the distance of its neighbours. All lists are then
gone through as without it, but of a list only what is within a row's bound is kept, which is little
and quickly found. What is found is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from usl.numeric.arrays import Float32
from usl.numeric.distances import half_distances, halved, smallest
from usl.numeric.near_pairs import Pairs, aligned, nearest_pairs

if TYPE_CHECKING:
    from usl.numeric.inverted_search import Index

PAYS = 32  # times as many rows as are wanted are looked at: fewer are looked through at once
MOST_ROWS, LONGEST = 8192, 16_384  # rows at once, and of a list, for which it is made
PROBE_BYTES = 32  # of a list that a row looks into
BOUNDING = 16  # times as many rows as are wanted, in the nearest lists, bound their distance
ROUNDING = 1e-5  # relative, by which a bound is raised: products of other shapes round otherwise
CROWDED = 4  # times as many rows of a list as are wanted: only the nearest are kept at once
MOST_PAIRS = 4 << 20  # of a row and one within its bound, of which only the nearest are kept then
PRODUCT = 1 << 20  # distances computed at once


def pays(index: Index, probes: int, wanted: int) -> bool:
    """Whether rows look at so many others that a bound is worth its time."""
    mean = len(index.lists.order) / len(index.lists)
    return probes * mean >= PAYS * wanted and int(index.lists.sizes.max()) <= LONGEST


def search_within(
    features: Float32,
    half_norms: Float32,
    rows: NDArray[np.int64],
    first: int,
    end: int,
    index: Index,
    probes: int,
    wanted: int,
) -> tuple[Float32, NDArray[np.int32]]:
    """What is near the ``rows`` of lists ``first`` to ``end``: half distances and numbers, [q, w].

    The ``wanted`` nearest in a row's lists are among them.
    """
    lists, queries, n_queries = index.lists, features[rows], len(rows)

    # 1. The lists each row looks into, and a bound for its neighbours, from the nearest few lists.
    looked = np.empty((n_queries, probes), dtype=np.int32)
    bound = np.full(n_queries, np.inf, dtype=np.float32)
    offset = int(lists.starts[first])
    for number in range(first, end):
        own = slice(int(lists.starts[number]) - offset, int(lists.starts[number + 1]) - offset)
        if own.start < own.stop:
            near = index.near[number]
            half = half_distances(queries[own], halved(index.centroids[near]))
            nearest = np.argsort(half.mean(axis=0), kind="stable")[: max(1, probes // 4)]
            held = np.cumsum(lists.sizes[near[nearest]])
            nearest = nearest[: 1 + int(np.searchsorted(held, BOUNDING * wanted))]
            half[:, nearest] = -np.inf  # looked into by all, so that what is bounded is found
            looked[own] = near[smallest(half, probes)]
            bound[own] = _bound(features, half_norms, rows[own], index, near[nearest], wanted)
    places = np.arange(0, n_queries * probes + 1, probes)
    ones = np.ones(n_queries * probes, dtype=bool)
    turned = sparse.csr_matrix((ones, looked.ravel(), places), (n_queries, len(lists))).tocsc()

    # 2. One product per list and the rows that look into it; what is within their bounds is kept.
    found: list[Pairs] = []
    count, most = 0, MOST_PAIRS
    for number in np.flatnonzero(np.diff(turned.indptr)).tolist():
        members = lists.order[lists.starts[number] : lists.starts[number + 1]].astype(np.int32)
        if not len(members):
            continue
        base, norms = features[members].T, half_norms[members]
        step = max(1, PRODUCT // len(members))
        for start in range(int(turned.indptr[number]), int(turned.indptr[number + 1]), step):
            asking = turned.indices[start : min(start + step, int(turned.indptr[number + 1]))]
            half = queries[asking] @ base
            np.subtract(norms, half, out=half)
            if first <= number < end:  # a row is no neighbour of itself
                half[rows[asking, None] == members] = np.inf
            flat = np.flatnonzero(half <= bound[asking, None])
            if len(flat) > CROWDED * wanted * len(asking):  # rows that coincide, or no bound
                best = smallest(half, wanted)
                flat = (best + len(members) * np.arange(len(asking))[:, None]).ravel()
            of = flat // len(members)  # divmod takes several times as long
            near = members[flat - of * len(members)]
            found.append((asking[of].astype(np.uint16), near, half.reshape(-1)[flat]))
            count += len(flat)
            if count > most:
                found = [nearest_pairs(found, wanted)]
                count = len(found[0][0])
                most = max(MOST_PAIRS, 2 * count)
    each = np.bincount(np.concatenate([of for of, *_ in found]))
    if int(each.max()) * n_queries > 2 * most:
        found = [nearest_pairs(found, wanted)]
    half, numbers, _ = aligned(found, n_queries, wanted)
    return half, numbers


def _bound(
    features: Float32,
    half_norms: Float32,
    rows: NDArray[np.int64],
    index: Index,
    near: NDArray[np.int32],
    wanted: int,
) -> Float32:
    """Half distances within which some lists hold ``wanted`` others of each of the ``rows``.

    Infinite where they hold fewer.
    """
    lists = index.lists
    members = np.concatenate([lists.order[lists.starts[n] : lists.starts[n + 1]] for n in near])
    bound = np.full(len(rows), np.inf, dtype=np.float32)
    if len(members) <= wanted:
        return bound
    base, norms = features[members].T, half_norms[members]
    step = max(1, PRODUCT // len(members))
    for start in range(0, len(rows), step):
        own = rows[start : start + step]
        half = norms - features[own] @ base
        half[own[:, None] == members] = np.inf
        half.partition(wanted - 1, axis=1)
        least = half[:, wanted - 1]
        bound[start : start + step] = least + ROUNDING * (np.abs(least) + half_norms[own])
    return bound
