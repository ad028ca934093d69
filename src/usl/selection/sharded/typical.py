"""``typiclust`` on shards, as :mod:`usl.selection.methods.typiclust`: cells hold whole clusters.

How many picks a cluster gives depends on numbers alone, and which on its own rows alone: the driver
counts, and one task per cell finds all picks of its clusters.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.engine.cells import Cells
from usl.engine.partition import Work
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
from usl.selection.sharded.bests import Apart, Bests, allowed
from usl.selection.sharded.by_cluster import Partition, ShardPicks, over, partitioned
from usl.selection.sharded.kept_apart import collapsed, spaced
from usl.selection.sharded.labelled import Labelled

COMPARED = 65_536  # rows of a cluster among which neighbours are sought, at most


def pick_typical(
    work: Work,
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
    partition = partitioned(work, count, seed, labelled, whole=True)
    cells, (squared, floor) = partition.cells, PRESETS[preset]
    found = collapsed(work, cells, partition.lists, budget, constraints, labelled)
    turns = _turns(work, partition, budget)
    needs = np.bincount(turns, minlength=len(partition))
    work.store.save("typical", rows=labelled.rows, needs=needs)
    items = [(cells, cell, k, squared, floor) for cell in range(len(cells))]
    parts = work.executor.map(typical, items, progress=work.progress, label="picks")
    picks = Bests.joined(list(parts))

    def again(apart: Apart, _: Bests, most: int) -> Bests:
        how = k, squared, floor, most, apart
        return over(work, cells, typical, how, "further picks", most)

    if constraints.min_distance:
        first = partition.order(picks)
        picks = spaced(work, first, budget, constraints.min_distance, again, found, partition)
    told: dict[str, Any] = {"preset": preset, "k": k, "max_clusters": max_clusters}
    return ShardPicks(picks, told, found, partition)


def _turns(work: Work, partition: Partition, budget: int) -> Rows:
    """The cluster of each pick, in turn, int64 [budget]; fewer where there are not as many rows."""
    cells, left = partition.cells, np.zeros(len(partition), dtype=np.int64)
    items = [(cells, cell) for cell in range(len(cells))]
    for clusters, counts in work.executor.map(candidates_of, items):
        left[clusters] += counts
    found: list[Rows] = []
    wanted = min(budget, int(left.sum()))
    while wanted:
        turn = in_turn(partition.sizes, partition.covered, left > 0)[:wanted]
        left[turn] -= 1
        wanted -= len(turn)
        found.append(turn)
    return np.concatenate([left[:0], *found])


def candidates_of(cells: Cells, cell: int) -> tuple[Rows, Rows]:
    """Clusters of a cell, and how many of their rows may be picked."""
    may = allowed(cells, cell, None, None)
    return np.unique(cells.about(cell)[2][may], return_counts=True)


def typical(
    cells: Cells,
    cell: int,
    k: int,
    squared: bool,
    floor: float,
    most: int = 0,
    apart: Apart | None = None,
) -> Bests:
    """The most typical rows of the clusters of a cell: as many of each as it needs, in turn.

    With ``apart`` the ``most`` best of each that is open, beside what is kept.
    """
    rows, _, clusters = cells.about(cell)
    points, state = cells.features(cell), cells.store.load("typical")
    may = np.zeros(len(rows), dtype=bool)
    may[allowed(cells, cell, points, apart)] = True
    rest, needs = ~np.isin(rows, state["rows"]), state["needs"]
    if apart is not None:
        kept = cells.store.load(apart.name)
        rest &= ~np.isin(rows, kept["rows"])
        needs = np.where(kept["open"], most, 0)
    chosen: list[int] = []
    scores: list[float] = []
    for cluster in np.unique(clusters[may]).tolist():
        members = np.flatnonzero(rest & (clusters == cluster))
        one_by_one = apart is None and len(members) <= COMPARED
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
