"""The result of a selection within constraints, put together from its calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usl.numeric.arrays import Float32
from usl.numeric.distances import nearest
from usl.selection.constraints.by_group import NO_CALL, Kept, Part
from usl.selection.ranking import nearest_earlier
from usl.selection.result import Selection

if TYPE_CHECKING:
    import pyarrow as pa

    from usl.selection.constraints.resolve import Wanted
    from usl.selection.constraints.select_within import Constraints

Rows = NDArray[np.int64]
OWN = ("nearest_earlier", "nearest_distance", "row")  # columns that are no method's
BLOCK = 65_536  # rows


@dataclass(frozen=True, eq=False)
class Constrained(Selection):
    """A :class:`Selection` that keeps to constraints, and what they did.

    Attributes
    ----------
    included : bool [m], whether each pick is a must-include.
    chosen : bool [m], whether the method chose it, so that it has figures for it. It chose neither
        the must-includes nor the few that fill up where a minimum distance leaves little room.
    group : str [m], the group of each pick, or None.
    duplicate_of : int64 [n], for each item the one that represents it, itself if none does; None
        where near-duplicates were not looked for.
    constraints : what was asked for and what came of it, as ``run.json`` records it.
    """

    included: NDArray[np.bool_] | None = None
    chosen: NDArray[np.bool_] | None = None
    group: NDArray[np.str_] | None = None
    duplicate_of: Rows | None = None
    constraints: dict[str, Any] | None = None

    def duplicates(self, rank: int) -> Rows:
        """Rows that were left out as near-duplicates of the pick of this rank (from 0)."""
        if self.duplicate_of is None:
            return np.empty(0, dtype=np.int64)
        row = self.indices[rank]
        same: Rows = np.flatnonzero(self.duplicate_of == row)
        return np.asarray(same[same != row])

    def table(self, ids: ArrayLike | None = None) -> pa.Table:
        """As of :class:`Selection`, with ``included``, ``group`` and ``duplicates`` (a list)."""
        import pyarrow as pa

        table = super().table(ids)
        if self.chosen is not None and not self.chosen.all():
            for name in set(self.columns) - set(OWN):
                column = pa.array(self.columns[name], mask=~self.chosen)
                table = table.set_column(table.column_names.index(name), name, column)
        if self.included is not None and self.included.any():
            table = table.append_column("included", pa.array(self.included))
        if self.group is not None:
            table = table.append_column("group", pa.array(self.group.tolist(), pa.string()))
        if self.duplicate_of is not None:
            names = np.arange(len(self.duplicate_of)) if ids is None else np.asarray(ids)
            kind = pa.list_(pa.int64() if ids is None else pa.string())
            lists = [names[self.duplicates(rank)].tolist() for rank in range(len(self))]
            table = table.append_column("duplicates", pa.array(lists, kind))
        return table


def assemble(
    features: Float32,
    parts: Sequence[Part],
    wanted: Wanted,
    constraints: Constraints,
    original: Rows | None,
    *,
    rounds: int,
    method: str,
    seed: int,
) -> Constrained:
    """The picks of all parts as one selection.

    Must-includes come first; then the parts take turns.
    """
    ordered = sorted(parts, key=lambda part: part.number)
    turns = taking_turns([len(part.kept) for part in ordered])
    chosen = [(ordered[number], ordered[number].kept[place]) for number, place in turns]
    rows = np.concatenate([wanted.include, [kept.row for _, kept in chosen]]).astype(np.int64)
    first = len(wanted.include)
    by_method = np.array([False] * first + [kept.call != NO_CALL for _, kept in chosen], dtype=bool)
    columns = _figures(chosen, first)
    columns["nearest_earlier"], columns["nearest_distance"] = nearest_earlier(features, rows)
    calls = [call for part in parts for call in part.calls]
    largest = max(calls, key=len, default=None)
    groups = wanted.groups
    return Constrained(
        rows,
        _stand_for(features, parts, rows, wanted),
        columns,
        method,
        joined_parameters([call.parameters for call in calls]),
        seed,
        propagated=_propagated(parts, rows, len(features)),
        history=[] if largest is None else largest.history,
        backbone=None if largest is None else largest.backbone,
        included=np.arange(len(rows)) < first,
        chosen=by_method,
        group=None if groups is None else np.array(groups.names, dtype=np.str_)[groups.of[rows]],
        duplicate_of=original,
        constraints=_record(constraints, wanted, original, rows, rounds, by_method),
    )


def taking_turns(counts: Sequence[int]) -> list[tuple[int, int]]:
    """Number of a part and place in it, in turn, for parts of so many picks.

    The i-th of a part's q picks comes at (i + 1/2) / q, so that every prefix has about the
    proportions of the whole.
    """
    turns = sorted(
        ((place + 0.5) / count, -count, number, place)
        for number, count in enumerate(counts)
        for place in range(count)
    )
    return [(number, place) for *_, number, place in turns]


def _figures(chosen: Sequence[tuple[Part, Kept]], first: int) -> dict[str, NDArray[Any]]:
    """The methods' columns, for ``first`` picks without any and then the chosen; clusters are
    numbered through. Where there is no figure: NaN, or -1 for whole numbers.
    """
    calls = {(part.number, kept.call): part for part, kept in chosen if kept.call != NO_CALL}
    if not calls:
        return {}
    columns: dict[str, NDArray[Any]] = {}
    every = [part.calls[call].columns for (_, call), part in calls.items()]
    offset, offsets = 0, {}
    for key, found in zip(calls, every, strict=True):
        offsets[key] = offset
        offset += int(found["cluster"].max()) + 1 if "cluster" in found else 0
    for name in every[0]:
        if name in OWN or not all(name in found for found in every):
            continue
        kind = every[0][name].dtype
        column = np.full(first + len(chosen), -1 if kind.kind in "iu" else np.nan, dtype=kind)
        for place, (part, kept) in enumerate(chosen, start=first):
            if kept.call != NO_CALL:
                value = part.calls[kept.call].columns[name][kept.rank]
                shift = offsets[part.number, kept.call] if name == "cluster" else 0
                column[place] = value + shift
        columns[name] = column
    return columns


def _stand_for(features: Float32, parts: Sequence[Part], rows: Rows, wanted: Wanted) -> Rows:
    """For each item the rank of the pick that stands for it, -1 where a labelled item does.

    In a part whose picks are those of one call, as that call has it; everywhere else, and where
    something known stood for an item, the nearest of all picks and labelled items.
    """
    n, m = len(features), len(rows)
    rank = np.full(n, -1, dtype=np.int64)
    rank[rows] = np.arange(m)
    stands = np.full(n, -1, dtype=np.int64)
    for part in parts:
        if part.whole:
            members = np.arange(n) if part.rows is None else part.rows
            found = part.calls[0].representative
            spoken = found >= 0
            stands[members[spoken]] = rank[members[part.calls[0].indices]][found[spoken]]
    if len(parts) > 1 or not parts[0].whole or len(wanted.include):
        open_ = np.flatnonzero(stands < 0)
        anchors = features[np.concatenate([rows, wanted.labeled])]
        for start in range(0, len(open_), BLOCK):
            some = open_[start : start + BLOCK]
            stands[some] = nearest(features[some], anchors, 1)[0][:, 0]
        stands[stands >= m] = -1
    stands[rows] = np.arange(m)
    return stands


def _propagated(parts: Sequence[Part], rows: Rows, n: int) -> Rows | None:
    """For each item the rank of the pick whose label it receives, by the first call that says."""
    calls = [(part, call) for part in parts for call in part.calls]
    if not calls or any(call.propagated is None for _, call in calls):
        return None
    rank = np.full(n, -1, dtype=np.int64)
    rank[rows] = np.arange(len(rows))
    result = np.full(n, -1, dtype=np.int64)
    for part, call in calls:
        members = np.arange(n) if part.rows is None else part.rows
        told = np.append(rank[members[call.indices]], -1)[call.propagated]
        result[members] = np.where(result[members] < 0, told, result[members])
    result[rows] = np.where(result[rows] < 0, -1, np.arange(len(rows)))
    return result


def joined_parameters(calls: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The parameters in force; where the calls differ, a list of each call's."""
    joined = {}
    for name in calls[0] if calls else {}:
        values = [call.get(name) for call in calls]
        joined[name] = values[0] if all(v == values[0] for v in values) else values
    return joined


def _record(
    constraints: Constraints,
    wanted: Wanted,
    original: Rows | None,
    rows: Rows,
    rounds: int,
    chosen: NDArray[np.bool_],
) -> dict[str, Any]:
    """What was asked and what came of it; only what was asked."""
    record: dict[str, Any] = {}
    if len(wanted.exclude):
        record["excluded"] = len(wanted.exclude)
    if len(wanted.include):
        record["included"] = len(wanted.include)
    if original is not None:
        left_out = int((original != np.arange(len(original))).sum())
        record["collapse_duplicates"] = constraints.distance_of_duplicates
        record["near_duplicates"] = left_out
    if wanted.groups is not None:
        words = isinstance(constraints.quotas, str)
        counts = wanted.groups.counts(rows).tolist()
        record["quotas"] = constraints.quotas if words else "given"
        record["groups"] = dict(zip(wanted.groups.names, counts, strict=True))
    if constraints.min_distance is not None:
        record["min_distance"] = constraints.min_distance
        record["rounds"] = rounds
        record["filled_up"] = len(rows) - len(wanted.include) - int(chosen.sum())
    return record
