"""Rows of shards that a selection is told about: never to pick, to pick in any case, labelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import UsageError
from usl.core.hashing import array_digest
from usl.engine.executor import Executor
from usl.engine.shard_rows import collected, take_lengths, take_stored
from usl.engine.shard_table import ShardTable
from usl.engine.shards import Shards
from usl.numeric.arrays import Float32, Rows
from usl.selection.constraints.resolve import refuse_clashes
from usl.selection.constraints.select_within import Constraints, check_includes_apart
from usl.selection.select import check_budget
from usl.selection.sharded.labelled import Labelled
from usl.selection.sharded.limits import check_possible


@dataclass(frozen=True)
class RowLists:
    """Rows int64: to ``exclude`` and ``labeled``, ascending; to ``include``, in the order given."""

    exclude: Rows
    include: Rows
    labeled: Rows

    @classmethod
    def of(cls, exclude: Rows | None, include: Rows | None, labeled: Rows | None) -> Self:
        """From lists that may hold a row twice, or be missing."""
        lists = [
            np.asarray([] if given is None else given, dtype=np.int64)
            for given in (exclude, include, labeled)
        ]
        first = lists[1][np.sort(np.unique(lists[1], return_index=True)[1])]
        return cls(np.unique(lists[0]), first, np.unique(lists[2]))

    @property
    def each(self) -> tuple[Rows, Rows, Rows]:
        """What is excluded, must be picked, and is labelled."""
        return self.exclude, self.include, self.labeled

    @property
    def known(self) -> Rows:
        """What counts as labelled, ascending."""
        return np.union1d(self.labeled, self.include)

    @property
    def never(self) -> Rows:
        """What the method may not pick, ascending."""
        return np.union1d(self.exclude, self.known)

    @property
    def digest(self) -> list[str]:
        """A hash of each list."""
        return [array_digest(rows) for rows in self.each]

    def check(self, budget: int, shards: Shards) -> None:
        """:class:`UsageError` for lists that contradict each other, or a budget above the rest."""
        n = len(shards)
        for name in ("exclude", "include", "labeled"):
            rows = getattr(self, name)
            if len(rows) and not 0 <= rows.min() <= rows.max() < n:
                raise UsageError(f"{name}: a row is not there; there are {n} (0 to {n - 1}).")
        clashes = (self.exclude, "is excluded as well"), (self.labeled, "has a label already")
        refuse_clashes(self.include, clashes, budget, lambda row: repr(id_of(shards, row)))
        possible = n - len(self.never)
        if len(self.include):
            check_possible(budget - len(self.include), possible, len(self.include))
        else:
            check_budget(budget, possible)


def count_as_labelled(
    table: ShardTable, lists: RowLists, constraints: Constraints, blocked: Float32 | None = None
) -> Labelled:
    """The labelled rows and must-includes.

    ``blocked`` : points [b, d] that picks keep the minimum distance from, beside these.
    """
    points = table.take(lists.known)
    if (least := constraints.min_distance) is not None:
        check_apart(table, lists, least, points)
    avoided = points if blocked is None else np.concatenate([points, blocked])
    return Labelled(lists.known, points, len(lists.include), avoided)


def check_apart(table: ShardTable, lists: RowLists, least: float, points: Float32) -> None:
    """:class:`UsageError` for a must-include nearer to what is known, ``points``, than allowed."""
    if len(lists.include):
        include, labeled = (
            np.searchsorted(lists.known, part) for part in (lists.include, lists.labeled)
        )
        names = texts_of(table.shards, lists.known, "id")
        check_includes_apart(points, include, labeled, least, names)


def lengths_of(table: ShardTable, rows: Rows) -> Float32:
    """The lengths of some rows before they were scaled, float32 [r]."""
    return collected(take_lengths, table.executor, table.shards, rows)


def stored_rows(executor: Executor, shards: Shards, rows: Rows) -> Float32:
    """Some rows as the shards hold them, in this order: float32 [r, d]."""
    return collected(take_stored, executor, shards, rows)


def id_of(shards: Shards, row: int) -> str:
    """The id of one row."""
    found = texts_of(shards, np.array([row]), "id")
    assert found is not None
    return str(found[0])


def texts_of(shards: Shards, rows: Rows, name: str) -> NDArray[np.str_] | None:
    """The ids (or digests, or paths) of some rows, str [r]; None for a column that is missing."""
    found = np.empty(len(rows), dtype=object)
    for number, places, local in shards.by_shard(rows):
        texts = shards.texts(number, name)
        if texts is None:
            return None
        found[places] = texts[local]
    return found.astype(np.str_)


def spans_of(shards: Shards, rows: Rows) -> Rows | None:
    """Offset and size of the pictures of some rows in tars, int64 [r, 2]; None without."""
    found = np.empty((len(rows), 2), dtype=np.int64)
    for number, places, local in shards.by_shard(rows):
        spans = shards.spans(number)
        if spans is None:
            return None
        found[places] = spans[local]
    return found
