"""Pick rows of a sharded table of features, on Ray or in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import UsageError
from usl.core.files import cache_dir
from usl.core.hashing import json_digest
from usl.core.progress import Progress, silent
from usl.core.version import __version__
from usl.engine.executor import Executor
from usl.engine.partition import Work
from usl.engine.shards import Shards
from usl.engine.store import Store
from usl.numeric.arrays import Float32, Rows
from usl.selection.constraints.resolve import check_distances
from usl.selection.constraints.select_within import Constraints, select_within
from usl.selection.contract import METHODS
from usl.selection.ranking import nearest_earlier
from usl.selection.sharded.bests import Bests
from usl.selection.sharded.by_cluster import ShardPicks, pick_central, pick_dense
from usl.selection.sharded.row_lists import RowLists, count_as_labelled, rows_of, texts_of
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
class ShardSelection:
    """The picks, best first: ``rows`` int64 [m] of the shards, their ``ids`` and ``points``.

    ``columns`` : figures of each, as of :class:`usl.Selection`; ``looked_at`` : rows that the
    method saw; ``parameters`` : resolved; ``constraints`` : what was asked and what came of it.
    The first ``included`` are must-includes, for which the method has no figures.
    """

    rows: Rows
    ids: NDArray[np.str_]
    points: Float32
    columns: dict[str, NDArray[Any]]
    parameters: dict[str, Any]
    looked_at: int
    constraints: dict[str, Any]
    included: int = 0


def select_shards(
    shards: Shards,
    budget: int,
    executor: Executor,
    *,
    method: str = "usl",
    seed: int = 0,
    exclude: Rows | None = None,
    include: Rows | None = None,
    labeled: Rows | None = None,
    collapse_duplicates: float | bool | None = None,
    min_distance: float | None = None,
    scratch: str | None = None,
    progress: Progress = silent,
    **method_params: Any,
) -> ShardSelection:
    """Pick ``budget`` rows of ``shards``; any number of workers picks the same.

    Parameters
    ----------
    method : ``usl``, ``kmeans``, ``typiclust`` and ``random`` look at all rows; ``quorum`` and
        ``usl_t`` at a random sample of 50,000.
    exclude : rows never to pick, int64.
    include : rows to pick in any case, int64, part of the budget; they come first, in this order.
    labeled : rows that have a label already, int64: never picked, and what they cover is served
        last. The driver holds their points.
    collapse_duplicates, min_distance : as of :class:`usl.Constraints`.
    scratch : folder or address that every worker reaches, for what is finished: a selection that
        was stopped goes on from it. By default a folder of the cache.

    Raises
    ------
    UsageError
        another method, a budget out of range, contradictory lists of rows, or a distance that
        leaves no room for the budget.
    """
    check_method(method, method_params)
    constraints = Constraints(collapse_duplicates=collapse_duplicates, min_distance=min_distance)
    check_distances(constraints)
    lists = RowLists.of(exclude, include, labeled)
    lists.check(budget, shards)
    given = sorted((name, repr(value)) for name, value in method_params.items())
    what = [__version__, shards.digest, budget, method, seed, lists.digest, given]
    distances = [constraints.distance_of_duplicates, min_distance]
    key = json_digest([*what, distances])
    store = Store(f"{(scratch or str(cache_dir() / 'engine')).rstrip('/')}/{key}")
    work = Work(shards, store, executor, progress)
    found, looked_at = picked(work, budget, method, seed, constraints, lists, method_params)
    first = lists.include
    points = rows_of(work, np.sort(first))[np.searchsorted(np.sort(first), first)]
    return _finish(shards, found, looked_at, first, points)


def picked(
    work: Work,
    budget: int,
    method: str,
    seed: int,
    constraints: Constraints,
    lists: RowLists,
    params: dict[str, Any],
) -> tuple[ShardPicks, int]:
    """The picks beside the must-includes, best first, and how many rows the method looked at."""
    told: dict[str, Any] = {}
    if len(lists.exclude):
        told["excluded"] = len(lists.exclude)
    if len(lists.include):
        told["included"] = len(lists.include)
    never, needs = lists.never, budget - len(lists.include)
    work.store.save_rows("excluded", never)
    asked = constraints.distance_of_duplicates is not None or constraints.min_distance is not None
    if not needs:
        return ShardPicks(_plain(work, never[:0]), {}, told), len(work.shards)
    if method in BY_CLUSTER:
        labelled = count_as_labelled(work, lists, constraints)
        found = BY_CLUSTER[method](work, needs, seed, constraints, labelled, **params)
        assert found.partition is not None
        picks = found.partition.order(found.picks)
        found = replace(found, picks=picks, constraints=told | found.constraints)
        return found, len(work.shards)
    if method == "random" and not asked:
        rows = drawn(len(work.shards), needs, never, seed)
        return ShardPicks(_plain(work, rows), {}, told), len(work.shards)
    known = np.random.default_rng([seed, 1]).permutation(lists.labeled)[: SAMPLE // 2]
    known = np.union1d(known, lists.include)
    rows = drawn(len(work.shards), max(SAMPLE - len(known), needs), never, seed)
    rows = np.union1d(rows, known)
    points = rows_of(work, rows)
    limits = replace(constraints, include=np.searchsorted(rows, lists.include))
    labeled = np.searchsorted(rows, np.setdiff1d(known, lists.include))
    names = texts_of(work.shards, rows, "id") if len(lists.include) else None
    how: dict[str, Any] = {"method": method, "seed": seed, "labeled": labeled, "ids": names}
    chosen = select_within(points, budget, limits, **how, **params)
    places = chosen.indices[len(lists.include) :]
    told |= chosen.constraints or {}
    parameters = chosen.parameters | {"sample": len(rows)}
    picks = _bests(rows[places], points[places])
    return ShardPicks(picks, parameters, told), len(rows)


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


def _plain(work: Work, rows: Rows) -> Bests:
    return _bests(rows, rows_of(work, rows))


def _bests(rows: Rows, points: Float32) -> Bests:
    nothing = np.zeros(len(rows))
    return Bests(np.zeros(len(rows), np.int64), rows, points, nothing, nothing, nothing)


def _finish(
    shards: Shards, found: ShardPicks, looked_at: int, first: Rows, points: Float32
) -> ShardSelection:
    """The selection: must-includes first, without figures of the method (-1 and NaN)."""
    picks = found.picks
    columns: dict[str, NDArray[Any]] = {}
    if found.partition is not None:
        sizes = found.partition.sizes[picks.clusters]
        columns = {"cluster": picks.clusters, "cluster_size": sizes}
        if "lam" in found.parameters:
            columns |= {"density": picks.utility, "regularizer": picks.regularizer}
        columns["utility"] = picks.scores
    for name, column in columns.items():
        nothing = -1 if column.dtype.kind in "iu" else np.nan
        columns[name] = np.concatenate([np.full(len(first), nothing, column.dtype), column])
    rows = np.concatenate([first, picks.rows])
    vectors = np.concatenate([points, picks.points])
    earlier = nearest_earlier(vectors, np.arange(len(rows)))
    columns["nearest_earlier"], columns["nearest_distance"] = earlier
    ids = texts_of(shards, rows, "id")
    assert ids is not None
    about = columns, found.parameters, looked_at, found.constraints
    return ShardSelection(rows, ids, vectors, *about, included=len(first))
