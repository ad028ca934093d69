"""``typiclust`` on shards, as :mod:`usl.selection.methods.typiclust`: cells hold whole clusters.

How many picks a cluster gives depends on numbers alone, and which on its own rows alone: the driver
counts, and one task per cell finds all picks of its clusters.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.engine.cells import Cell, Cells
from usl.engine.shard_table import ShardTable
from usl.numeric.arrays import Float32, Rows, Values
from usl.numeric.blocks import rows_per_block
from usl.numeric.distances import (
    half_distances,
    halved,
    mean_from_half,
    mean_neighbor_distance,
)
from usl.selection.constraints.select_within import Constraints
from usl.selection.methods.typiclust import PRESETS, in_turn
from usl.selection.sharded.bests import Bests
from usl.selection.sharded.by_cluster import Partition, ShardPicks, best_over, partitioned
from usl.selection.sharded.kept_apart import spaced
from usl.selection.sharded.labelled import Labelled
from usl.selection.sharded.limits import Limits, limited

COMPARED = 65_536  # rows of a cluster among which neighbours are sought, at most


def pick_typical(
    table: ShardTable,
    budget: int,
    seed: int,
    constraints: Constraints,
    labelled: Labelled,
    *,
    preset: str = "paper",
    k: int = 20,
    max_clusters: int = 500,
) -> ShardPicks:
    """``typiclust``: the most typical rows of each cluster, round robin over the clusters."""
    count = min(len(labelled) + budget, max_clusters)
    partition = partitioned(table, count, seed, labelled, whole=True)
    dealt, how = partition.table, (k, *PRESETS[preset])
    limits, record = limited(dealt, budget, constraints, labelled)
    needs = np.bincount(_turns(partition, limits, budget), minlength=len(partition))
    dealt.store.save("typical", rows=labelled.rows, needs=needs)
    picks = Bests.joined(list(dealt.over(typical, limits, 0, *how, label="picks")))

    def again(beside: Limits, _: Bests, most: int) -> Bests:
        return best_over(dealt, typical, beside, most, *how, label="further picks")

    if constraints.min_distance:
        picks = spaced(partition.order(picks), budget, limits, again, record, partition)
    told: dict[str, Any] = {"preset": preset, "k": k, "max_clusters": max_clusters}
    return ShardPicks(picks, told, record, partition)


def _turns(partition: Partition, limits: Limits, budget: int) -> Rows:
    """The cluster of each pick, in turn, int64 [budget]; fewer where there are not as many rows."""
    left = np.zeros(len(partition), dtype=np.int64)
    for clusters, counts in partition.table.over(candidates_of, limits):
        left[clusters] += counts
    found: list[Rows] = []
    wanted = min(budget, int(left.sum()))
    while wanted:
        turn = in_turn(partition.sizes, partition.covered, left > 0)[:wanted]
        left[turn] -= 1
        wanted -= len(turn)
        found.append(turn)
    return np.concatenate([left[:0], *found])


def candidates_of(cells: Cells, number: int, limits: Limits) -> tuple[Rows, Rows]:
    """Clusters of a cell, and how many of their rows may be picked."""
    cell = Cell(cells, number)
    return np.unique(cell.clusters[limits.allowed(cell)], return_counts=True)


def typical(
    cells: Cells, number: int, limits: Limits, most: int, k: int, squared: bool, floor: float
) -> Bests:
    """The most typical rows of the clusters of a cell: as many of each as it needs, in turn.

    Beside what is kept, the ``most`` best of each cluster that is open.
    """
    cell, state = Cell(cells, number), cells.store.load("typical")
    rows, clusters, points = cell.rows, cell.clusters, cell.features
    may = np.zeros(len(rows), dtype=bool)
    may[limits.allowed(cell)] = True
    rest, needs = ~np.isin(rows, state["rows"]), state["needs"]
    if limits.kept is not None:
        kept = cells.store.load(limits.kept)
        rest &= ~np.isin(rows, kept["rows"])
        needs = np.where(kept["open"], most, 0)
    chosen: list[int] = []
    scores: list[float] = []
    for cluster in np.unique(clusters[may]).tolist():
        members = np.flatnonzero(rest & (clusters == cluster))
        one_by_one = limits.kept is None and len(members) <= COMPARED
        need = min(int(needs[cluster]), int(may[members].sum()))
        while need:
            score = typicality(points[members], k, squared, floor)
            score[~may[members]] = -1.0
            # A pick is no neighbour of the others any more.
            best = np.argsort(-score, kind="stable")[: 1 if one_by_one else need]
            chosen += members[best].tolist()
            scores += score[best].tolist()
            members = np.delete(members, best)
            need -= len(best)
    places, found = np.array(chosen, dtype=np.int64), np.array(scores)
    about = clusters[places], rows[places], points[places]
    return Bests(*about, found, found, np.zeros(len(found)))


def typicality(points: Float32, k: int, squared: bool, floor: float) -> Values:
    """1 / (mean distance to the k nearest + ``floor``) of the rows of a cluster, float64 [r].

    Of more than ``COMPARED`` rows neighbours are sought among so many, evenly taken.
    """
    n = len(points)
    if n < 2:
        return np.zeros(n)
    if n <= COMPARED:
        near = min(k, n // 2)
        return np.asarray(1 / (mean_neighbor_distance(points, near, squared=squared) + floor))
    near = min(k, COMPARED // 2)
    sample = np.arange(COMPARED) * n // COMPARED
    base, mean = halved(points[sample]), np.empty(n)
    step = rows_per_block(4 * COMPARED)
    for start in range(0, n, step):
        queries = points[start : start + step]
        half: NDArray[Any] = half_distances(queries, base)
        own = np.flatnonzero((sample >= start) & (sample < start + step))
        half[sample[own] - start, own] = np.inf
        half.partition(near - 1, axis=1)
        mean[start : start + step] = mean_from_half(half[:, :near], queries, near, squared)
    return np.asarray(1 / (mean + floor))
