"""Pick rows of a sharded table of features, on Ray or in this process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import UsageError
from usl.core.files import cache_dir
from usl.core.hashing import json_digest
from usl.core.progress import Progress, silent
from usl.core.version import __version__
from usl.engine.executor import Executor
from usl.engine.shard_table import ShardTable
from usl.engine.shards import Shards
from usl.engine.store import Store
from usl.features.preprocessing import Preprocessing
from usl.features.shard_space import in_space
from usl.numeric.arrays import Float32, Rows
from usl.selection.constraints.quotas import Quotas
from usl.selection.constraints.resolve import GROUPS_ALONE, check_distances
from usl.selection.constraints.select_within import Constraints
from usl.selection.ranking import nearest_earlier
from usl.selection.sharded.pick_by_group import pick_by_group
from usl.selection.sharded.pick_rows import Picked, check_method, nothing_picked, pick_rows
from usl.selection.sharded.row_lists import RowLists, texts_of
from usl.selection.sharded.shard_groups import ShardGroups, read_shard_groups


@dataclass(frozen=True)
class ShardSelection:
    """The picks, best first: ``rows`` int64 [m] of the shards, their ``ids`` and ``points``.

    ``columns`` : figures of each, as of :class:`usl.Selection`; ``looked_at`` : rows that the
    method saw; ``parameters`` : resolved; ``constraints`` : what was asked and what came of it.
    ``space`` : what brought rows to the points.
    The first ``included`` are must-includes, for which the method has no figures; ``group`` str [m]
    of each, where there are quotas.
    """

    rows: Rows
    ids: NDArray[np.str_]
    points: Float32
    columns: dict[str, NDArray[Any]]
    parameters: dict[str, Any]
    looked_at: int
    constraints: dict[str, Any]
    space: Preprocessing
    included: int = 0
    group: NDArray[np.str_] | None = None


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
    groups: ShardGroups | None = None,
    quotas: Quotas | None = None,
    center: bool | None = None,
    standardize: bool | None = None,
    pca: int | None = None,
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
    groups, quotas : how many picks of each group, as of :class:`usl.Constraints`; groups are by
        default those of a column ``group`` of the shards.
    center, standardize, pca : as of :func:`usl.start_run`, fitted on all rows; the default is
        that of the encoder of the shards.
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
    if groups is not None and quotas is None:
        raise UsageError(GROUPS_ALONE)
    lists = RowLists.of(exclude, include, labeled)
    lists.check(budget, shards)
    settings = {"center": center, "standardize": standardize, "pca": pca}
    given = sorted((name, repr(value)) for name, value in method_params.items())
    distances = [constraints.distance_of_duplicates, min_distance]
    what = [
        __version__,
        shards.digest,
        budget,
        method,
        seed,
        lists.digest,
        given,
        distances,
        settings,
    ]
    if quotas is not None:
        groups = groups or read_shard_groups(shards, None)
        what += [quotas if isinstance(quotas, str) else sorted(quotas.items()), groups.digest]
    key = json_digest(what)
    store = Store(f"{(scratch or str(cache_dir() / 'engine')).rstrip('/')}/{key}")
    table, space = in_space(ShardTable(shards, store, executor, progress), settings)
    needs = budget - len(lists.include)
    about = method, seed, constraints, lists
    if quotas is not None:
        assert groups is not None
        found = pick_by_group(table, budget, *about, groups, quotas, method_params)
    else:
        found = pick_rows(table, needs, *about, method_params) if needs else nothing_picked(table)
    return _with_included(table, found, lists, groups, space)


def _with_included(
    table: ShardTable,
    found: Picked,
    lists: RowLists,
    groups: ShardGroups | None,
    space: Preprocessing,
) -> ShardSelection:
    """The selection: must-includes first, without figures of the method (-1 and NaN)."""
    first, columns = lists.include, {}
    for name, column in found.columns.items():
        nothing = -1 if column.dtype.kind in "iu" else np.nan
        columns[name] = np.concatenate([np.full(len(first), nothing, column.dtype), column])
    rows = np.concatenate([first, found.rows])
    points = np.concatenate([table.take(first), found.points])
    earlier = nearest_earlier(points, np.arange(len(rows)))
    columns["nearest_earlier"], columns["nearest_distance"] = earlier
    ids = texts_of(table.shards, rows, "id")
    assert ids is not None
    given = {"excluded": len(lists.exclude), "included": len(first)}
    told = {name: count for name, count in given.items() if count} | found.constraints
    of = None
    if groups is not None:
        of = np.array(groups.names, dtype=np.str_)[groups.groups_of(table.shards, rows)]
    about = columns, found.parameters, found.looked_at, told, space, len(first), of
    return ShardSelection(rows, ids, points, *about)
