"""``kmeans`` and ``usl`` on shards: one pick per cluster, as :mod:`usl.selection.methods` does.

The best row of a cluster is found cell by cell; the driver holds one row of each, and the picks.
The exchange looks at every row again, pass by pass, so that no pick is missed that one machine
would find.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import count
from typing import Any

import numpy as np

from usl.engine.cells import Cells, make_cells
from usl.engine.densities import mean_distances
from usl.engine.partition import Work, fit
from usl.numeric.arrays import Float32, Rows, Values
from usl.numeric.distances import nearest
from usl.selection.constraints.select_within import Constraints
from usl.selection.methods.usl import resolve
from usl.selection.ranking import FARTHEST, greedy_order
from usl.selection.sharded.bests import Apart, Bests, Turn, central, dense, exchanged
from usl.selection.sharded.filled_up import filled_up
from usl.selection.sharded.kept_apart import collapsed, spaced
from usl.selection.sharded.labelled import Labelled
from usl.selection.shared.repulsion import EXACT_PAIRS, REACH, near_picks

LONGEST = 4096  # rows per cluster up to which clusters serve as the lists of the search
LIST_ROWS, MOST_LISTS = 1000, 65_536  # of a partition made for the search alone


@dataclass(frozen=True)
class Partition:
    """Clusters of all rows, as the driver knows them.

    ``cells`` hold the rows by the ``lists`` of that name; ``means`` float32 [c, d] and ``sizes``
    int64 [c] of the clusters; ``labelled`` : rows, with their clusters.
    """

    cells: Cells
    lists: str
    means: Float32
    sizes: Rows
    labelled: Labelled

    def __len__(self) -> int:
        """Number of clusters."""
        return len(self.sizes)

    @property
    def covered(self) -> Rows:
        """Labelled rows in each cluster, int64 [c]."""
        return self.labelled.covered(len(self))

    def order(self, picks: Bests) -> Bests:
        """The picks by greedy coverage of the clusters they stand for, best first."""
        shared = np.bincount(picks.clusters, minlength=len(self))
        shares = (self.sizes / np.maximum(shared, 1))[picks.clusters]
        of, cost = self.means[picks.clusters], np.full(len(picks), FARTHEST)
        if len(self.labelled) and len(picks):
            cost = nearest(of, self.labelled.points, 1)[1][:, 0].astype(np.float64) ** 2
        places = greedy_order(picks.points, of, shares, cost, picks.scores, picks.rows)
        return picks.take(places)


@dataclass(frozen=True)
class ShardPicks:
    """Picks from shards: what is known of each, how they were found, and what constraints did.

    ``partition`` : the clusters behind them.
    """

    picks: Bests
    parameters: dict[str, Any]
    constraints: dict[str, Any]
    partition: Partition


def partitioned(
    work: Work, clusters: int, seed: int, labelled: Labelled, *, whole: bool = False
) -> Partition:
    """A partition into so many ``clusters``, or as many as there are rows.

    ``whole`` : every cluster lies in one cell, however large it is.
    """
    n = len(work.shards)
    clusters = min(n, clusters)
    fit(work, "clusters", clusters, seed)
    lists = "clusters"
    if n > LONGEST * clusters and not whole:
        lists = "lists"
        fit(work, lists, min(MOST_LISTS, -(-n // LIST_ROWS)), 0)
    cells = make_cells(work, lists, "clusters")
    known = work.store.load("means")
    sizes = known["counts"]
    means = (known["sums"] / np.maximum(sizes, 1)[:, None]).astype(np.float32)
    return Partition(cells, lists, means, sizes, labelled.located(work, cells))


def pick_central(
    work: Work, budget: int, seed: int, constraints: Constraints, labelled: Labelled
) -> ShardPicks:
    """``kmeans``: the row nearest to the mean of each cluster."""
    partition = partitioned(work, budget + len(labelled), seed, labelled)
    found = collapsed(work, partition.cells, partition.lists, budget, constraints, labelled)

    def again(apart: Apart, _: Bests, most: int) -> Bests:
        return over(work, partition.cells, central, (most, apart), "further picks", most)

    def closeness(listed: Bests, _: Float32) -> tuple[Values, Values]:
        return listed.scores, listed.regularizer

    best = over(work, partition.cells, central, (1,), "picks")
    picks = _served(best, partition, budget)
    if constraints.min_distance:
        first = partition.order(picks)
        picks = spaced(work, first, budget, constraints.min_distance, again, found, partition)
    else:
        picks = filled_up(work, picks, budget, partition, len(best), again, closeness)
    return ShardPicks(picks, {}, found, partition)


def pick_dense(
    work: Work,
    budget: int,
    seed: int,
    constraints: Constraints,
    labelled: Labelled,
    *,
    preset: str = "paper",
    **given: float | None,
) -> ShardPicks:
    """``usl``: the densest row of each cluster, spread out by the exchange (Algorithm 1)."""
    settings = resolve(preset, len(work.shards), budget, given)
    partition = partitioned(work, budget + len(labelled), seed, labelled)
    cells, labelled = partition.cells, partition.labelled
    found = collapsed(work, cells, partition.lists, budget, constraints, labelled)
    probing, flat = None, settings.k == 0
    if not flat:
        how = settings.squared, settings.count_self, work.progress
        probing = mean_distances(work.executor, cells, settings.k, *how)
    best = over(work, cells, dense, (1, flat), "picks")
    picks = _served(best, partition, budget)
    served = np.zeros(len(partition), dtype=bool)
    served[picks.clusters] = True
    for number in range(1, settings.iterations + 1):
        turn = Turn(number, settings)
        _write_turn(work, turn, picks, served, partition)
        picks = over(work, cells, exchanged, (turn,), "repulsion")
    turns = count(settings.iterations + 1)

    def again(apart: Apart, kept: Bests, most: int) -> Bests:
        """As one machine rates further picks: all that is kept repels, in its own cluster too."""
        turn = Turn(next(turns), replace(settings, momentum=0.0))
        nowhere, open_ = np.full(len(kept), -1), work.store.load(apart.name)["open"]
        kept = replace(kept, clusters=nowhere)
        _write_turn(work, turn, kept, open_, partition, everywhere=True)
        return over(work, cells, exchanged, (turn, most, apart), "further picks", most)

    def utility(listed: Bests, taken: Float32) -> tuple[Values, Values]:
        own, homes = np.full(len(listed), -1), np.full(len(taken), -1)
        felt = settings.repulsion.from_all(listed.points, own, taken, homes)
        return listed.utility - settings.lam * felt, felt

    if constraints.min_distance:
        first = partition.order(picks)
        picks = spaced(work, first, budget, constraints.min_distance, again, found, partition)
    else:
        picks = filled_up(work, picks, budget, partition, len(best), again, utility)
    told = {} if probing is None else asdict(probing)
    return ShardPicks(picks, {"preset": preset, **asdict(settings), **told}, found, partition)


def _write_turn(
    work: Work,
    turn: Turn,
    picks: Bests,
    served: Rows,
    partition: Partition,
    *,
    everywhere: bool = False,
) -> None:
    """What repels in a turn, and which of it is near each cluster where all are many.

    Picks and labelled rows; those of a row's own cluster do not, but for ``everywhere``. The same
    rule as on one machine (:class:`usl.selection.shared.repulsion.Repulsion`).
    """
    labelled = partition.labelled
    theirs = np.full(len(labelled), -1) if everywhere else labelled.clusters
    points = np.concatenate([picks.points, labelled.points])
    homes = np.concatenate([picks.clusters, theirs])
    reach = REACH * (turn.settings.horizon or len(points))
    state: dict[str, Any] = {"points": points, "homes": homes, "served": served}
    movable = int(partition.sizes[served].sum())
    if movable * len(points) > EXACT_PAIRS and reach < len(points):
        state["near"] = near_picks(partition.means, points, reach)
    work.store.save(turn.name, **state)


def over(
    work: Work, cells: Cells, task: Any, how: tuple[Any, ...], label: str, most: int = 1
) -> Bests:
    """The ``most`` best rows of each cluster, as ``task`` finds them cell by cell."""
    items = [(cells, cell, *how) for cell in range(len(cells))]
    parts = list(work.executor.map(task, items, progress=work.progress, label=label))
    return Bests.joined(parts).best(most)


def _served(best: Bests, partition: Partition, budget: int) -> Bests:
    """At most ``budget`` of the clusters' bests: uncovered clusters, the largest first."""
    of = best.clusters
    return best.take(np.lexsort((of, -partition.sizes[of], partition.covered[of]))[:budget])
