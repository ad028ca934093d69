"""Pick rows of a sharded table of features, on Ray or in this process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import UsageError
from usl.core.files import cache_dir
from usl.core.hashing import array_digest, json_digest
from usl.core.progress import Progress, silent
from usl.core.version import __version__
from usl.engine.executor import Executor
from usl.engine.partition import Work, unit_shard
from usl.engine.shards import Shards
from usl.engine.store import Store
from usl.numeric.arrays import Float32, Rows
from usl.selection.constraints.resolve import check_distances
from usl.selection.constraints.select_within import Constraints, select_within
from usl.selection.ranking import nearest_earlier
from usl.selection.select import check_budget
from usl.selection.sharded.bests import Bests
from usl.selection.sharded.by_cluster import ShardPicks, coverage, pick_central, pick_dense

SAMPLE = 50_000  # rows that a method looks at that cannot look at all
WHOLE = ("kmeans", "usl", "random")  # look at all rows
SAMPLED = ("quorum", "usl_t", "typiclust")  # on a sample
USL = ("preset", "k", "lam", "alpha", "momentum", "iterations", "horizon")


@dataclass(frozen=True)
class ShardSelection:
    """The picks, best first: ``rows`` int64 [m] of the shards, their ``ids`` and ``points``.

    ``columns`` : figures of each, as of :class:`usl.Selection`; ``looked_at`` : rows that the
    method saw; ``parameters`` : resolved; ``constraints`` : what was asked and what came of it.
    """

    rows: Rows
    ids: NDArray[np.str_]
    points: Float32
    columns: dict[str, NDArray[Any]]
    parameters: dict[str, Any]
    looked_at: int
    constraints: dict[str, Any]


def select_shards(
    shards: Shards,
    budget: int,
    executor: Executor,
    *,
    method: str = "usl",
    seed: int = 0,
    exclude: Rows | None = None,
    collapse_duplicates: float | bool | None = None,
    min_distance: float | None = None,
    scratch: str | None = None,
    progress: Progress = silent,
    **method_params: Any,
) -> ShardSelection:
    """Pick ``budget`` rows of ``shards``; any number of workers picks the same.

    Parameters
    ----------
    method : ``usl``, ``kmeans`` and ``random`` look at all rows; ``quorum``, ``usl_t`` and
        ``typiclust`` at a random sample of 50,000.
    exclude : rows never to pick, int64.
    collapse_duplicates, min_distance : as of :class:`usl.Constraints`.
    scratch : folder or address that every worker reaches, for what is finished: a selection that
        was stopped goes on from it. By default a folder of the cache.

    Raises
    ------
    UsageError
        another method, a budget out of range, or a distance that leaves no room for it.
    """
    check_method(method, method_params)
    constraints = Constraints(collapse_duplicates=collapse_duplicates, min_distance=min_distance)
    check_distances(constraints)
    left_out = np.unique(np.asarray([] if exclude is None else exclude, dtype=np.int64))
    check_budget(budget, len(shards) - len(left_out))
    given = sorted((name, repr(value)) for name, value in method_params.items())
    what = [__version__, shards.digest, budget, method, seed, array_digest(left_out), given]
    distances = [constraints.distance_of_duplicates, min_distance]
    key = json_digest([*what, distances])
    store = Store(f"{(scratch or str(cache_dir() / 'engine')).rstrip('/')}/{key}")
    store.save_rows("excluded", left_out)
    work = Work(shards, store, executor, progress)
    if method == "usl":
        found = pick_dense(work, budget, seed, constraints, **method_params)
        return _finish(shards, found, len(shards))
    if method == "kmeans":
        return _finish(shards, pick_central(work, budget, seed, constraints), len(shards))
    asked = any(one is not None for one in distances)
    size = budget if method == "random" and not asked else max(SAMPLE, budget)
    rows = drawn(len(shards), size, left_out, seed)
    points = rows_of(work, rows)
    told = {"excluded": len(left_out)} if len(left_out) else {}
    if method == "random" and not asked:
        return _finish(shards, ShardPicks(_plain(rows, points), {}, told), len(shards))
    chosen = select_within(points, budget, constraints, method=method, seed=seed, **method_params)
    places, sampled = chosen.indices, {"sample": len(rows)}
    told |= chosen.constraints or {}
    picks = _plain(rows[places], points[places])
    return _finish(shards, ShardPicks(picks, chosen.parameters | sampled, told), len(rows))


def check_method(method: str, params: dict[str, Any]) -> None:
    """:class:`UsageError` for a method or a parameter that shards do not have."""
    if method not in WHOLE + SAMPLED:
        raise UsageError(
            f"method: {method!r} does not run on Ray; these do: {', '.join(WHOLE)}, and on a "
            f"sample of {SAMPLE:,}: {', '.join(SAMPLED)}."
        )
    known = {"usl": USL, "kmeans": (), "random": ()}.get(method)
    for name in params:
        if known is not None and name not in known:
            has = ", ".join(known) or "none"
            raise UsageError(f"{name}: no parameter of {method} on Ray; it has: {has}.")


def rows_of(work: Work, rows: Rows) -> Float32:
    """Some rows of the shards, scaled to unit length, float32 [r, d]; ``rows`` ascending."""
    items = [(work.shards, number, local) for number, _, local in work.shards.by_shard(rows)]
    parts = work.executor.map(take_rows, items, progress=work.progress, label="sample")
    return np.concatenate(list(parts))


def take_rows(shards: Shards, number: int, rows: Rows) -> Float32:
    """Some rows of one shard, scaled."""
    return unit_shard(shards, number)[rows]


def drawn(n: int, size: int, left_out: Rows, seed: int) -> Rows:
    """Random rows that may be picked, ascending, int64; no table of all is made for it."""
    free = n - len(left_out)
    rng = np.random.default_rng(seed)
    places = np.sort(rng.choice(free, min(size, free), replace=False, shuffle=False))
    shifts = left_out - np.arange(len(left_out))  # how many free rows stand before each
    return places + np.searchsorted(shifts, places, side="right")


def _plain(rows: Rows, points: Float32) -> Bests:
    nothing = np.zeros(len(rows))
    return Bests(np.zeros(len(rows), np.int64), rows, points, nothing, nothing, nothing)


def _finish(shards: Shards, found: ShardPicks, looked_at: int) -> ShardSelection:
    picks = found.picks
    if found.means is not None and found.sizes is not None:
        picks = picks.take(coverage(picks, found.means, found.sizes))
    columns: dict[str, NDArray[Any]] = {}
    if found.sizes is not None:
        columns = {"cluster": picks.clusters, "cluster_size": found.sizes[picks.clusters]}
        if "preset" in found.parameters:
            columns |= {"density": picks.utility, "regularizer": picks.regularizer}
        columns["utility"] = picks.scores
    earlier = nearest_earlier(picks.points, np.arange(len(picks)))
    columns["nearest_earlier"], columns["nearest_distance"] = earlier
    ids = texts_of(shards, picks.rows, "id")
    assert ids is not None
    about = columns, found.parameters, looked_at, found.constraints
    return ShardSelection(picks.rows, ids, picks.points, *about)


def texts_of(shards: Shards, rows: Rows, name: str) -> NDArray[np.str_] | None:
    """The ids (or digests, or paths) of some rows, str [r]; None for a column that is missing."""
    found = np.empty(len(rows), dtype=object)
    for number, places, local in shards.by_shard(rows):
        texts = shards.texts(number, name)
        if texts is None:
            return None
        found[places] = texts[local]
    return found.astype(np.str_)
