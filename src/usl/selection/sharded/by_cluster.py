"""``kmeans`` and ``usl`` on shards: one pick per cluster, as :mod:`usl.selection.methods` does.

The best row of a cluster is found cell by cell; the driver holds one row of each, and the picks.
The exchange looks at every row again, pass by pass, so that no pick is missed that one machine
would find.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import count
from typing import Any

import numpy as np

from usl.engine.cells import Cells, make_cells
from usl.engine.densities import mean_distances
from usl.engine.partition import Work, fit
from usl.numeric.arrays import Float32, Rows
from usl.numeric.distances import squared_distances
from usl.selection.constraints.select_within import Constraints
from usl.selection.methods.usl import Preset, resolve
from usl.selection.ranking import FARTHEST, greedy_order
from usl.selection.sharded.bests import SPARE, Apart, Bests, Turn, central, dense, exchanged
from usl.selection.sharded.kept_apart import FEW, collapsed, spaced
from usl.selection.shared.repulsion import EXACT_PAIRS, REACH, near_picks

LONGEST = 4096  # rows per cluster up to which clusters serve as the lists of the search
LIST_ROWS, MOST_LISTS = 1000, 65_536  # of a partition made for the search alone


@dataclass(frozen=True)
class ShardPicks:
    """Picks from shards: what is known of each, how they were found, and what constraints did.

    ``means`` float32 and ``sizes`` int64 are of the clusters, or None without a partition.
    """

    picks: Bests
    parameters: dict[str, Any]
    constraints: dict[str, Any]
    means: Float32 | None = None
    sizes: Rows | None = None


def partitioned(work: Work, count: int, seed: int) -> tuple[Cells, str]:
    """The cells of a partition into ``count`` clusters, and the name of the lists in them."""
    n = len(work.shards)
    fit(work, "clusters", count, seed)
    if n <= LONGEST * count:
        return make_cells(work, "clusters", "clusters"), "clusters"
    fit(work, "lists", min(MOST_LISTS, -(-n // LIST_ROWS)), 0)
    return make_cells(work, "lists", "clusters"), "lists"


def cluster_means(work: Work) -> tuple[Float32, Rows]:
    """Means float32 [m, d] and sizes int64 [m] of the clusters."""
    known = work.store.load("means")
    sizes = known["counts"]
    return (known["sums"] / np.maximum(sizes, 1)[:, None]).astype(np.float32), sizes


def pick_central(work: Work, budget: int, seed: int, constraints: Constraints) -> ShardPicks:
    """``kmeans``: the row nearest to the mean of each cluster."""
    cells, lists = partitioned(work, min(len(work.shards), budget), seed)
    found = collapsed(work, cells, lists, budget, constraints)
    means, sizes = cluster_means(work)
    picks = _served(_over(work, cells, central, (1,), "picks"), sizes, budget)
    if constraints.min_distance:

        def again(apart: Apart, _: Bests) -> Bests:
            return _over(work, cells, central, (FEW, apart), "spacing", FEW)

        picks = picks.take(coverage(picks, means, sizes))
        picks = spaced(work, picks, budget, constraints.min_distance, again, found, len(sizes))
    elif len(picks) < budget:
        spare = _over(work, cells, central, (SPARE,), "picks", SPARE)
        picks = _filled(picks, spare, sizes, budget, None)
    return ShardPicks(picks, {}, found, means, sizes)


def pick_dense(
    work: Work,
    budget: int,
    seed: int,
    constraints: Constraints,
    *,
    preset: str = "paper",
    **given: float | None,
) -> ShardPicks:
    """``usl``: the densest row of each cluster, spread out by the exchange (Algorithm 1)."""
    n = len(work.shards)
    settings = resolve(preset, n, budget, given)
    cells, lists = partitioned(work, min(n, budget), seed)
    found = collapsed(work, cells, lists, budget, constraints)
    means, sizes = cluster_means(work)
    probing, flat = None, settings.k == 0
    if not flat:
        how = settings.squared, settings.count_self, work.progress
        probing = mean_distances(work.executor, cells, settings.k, *how)
    picks = _served(_over(work, cells, dense, (1, flat), "picks"), sizes, budget)
    served = np.zeros(len(sizes), dtype=bool)
    served[picks.clusters] = True
    for number in range(1, settings.iterations + 1):
        turn = Turn(number, settings)
        _write_turn(work, turn, picks, served, means, int(sizes[served].sum()))
        picks = _over(work, cells, exchanged, (turn,), "repulsion")
    if constraints.min_distance:
        turns = count(settings.iterations + 1)

        def again(apart: Apart, kept: Bests) -> Bests:
            """As a further pass of the exchange, repelled by what is kept."""
            turn, open_ = Turn(next(turns), settings), work.store.load(apart.name)["open"]
            _write_turn(work, turn, kept, open_, means, int(sizes[open_].sum()))
            return _over(work, cells, exchanged, (turn, FEW, apart), "spacing", FEW)

        picks = picks.take(coverage(picks, means, sizes))
        picks = spaced(work, picks, budget, constraints.min_distance, again, found, len(sizes))
    elif len(picks) < budget:
        spare = _over(work, cells, dense, (SPARE, flat), "picks", SPARE)
        picks = _filled(picks, spare, sizes, budget, settings)
    told = {} if probing is None else asdict(probing)
    return ShardPicks(picks, {"preset": preset, **asdict(settings), **told}, found, means, sizes)


def coverage(picks: Bests, means: Float32, sizes: Rows) -> Rows:
    """The order of the picks: greedy coverage of the clusters they stand for."""
    shared = np.bincount(picks.clusters, minlength=len(sizes))
    shares = (sizes / np.maximum(shared, 1))[picks.clusters]
    cost = np.full(len(picks), FARTHEST)
    of = means[picks.clusters]
    return greedy_order(picks.points, of, shares, cost, picks.scores, picks.rows)


def _write_turn(
    work: Work, turn: Turn, picks: Bests, served: Rows, means: Float32, movable: int
) -> None:
    """The picks that repel in a turn, and which of them are near each cluster where all are many.

    The same rule as on one machine (:class:`usl.selection.shared.repulsion.Repulsion`).
    """
    reach = REACH * (turn.settings.horizon or len(picks))
    state: dict[str, Any] = {"points": picks.points, "homes": picks.clusters, "served": served}
    if movable * len(picks) > EXACT_PAIRS and reach < len(picks):
        state["near"] = near_picks(means, picks.points, reach)
    work.store.save(turn.name, **state)


def _over(
    work: Work, cells: Cells, task: Any, how: tuple[Any, ...], label: str, most: int = 1
) -> Bests:
    items = [(cells, cell, *how) for cell in range(len(cells))]
    parts = list(work.executor.map(task, items, progress=work.progress, label=label))
    return Bests.joined(parts).best(most)


def _served(best: Bests, sizes: Rows, budget: int) -> Bests:
    """At most ``budget`` of the clusters' bests: the largest clusters first."""
    return best.take(np.lexsort((best.clusters, -sizes[best.clusters]))[:budget])


def _filled(picks: Bests, spare: Bests, sizes: Rows, budget: int, settings: Preset | None) -> Bests:
    """Further picks, round robin over the clusters with the fewest; of the best of each alone."""
    left = spare.take(np.flatnonzero(~np.isin(spare.rows, picks.rows)))
    counts = np.bincount(picks.clusters, minlength=len(sizes))
    while len(picks) < budget and len(left):
        open_ = np.unique(left.clusters)
        cluster = open_[np.lexsort((open_, -sizes[open_], counts[open_]))[0]]
        places = np.flatnonzero(left.clusters == cluster)
        score = left.utility[places]
        if settings is not None:
            nowhere = np.full(len(picks), -1)
            about = left.points[places], np.full(len(places), -1), picks.points, nowhere
            score = score - settings.lam * settings.repulsion.from_all(*about)
        elif len(places) > 1:
            away = squared_distances(left.points[places], picks.points).min(axis=1)
            score = np.where(away > 0, score, score - 4.0)  # a copy of a pick comes last
        row = places[int(np.lexsort((left.rows[places], -score))[0])]
        picks = Bests.joined([picks, left.take(np.array([row]))])
        left = left.take(np.delete(np.arange(len(left)), row))
        counts[cluster] += 1
    return picks
