"""Resolve constraints to row numbers, and refuse contradictions."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usl.core.errors import DataError, UsageError, did_you_mean
from usl.core.words import counted, more_such
from usl.data.columns import tidy_id
from usl.selection.constraints.quotas import Groups, shares
from usl.selection.select import row_numbers

if TYPE_CHECKING:
    from usl.selection.constraints.select_within import Constraints

Rows = NDArray[np.int64]
Share = tuple[str | None, Rows | None, int]  # of the picks: group, its rows (None: all), how many
GROUPS_ALONE = (
    "groups: given without quotas; say how many of each: equal, proportional, or numbers."
)
LOOK_ALIKES = 20_000  # ids among which a similar one is sought


@dataclass(frozen=True, eq=False)
class Wanted:
    """Constraints as row numbers, free of contradictions that show without features.

    ``asked`` is what they were made of.
    """

    asked: Constraints
    exclude: Rows
    include: Rows
    labeled: Rows
    free: NDArray[np.bool_]
    groups: Groups | None

    @property
    def known(self) -> Rows:
        """What the method takes as labelled."""
        return np.union1d(self.labeled, self.include)

    def restricted(self, rows: Rows, ids: NDArray[np.str_]) -> Wanted:
        """For a table that holds only ``rows``, ascending, of the items; ``ids`` name these.

        :class:`DataError` for a must-include that is not among them.
        """
        place = np.full(len(self.free), -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        missing = self.include[place[self.include] < 0]
        if len(missing):
            raise DataError(
                f"include: {str(ids[missing[0]])!r} must be picked but could not be "
                f"read{more_such(len(missing), 'item')}. Restore it, or take it off the list."
            )
        exclude, labeled = (place[part][place[part] >= 0] for part in (self.exclude, self.labeled))
        groups = self.groups
        if groups is not None:
            groups = Groups.from_column(np.asarray(groups.names)[groups.of[rows]])
        return Wanted(self.asked, exclude, place[self.include], labeled, self.free[rows], groups)

    def parts(self, budget: int) -> list[Share]:
        """Name, rows (None for all) and number of picks beside must-includes, of each group."""
        quotas = self.asked.quotas
        if self.groups is None or quotas is None:
            possible = len(self.include) + int(self.free.sum())
            if budget > possible:
                raise UsageError(
                    f"budget: {budget} given, but with these constraints there are {possible} "
                    "items to choose from."
                )
            return [(None, None, budget - len(self.include))]
        sizes = np.ones(len(self.free), dtype=bool)
        sizes[self.exclude] = False
        included = self.groups.counts(self.include)
        given = shares(
            quotas,
            self.groups.names,
            budget,
            sizes=self.groups.counts(np.arange(len(self.free))),
            weights=self.groups.counts(sizes),
            included=included,
            free=self.groups.counts(self.free),
        )
        return [
            (name, self.groups.rows(group), int(given[group] - included[group]))
            for group, name in enumerate(self.groups.names)
        ]


def resolve(
    constraints: Constraints,
    n: int,
    budget: int,
    ids: ArrayLike | None = None,
    labeled: ArrayLike | None = None,
    candidates: ArrayLike | None = None,
) -> Wanted:
    """Row numbers and groups; contradictions refused."""
    if isinstance(budget, bool) or not isinstance(budget, int | np.integer) or budget < 1:
        raise UsageError(f"budget: {budget!r} given; it must be a whole number, 1 or more.")
    check_distances(constraints)
    if ids is not None and len(np.asarray(ids)) != n:
        raise DataError(f"ids: {len(np.asarray(ids))} given for {n} rows.")
    excluded = listed_rows(constraints.exclude, n, "exclude", ids)
    included = listed_rows(constraints.include, n, "include", ids)
    known = row_numbers(() if labeled is None else labeled, n, "labeled")
    free = np.zeros(n, dtype=bool)
    free[slice(None) if candidates is None else row_numbers(candidates, n, "candidates")] = True
    names = np.arange(n) if ids is None else np.asarray(ids)

    def item(row: int) -> str:
        return f"row {row}" if ids is None else repr(str(names[row]))

    clashes = (
        (excluded, "is excluded as well"),
        (known, "has a label already"),
        (np.flatnonzero(~free), "is not among the candidates"),
    )
    refuse_clashes(included, clashes, budget, item)
    free[np.concatenate([excluded, included, known])] = False
    return Wanted(constraints, excluded, included, known, free, _groups(constraints, n, ids))


def refuse_clashes(
    included: Rows,
    clashes: Sequence[tuple[Rows, str]],
    budget: int,
    item: Callable[[int], str],
) -> None:
    """:class:`UsageError` for must-includes that something else forbids, or above the budget.

    ``clashes`` : rows that may not be picked, and why; ``item`` names a row.
    """
    for rows, what in clashes:
        clash = included[np.isin(included, rows)]
        if len(clash):
            more = more_such(len(clash), "item")
            raise UsageError(
                f"include: {item(int(clash[0]))} {what}{more}. Take it off one of the lists."
            )
    if len(included) > budget:
        raise UsageError(
            f"include: {counted(len(included), 'item')} must be picked, but the budget is "
            f"{budget}. Raise the budget, or include fewer."
        )


def check_distances(constraints: Constraints) -> None:
    """:class:`UsageError` for a distance that no two unit rows can have."""
    for name in ("distance_of_duplicates", "min_distance"):
        value = getattr(constraints, name)
        if value is not None and not 0 < value <= 2:
            shown = "collapse_duplicates" if name == "distance_of_duplicates" else name
            raise UsageError(
                f"{shown}: {value!r} given; distances between unit rows lie above 0, up to 2."
            )


def _groups(constraints: Constraints, n: int, ids: ArrayLike | None) -> Groups | None:
    if constraints.groups is None:
        if constraints.quotas is not None:
            raise UsageError("quotas: given without groups; say which group each item is in.")
        return None
    if constraints.quotas is None:
        raise UsageError(GROUPS_ALONE)
    values = constraints.groups
    if isinstance(values, Mapping):
        if ids is None:
            raise UsageError("groups: given by id, but there are no ids.")
        found = rows_of(list(values), ids, lambda _: "groups")
        column = np.full(n, None, dtype=object)
        column[found] = list(values.values())
        values = column
    groups = Groups.from_column(values)  # type: ignore[arg-type]
    if len(groups.of) != n:
        raise DataError(f"groups: {len(groups.of)} given for {n} items.")
    return groups


def listed_rows(given: Any, n: int, name: str, ids: ArrayLike | None = None) -> Rows:
    """Row numbers of a list of rows, a mask or ids, in the order given, each once."""
    if isinstance(given, str | os.PathLike):
        raise UsageError(f"{name}: {given!r} given; only start_run reads files. Give a list.")
    column = np.asarray(given)
    if column.dtype.kind in "UOT" and column.size:
        if ids is None:
            raise UsageError(f"{name}: ids given, but the items have none; use row numbers.")
        words = [str(word) for word in column.tolist()]
        rows = rows_of(words, ids, lambda position: f"{name}, entry {position + 1}")
    elif column.dtype == bool or not column.size:
        rows = row_numbers(column, n, name)
    else:
        row_numbers(np.unique(column), n, name)
        rows = column.astype(np.int64)
    return rows[np.sort(np.unique(rows, return_index=True)[1])]


def rows_of(words: Sequence[str], ids: ArrayLike, where: Callable[[int], str]) -> Rows:
    """Where each of ``words`` stands in ``ids`` (str [n]), int64; DataError naming an unknown one.

    ``where(position)`` begins the message.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    known = np.asarray(ids, dtype=np.str_)
    value_set = pa.array(known.tolist(), pa.string())
    found = pc.index_in(pa.array(list(words), pa.string()), value_set=value_set)
    if found.null_count:  # a Mac may have decomposed the umlauts
        tidy = pa.array([tidy_id(word) for word in words], pa.string())
        found = pc.coalesce(found, pc.index_in(tidy, value_set=value_set))
    rows: Rows = found.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    unknown = np.flatnonzero(rows < 0)
    if len(unknown):
        word = words[int(unknown[0])]
        more = f" (and {counted(left, 'more such id')})" if (left := len(unknown) - 1) else ""
        alike = did_you_mean(word, known.tolist()) if len(known) <= LOOK_ALIKES else ""
        raise DataError(
            f"{where(int(unknown[0]))}: no item {word!r} in the collection{more}.{alike} Correct "
            "it, or remove the entry."
        )
    return rows
