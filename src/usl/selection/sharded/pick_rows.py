"""The picks of one method from shards, or from the rows of one group of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import UsageError
from usl.engine.shard_table import ShardTable
from usl.numeric.arrays import Float32, Rows
from usl.numeric.farthest import squared_to_points
from usl.numeric.unit_rows import unless_one
from usl.selection.constraints.select_within import Constraints, select_within
from usl.selection.contract import METHODS
from usl.selection.known_methods import takes
from usl.selection.sharded.by_cluster import ShardPicks, pick_central, pick_dense
from usl.selection.sharded.row_lists import RowLists, count_as_labelled, lengths_of, texts_of
from usl.selection.sharded.typical import pick_typical

SAMPLE = 50_000  # rows that a method looks at that cannot look at all
BY_CLUSTER: dict[str, Callable[..., ShardPicks]] = {
    "usl": pick_dense,
    "kmeans": pick_central,
    "typiclust": pick_typical,
}
WHOLE = (*BY_CLUSTER, "random")  # look at all rows
SAMPLED = ("quorum", "usl_t")  # on a sample
OWN = {  # parameters of the former
    "kmeans": (),
    "random": (),
    "typiclust": ("preset", "k", "max_clusters"),
    "usl": ("preset", "k", "lam", "alpha", "momentum", "iterations", "horizon"),
}


@dataclass(frozen=True)
class Picked:
    """Picks beside the must-includes, best first: ``rows`` int64 [m] and ``points`` [m, d].

    ``columns`` : figures of each; ``parameters`` : resolved; ``constraints`` : what came of them;
    ``looked_at`` : rows that the method saw; ``clusters`` : how many it made, or 0.
    """

    rows: Rows
    points: Float32
    columns: dict[str, NDArray[Any]]
    parameters: dict[str, Any]
    constraints: dict[str, Any]
    looked_at: int
    clusters: int = 0


def nothing_picked(table: ShardTable) -> Picked:
    """No picks, where must-includes are all of the budget."""
    rows = np.empty(0, dtype=np.int64)
    return Picked(rows, table.take(rows), {}, {}, {}, 0)


def pick_rows(
    table: ShardTable,
    needs: int,
    method: str,
    seed: int,
    constraints: Constraints,
    lists: RowLists,
    params: dict[str, Any],
    blocked: Float32 | None = None,
) -> Picked:
    """``needs`` picks, beside the must-includes.

    ``blocked`` : points [b, d] that picks keep the minimum distance from, beside what is labelled.
    """
    n, never = len(table), lists.never
    table.store.save_rows("excluded", never)
    if method in BY_CLUSTER:
        labelled = count_as_labelled(table, lists, constraints, blocked)
        return _ordered(BY_CLUSTER[method](table, needs, seed, constraints, labelled, **params), n)
    asked = constraints.distance_of_duplicates is not None or constraints.min_distance is not None
    if method == "random" and not asked:
        rows = drawn(n, needs, never, seed)
        turn = np.random.default_rng([seed, 2]).permutation(len(rows))
        return Picked(rows[turn], table.take(rows[turn]), {}, {}, {}, n)
    return _of_sample(table, needs, method, seed, constraints, lists, params, blocked)


def _ordered(found: ShardPicks, looked_at: int) -> Picked:
    partition = found.partition
    picks = partition.order(found.picks)
    sizes = partition.sizes[picks.clusters]
    columns: dict[str, Any] = {"cluster": picks.clusters, "cluster_size": sizes}
    if "lam" in found.parameters:
        columns |= {"density": picks.utility, "regularizer": picks.regularizer}
    columns |= {"utility": picks.scores}
    about = columns, found.parameters, found.constraints, looked_at, len(partition)
    return Picked(picks.rows, picks.points, *about)


def _of_sample(
    table: ShardTable,
    needs: int,
    method: str,
    seed: int,
    constraints: Constraints,
    lists: RowLists,
    params: dict[str, Any],
    blocked: Float32 | None,
) -> Picked:
    """Picks of one machine's method from a sample, half of which labelled rows are at most."""
    known = np.random.default_rng([seed, 1]).permutation(lists.labeled)[: SAMPLE // 2]
    known = np.union1d(known, lists.include)
    rows = drawn(len(table), max(SAMPLE - len(known), needs), lists.never, seed)
    rows = np.union1d(rows, known)
    points = table.take(rows)
    limits = replace(constraints, include=np.searchsorted(rows, lists.include))
    labeled = np.searchsorted(rows, np.setdiff1d(known, lists.include))
    names = texts_of(table.shards, rows, "id") if len(lists.include) else None
    how: dict[str, Any] = {"method": method, "seed": seed, "labeled": labeled, "ids": names}
    if takes(METHODS.load(method), "lengths"):
        how["lengths"] = unless_one(lengths_of(table, rows))
    apart = max(constraints.min_distance or 0.0, constraints.distance_of_duplicates or 0.0)
    if apart and (blocked is not None or len(known) < len(lists.known)):
        # Picks keep away from what is not in the sample, too.
        away = table.take(np.setdiff1d(lists.known, known))
        away = away if blocked is None else np.concatenate([away, blocked])
        far = squared_to_points(points, np.arange(len(rows)), away) >= apart**2
        how["candidates"] = np.flatnonzero(far | np.isin(rows, lists.include))
    budget = needs + len(lists.include)
    chosen = select_within(points, budget, limits, **how, **params)
    places = chosen.indices[len(lists.include) :]
    parameters = chosen.parameters | {"sample": len(rows)}
    about = parameters, chosen.constraints or {}, len(rows)
    return Picked(rows[places], points[places], {}, *about)


def check_method(method: str, params: dict[str, Any]) -> None:
    """:class:`UsageError` for a method or a parameter that shards do not have."""
    if method not in WHOLE + SAMPLED:
        raise UsageError(
            f"method: {method!r} does not run on Ray; these do: {', '.join(WHOLE)}, and on a "
            f"sample of {SAMPLE:,}: {', '.join(SAMPLED)}."
        )
    known = OWN.get(method)
    for name in params:
        if known is not None and name not in known:
            has = ", ".join(known) or "none"
            raise UsageError(f"{name}: no parameter of {method} on Ray; it has: {has}.")
    METHODS.check(method, METHODS.load(method), params)


def drawn(n: int, size: int, left_out: Rows, seed: int) -> Rows:
    """Random rows that may be picked, ascending, int64; no table of all is made for it."""
    free = n - len(left_out)
    rng = np.random.default_rng(seed)
    places = np.sort(rng.choice(free, min(size, free), replace=False, shuffle=False))
    shifts = left_out - np.arange(len(left_out))  # how many free rows stand before each
    return places + np.searchsorted(shifts, places, side="right")
