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

from usl.engine.shard_table import CellTable, ShardTable
from usl.numeric.arrays import Float32, Rows, Values
from usl.numeric.distances import nearest
from usl.selection.constraints.select_within import Constraints
from usl.selection.methods.usl import resolve
from usl.selection.ranking import FARTHEST, greedy_order
from usl.selection.sharded.bests import Bests, Turn, central, dense, exchanged
from usl.selection.sharded.filled_up import filled_up
from usl.selection.sharded.kept_apart import spaced
from usl.selection.sharded.labelled import Labelled
from usl.selection.sharded.limits import Limits, Mask, limited
from usl.selection.shared.repulsion import EXACT_PAIRS, REACH, near_picks

LONGEST = 4096  # rows per cluster up to which clusters serve as the lists of the search
LIST_ROWS, MOST_LISTS = 1000, 65_536  # of a partition made for the search alone


@dataclass(frozen=True)
class Partition:
    """Clusters of all rows, as the driver knows them.

    ``table`` holds the rows by cluster; ``means`` float32 [c, d] and ``sizes`` int64 [c] of the
    clusters; ``labelled`` : rows, with their clusters.
    """

    table: CellTable
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
    table: ShardTable, clusters: int, seed: int, labelled: Labelled, *, whole: bool = False
) -> Partition:
    """A partition into so many ``clusters``, or as many as there are rows.

    ``whole`` : every cluster lies in one cell, however large it is.
    """
    n = len(table)
    clusters = min(n, clusters)
    centers = lists = table.kmeans(clusters, seed=seed)
    if n > LONGEST * clusters and not whole:
        lists = table.kmeans(min(MOST_LISTS, -(-n // LIST_ROWS)), seed=0)
    dealt = table.assign(centers, lists)
    means = (dealt.sums() / np.maximum(dealt.counts, 1)[:, None]).astype(np.float32)
    return Partition(dealt, means, dealt.counts, labelled.located(dealt))


def pick_central(
    table: ShardTable, budget: int, seed: int, constraints: Constraints, labelled: Labelled
) -> ShardPicks:
    """``kmeans``: the row nearest to the mean of each cluster."""
    partition = partitioned(table, budget + len(labelled), seed, labelled)
    dealt = partition.table
    limits, record = limited(dealt, budget, constraints, labelled)

    def again(beside: Limits, _: Bests, most: int) -> Bests:
        return best_over(dealt, central, beside, most, label="further picks")

    def closeness(listed: Bests, _: Float32) -> tuple[Values, Values]:
        return listed.scores, listed.regularizer

    best = best_over(dealt, central, limits, 1, label="picks")
    picks = _served(best, partition, budget)
    if constraints.min_distance:
        picks = spaced(partition.order(picks), budget, limits, again, record, partition)
    else:
        picks = filled_up(picks, budget, limits, partition, len(best), again, closeness)
    return ShardPicks(picks, {}, record, partition)


def pick_dense(
    table: ShardTable,
    budget: int,
    seed: int,
    constraints: Constraints,
    labelled: Labelled,
    *,
    preset: str = "paper",
    **given: float | None,
) -> ShardPicks:
    """``usl``: the densest row of each cluster, spread out by the exchange (Algorithm 1)."""
    settings = resolve(preset, len(table), budget, given)
    partition = partitioned(table, budget + len(labelled), seed, labelled)
    dealt, labelled = partition.table, partition.labelled
    limits, record = limited(dealt, budget, constraints, labelled)
    mean_distance, probing = None, None
    if settings.k:
        how = {"squared": settings.squared, "count_self": settings.count_self}
        mean_distance, probing = dealt.mean_distance(settings.k, **how)
    best = best_over(dealt, dense, limits, 1, mean_distance, label="picks")
    picks = _served(best, partition, budget)
    served = np.zeros(len(partition), dtype=bool)
    served[picks.clusters] = True
    for number in range(1, settings.iterations + 1):
        turn = Turn(number, settings, mean_distance)
        _write_turn(turn, picks, served, partition)
        picks = best_over(dealt, exchanged, limits, 1, turn, label="repulsion")
    turns = count(settings.iterations + 1)

    def again(beside: Limits, kept: Bests, most: int) -> Bests:
        """As one machine rates further picks: all that is kept repels, in its own cluster too."""
        turn = Turn(next(turns), replace(settings, momentum=0.0), mean_distance)
        kept = replace(kept, clusters=np.full(len(kept), -1))
        _write_turn(turn, kept, beside.open_clusters(), partition, everywhere=True)
        return best_over(dealt, exchanged, beside, most, turn, label="further picks")

    def utility(listed: Bests, taken: Float32) -> tuple[Values, Values]:
        own, homes = np.full(len(listed), -1), np.full(len(taken), -1)
        felt = settings.repulsion.from_all(listed.points, own, taken, homes)
        return listed.utility - settings.lam * felt, felt

    if constraints.min_distance:
        picks = spaced(partition.order(picks), budget, limits, again, record, partition)
    else:
        picks = filled_up(picks, budget, limits, partition, len(best), again, utility)
    told = {} if probing is None else asdict(probing)
    return ShardPicks(picks, {"preset": preset, **asdict(settings), **told}, record, partition)


def _write_turn(
    turn: Turn,
    picks: Bests,
    served: Mask,
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
    partition.table.store.save(turn.name, **state)


def best_over(
    table: CellTable, task: Any, limits: Limits, most: int, *how: Any, label: str
) -> Bests:
    """The ``most`` best rows of each cluster, as ``task`` finds them cell by cell."""
    return Bests.joined(list(table.over(task, limits, most, *how, label=label))).best(most)


def _served(best: Bests, partition: Partition, budget: int) -> Bests:
    """At most ``budget`` of the clusters' bests: uncovered clusters, the largest first."""
    of = best.clusters
    return best.take(np.lexsort((of, -partition.sizes[of], partition.covered[of]))[:budget])
