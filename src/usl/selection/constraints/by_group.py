"""Select within groups and a minimum distance: the method is called until there are enough.

1. Every group calls the method on its own items, given what is kept and labelled.
2. Of its picks, best first, those far enough from all kept are kept.
3. Again with the candidates that are far enough from what is kept, until every group has its
   number. Each round keeps at least one, so that this ends.
4. Where no candidate is left, or after ``ROUNDS`` rounds, places are sought for the rest: spread
   out if that goes, tightly packed if not; if neither, an eighth more of what the method chose,
   its last, makes room.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UsageError
from usl.core.progress import Progress
from usl.numeric.arrays import Float32
from usl.numeric.workspace import Workspace
from usl.selection.constraints.spacing import FARTHEST, Room, keep_apart, place, squared_to, widest
from usl.selection.result import Selection
from usl.selection.select import select

Rows = NDArray[np.int64]
ROUNDS = 20
NO_CALL = -1


@dataclass(frozen=True)
class Kept:
    """A pick: its row, the call of its part that chose it (or ``NO_CALL``), and its rank there."""

    row: int
    call: int
    rank: int


@dataclass(eq=False)
class Part:
    """One group, ``rows`` int64, or all items (None): ``needs`` picks out of ``free``, bool [n]."""

    name: str | None
    number: int
    rows: Rows | None
    needs: int
    free: NDArray[np.bool_]
    kept: list[Kept] = field(default_factory=list)
    calls: list[Selection] = field(default_factory=list)
    table: Float32 | None = None

    @property
    def short_of(self) -> int:
        """Picks that are still missing."""
        return self.needs - len(self.kept)

    @property
    def whole(self) -> bool:
        """Whether the picks are those of one call, all of them."""
        theirs = [kept for kept in self.kept if kept.call != NO_CALL]
        return len(self.calls) == 1 and len(theirs) == len(self.kept) == len(self.calls[0])


@dataclass(frozen=True, eq=False)
class _Caller:
    """Calls the method on the items of a part."""

    features: Float32
    workspace: Workspace
    method: str
    seed: int
    resume: Any
    predictions: NDArray[np.float64] | None
    lengths: NDArray[np.float32] | None
    progress: Progress
    params: dict[str, Any]

    def pick(self, part: Part, budget: int, known: Rows, candidates: Rows) -> Selection:
        """``budget`` of the part's ``candidates``, given ``known`` rows; rows are of all items."""
        turn = (part.number, len(part.calls))
        seed = self.seed
        if turn != (0, 0):  # groups and rounds draw independently
            seed = int(np.random.SeedSequence([self.seed, *turn]).generate_state(1)[0])
        rest: dict[str, Any] = {
            "method": self.method,
            "seed": seed,
            "memory": self.workspace,
            "resume": self.resume,
            "progress": self.progress,
        }
        if part.rows is None:
            return select(
                self.features,
                budget,
                labeled=known,
                candidates=candidates,
                predictions=self.predictions,
                lengths=self.lengths,
                **rest,
                **self.params,
            )
        if part.table is None:
            part.table = self.workspace.empty(
                (len(part.rows), self.features.shape[1]), self.features.dtype
            )
            np.take(self.features, part.rows, axis=0, out=part.table)
            self.workspace.mark_unit(part.table)
        known = known[np.isin(known, part.rows)]
        try:
            return select(
                part.table,
                budget,
                labeled=np.searchsorted(part.rows, known),
                candidates=np.searchsorted(part.rows, candidates),
                predictions=None if self.predictions is None else self.predictions[part.rows],
                lengths=None if self.lengths is None else self.lengths[part.rows],
                **rest,
                **self._divided(part.rows),
            )
        except (UsageError, DataError) as error:
            raise type(error)(f"group {part.name!r}: {error}") from error

    def _divided(self, rows: Rows) -> dict[str, Any]:
        """The parameters for some rows: those with one entry per item are cut to them."""
        divided = dict(self.params)
        for name, value in self.params.items():
            if isinstance(value, np.ndarray | list | tuple) and np.ndim(value):
                column = np.asarray(value)
                if column.ndim > 1:
                    raise UsageError(
                        f"{name}: a table of shape {column.shape} cannot be divided among groups. "
                        "Leave it out, or select group by group."
                    )
                if len(column) == len(self.features):
                    divided[name] = column[rows]
        return divided


def pick_parts(
    features: Float32,
    parts: Sequence[Part],
    known: Rows,
    distance: float,
    *,
    included: int,
    workspace: Workspace,
    method: str,
    seed: int,
    resume: Any,
    predictions: NDArray[np.float64] | None,
    lengths: NDArray[np.float32] | None,
    progress: Progress,
    params: dict[str, Any],
) -> int:
    """Fill ``kept`` and ``calls`` of every part; the number of rounds it took.

    Parameters
    ----------
    features : float32 [n, d], unit rows, a table of ``workspace``.
    known : int64, rows that are labelled or sure to be.
    distance : between any two of picks and ``known``; 0 for none.
    included : how many of ``known`` count as picks.
    predictions, lengths : float64 [n, C] and float32 [n] for a method that asks for them, or None.

    Raises
    ------
    UsageError
        saying how many picks are possible, where the distance leaves no room for all.
    """
    how = (method, seed, resume, predictions, lengths, progress, params)
    caller = _Caller(features, workspace, *how)
    reach = np.full(len(features), FARTHEST, dtype=np.float32)  # squared, to what is kept

    def occupy(rows: Rows) -> None:
        if distance:
            nearer = squared_to(features, np.arange(len(features)), rows)
            np.minimum(reach, nearer, out=reach)

    occupy(known)
    # Groups with the least choice go first: others can give way more easily.
    order = sorted(parts, key=lambda part: int(part.free.sum()) - part.needs)
    stuck, rounds = False, 0
    while not stuck and rounds < ROUNDS and any(part.short_of for part in parts):
        for part in order:
            if not part.short_of:
                continue
            candidates = np.flatnonzero(part.free & (reach >= distance**2))
            taken = np.array([kept.row for p in parts for kept in p.kept], dtype=np.int64)
            candidates = np.setdiff1d(candidates, taken, assume_unique=True)
            ask = min(part.short_of if rounds == 0 else part.needs, len(candidates))
            if not ask:
                stuck = True
                continue
            try:
                found = caller.pick(part, ask, np.union1d(known, taken), candidates)
            except UsageError:
                if rounds == 0 and ask == part.short_of:
                    raise
                stuck = True  # a method may refuse few candidates
                continue
            rows = found.indices if part.rows is None else part.rows[found.indices]
            ranks: Rows = np.arange(part.short_of)
            if distance:
                ranks = keep_apart(features[rows], distance, part.short_of)
            call = len(part.calls)
            part.calls.append(found)
            part.kept += [Kept(int(rows[rank]), call, int(rank)) for rank in ranks.tolist()]
            occupy(rows[ranks])
        rounds += 1
    if any(part.short_of for part in parts):
        _make_room(features, order, known, distance, included)
    return rounds


def _make_room(
    features: Float32, parts: Sequence[Part], known: Rows, distance: float, included: int
) -> None:
    """Complete the parts, giving up as little as possible of what the method chose."""
    before = [part.kept for part in parts]
    most = -1
    shortest: tuple[str | None, int, int] = (None, 0, 0)
    for eighths in range(8, -1, -1):
        for part, kept in zip(parts, before, strict=True):
            part.kept = kept[: len(kept) * eighths // 8]
        rooms, taken = _rooms(parts, known)
        for tight in (False, True):
            placed = place(features, rooms, taken, distance, tight=tight)
            found = sum(map(len, placed)) + sum(len(part.kept) for part in parts)
            if not sum(room.needs for room in rooms) - sum(map(len, placed)):
                for part, rows in zip(parts, placed, strict=True):
                    part.kept += [Kept(row, NO_CALL, -1) for row in rows.tolist()]
                return
            if found > most:
                most = found
                gaps = [part.short_of - len(rows) for part, rows in zip(parts, placed, strict=True)]
                worst = parts[int(np.argmax(gaps))]
                shortest = (worst.name, worst.needs - max(gaps), worst.needs)
    rooms, taken = _rooms(parts, known)
    wide = widest(features, rooms, taken)
    advice = f" At a distance of {_rounded_down(wide):g} all fit." if wide else ""
    name, possible, needs = shortest
    where = "" if name is None else f" ({possible} of {needs} more in the group {name!r})"
    wanted = included + sum(part.needs for part in parts)
    raise UsageError(
        f"min_distance: at {distance:g} room was found for {included + most} picks of the {wanted} "
        f"wanted{where}.{advice} Lower the distance or the budget."
    )


def _rooms(parts: Sequence[Part], known: Rows) -> tuple[list[Room], Rows]:
    taken = np.array([kept.row for part in parts for kept in part.kept], dtype=np.int64)
    rooms = [
        Room(np.setdiff1d(np.flatnonzero(part.free), taken, assume_unique=True), part.short_of)
        for part in parts
    ]
    return rooms, np.concatenate([known, taken])


def _rounded_down(distance: float) -> float:
    """Three digits, never more than given."""
    digit = 10.0 ** (np.floor(np.log10(distance)) - 2)
    return float(np.floor(distance / digit) * digit)
