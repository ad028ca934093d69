"""Rows that stand for many: k-means of them, and the row nearest to each centre."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usl.core.progress import Progress, silent
from usl.numeric.arrays import Rows
from usl.numeric.kmeans import kmeans
from usl.numeric.table import Table
from usl.selection.shared.clusters import best_per_cluster, fill_up, serve
from usl.selection.shared.kmeanspp_start import spread_out_start
from usl.selection.shared.sample import draw_pool

ITERATIONS = 100
MOST = 50_000  # rows that are divided into clusters


def central_rows(
    table: Table, rows: Rows, budget: int, seed: int, progress: Progress = silent
) -> Rows:
    """``budget`` of ``rows``, one from each of so many k-means clusters, the largest first.

    Where fewer of them are distinct, clusters give a second one. Of more than ``MOST`` a random
    part is looked at.

    Parameters
    ----------
    rows : int64 [m], at least ``budget``.
    """
    rows = draw_pool(rows, max(budget, MOST), seed)
    rng = np.random.default_rng(seed)
    points = table.take(rows)
    start = spread_out_start(points, budget, np.ones(len(rows)), rng)
    found = kmeans(points, budget, rng=rng, iterations=ITERATIONS, start=start, progress=progress)
    clusters = found.clusters.astype(np.int64)
    away = points - found.centroids[clusters]
    nearness = -np.einsum("ij,ij->i", away, away, dtype=np.float64)
    none, places = np.empty(0, np.int64), np.arange(len(rows))
    picks = serve(best_per_cluster(nearness, clusters, places), clusters, budget, none)
    picks = fill_up(picks, clusters, budget, none, places, lambda some, _: nearness[some])
    return np.asarray(rows[picks])


def central_or_first(
    table: Table,
    candidates: Rows,
    sought: NDArray[np.bool_],
    order: Rows,
    budget: int,
    seed: int,
    progress: Progress,
) -> Rows:
    """Positions in ``candidates``: central rows of those sought, or the first in order; [budget].

    Parameters
    ----------
    sought : bool [c], which candidates are meant.
    order : all positions; taken where no more than ``budget`` are sought, which come first in it.
    """
    meant = np.flatnonzero(sought)
    if len(meant) <= budget:
        return order[:budget]
    rows = central_rows(table, candidates[meant], budget, seed, progress)
    return np.searchsorted(candidates, rows)
