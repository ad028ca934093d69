"""So many picks of each group of rows: the method looks at each group alone, as on one machine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from usl.core.errors import DataError, UsageError
from usl.engine.cells import Cell, Cells
from usl.engine.columns import Column
from usl.engine.duplicates import collapse
from usl.engine.shard_table import ShardTable
from usl.engine.store import Store
from usl.numeric.arrays import Float32, Rows
from usl.selection.constraints.quotas import Quotas, shares
from usl.selection.constraints.result import joined_parameters, taking_turns
from usl.selection.constraints.select_within import Constraints
from usl.selection.sharded.by_cluster import LIST_ROWS, MOST_LISTS
from usl.selection.sharded.pick_rows import Picked, nothing_picked, pick_rows
from usl.selection.sharded.row_lists import RowLists, check_apart
from usl.selection.sharded.shard_groups import ShardGroups


def pick_by_group(
    table: ShardTable,
    budget: int,
    method: str,
    seed: int,
    constraints: Constraints,
    lists: RowLists,
    groups: ShardGroups,
    quotas: Quotas,
    params: dict[str, Any],
) -> Picked:
    """The picks of all groups; they take turns in proportion to their numbers.

    Raises
    ------
    UsageError
        quotas that cannot be kept, or naming a group whose picks cannot be found.
    """
    shards = table.shards
    told: dict[str, Any] = {}
    sizes = groups.counts.sum(axis=1)
    included, excluded, never = (
        groups.counts_of(shards, rows) for rows in (lists.include, lists.exclude, lists.never)
    )
    away: Float32 | None = None
    if (least := constraints.min_distance) is not None:
        away = table.take(lists.known)
        check_apart(table, lists, least, away)
    alike = np.empty(0, dtype=np.int64)
    if (distance := constraints.distance_of_duplicates) is not None:
        alike = look_alikes(table, lists, distance)
        told |= {"collapse_duplicates": distance, "near_duplicates": len(alike)}
    free = sizes - never - groups.counts_of(shards, alike)
    constraints = replace(constraints, collapse_duplicates=None)
    given = shares(
        quotas,
        groups.names,
        budget,
        sizes=sizes,
        weights=sizes - excluded,
        included=included,
        free=free,
    )
    views, found = groups.views(shards, table.store), {}
    needs = (given - included).tolist()
    # Groups with the least choice go first: others can give way more easily.
    for group in np.argsort(free - needs, kind="stable").tolist():
        if not needs[group]:
            continue
        view = views[group]
        alone = replace(table, shards=view, store=Store(f"{table.store.root}/group-{group}"))
        exclude, include, labeled = (view.of_whole(rows) for rows in lists.each)
        theirs = RowLists.of(np.union1d(exclude, view.of_whole(alike)), include, labeled)
        drawn_from = seed  # groups draw independently, as on one machine
        if group:
            drawn_from = int(np.random.SeedSequence([seed, group, 0]).generate_state(1)[0])
        how = method, drawn_from, constraints, theirs, params, away
        try:
            picks = pick_rows(alone, needs[group], *how)
        except (UsageError, DataError) as error:
            raise type(error)(f"group {groups.names[group]!r}: {error}") from error
        found[group] = replace(picks, rows=view.in_whole(picks.rows))
        if away is not None:
            away = np.concatenate([away, picks.points])
    words = quotas if isinstance(quotas, str) else "given"
    told |= {"quotas": words, "groups": dict(zip(groups.names, given.tolist(), strict=True))}
    return _joined(found, told) if found else replace(nothing_picked(table), constraints=told)


def look_alikes(table: ShardTable, lists: RowLists, distance: float) -> Rows:
    """The rows for which others speak, of any group, ascending, int64; the driver holds them."""
    table.store.save_rows("excluded", lists.never)
    centers = table.kmeans(min(MOST_LISTS, -(-len(table) // LIST_ROWS)), seed=0)
    dealt = table.assign(centers)
    alike, _ = collapse(dealt, distance, table.take(lists.known))
    return np.sort(np.concatenate(list(dealt.over(silent_rows, alike))))


def silent_rows(cells: Cells, number: int, alike: Column) -> Rows:
    """The rows of a cell that might be picked if no other spoke for them."""
    cell = Cell(cells, number)
    return cell.rows[~alike.of(cell) & ~np.isin(cell.rows, cells.store.rows("excluded")[0])]


def _joined(found: dict[int, Picked], told: dict[str, Any]) -> Picked:
    """The picks of several groups as one list; clusters are numbered through."""
    groups = sorted(found)
    parts = [found[group] for group in groups]
    starts = np.cumsum([0, *(len(part.rows) for part in parts)])
    turns = taking_turns([len(part.rows) for part in parts])
    order = np.array([starts[part] + place for part, place in turns], dtype=np.int64)
    offset, columns = 0, [dict(part.columns) for part in parts]
    for part, column in zip(parts, columns, strict=True):
        if "cluster" in column:
            column["cluster"] = column["cluster"] + offset
        offset += part.clusters
    for name in ("rounds", "replaced"):
        values = [part.constraints[name] for part in parts if name in part.constraints]
        if values:
            told[name] = max(values) if name == "rounds" else sum(values)
    distances = [part.constraints.get("min_distance") for part in parts]
    if distances[0] is not None:
        told["min_distance"] = distances[0]
    names = [name for name in columns[0] if all(name in column for column in columns)]
    return Picked(
        np.concatenate([part.rows for part in parts])[order],
        np.concatenate([part.points for part in parts])[order],
        {name: np.concatenate([column[name] for column in columns])[order] for name in names},
        joined_parameters([part.parameters for part in parts]),
        told,
        sum(part.looked_at for part in parts),
        offset,
    )
