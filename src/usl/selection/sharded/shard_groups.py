"""Which group each row of shards is in: by a column ``group``, a table of ids, or row by row."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UsageError
from usl.core.hashing import array_digest, json_digest
from usl.data.addresses import shown
from usl.data.local_copy import opened
from usl.engine.group_shards import GroupShards
from usl.engine.shards import Shards
from usl.engine.store import Store
from usl.numeric.arrays import Rows
from usl.selection.constraints.files import GROUP, Listed, in_two_groups, listed_groups
from usl.selection.constraints.quotas import Groups


@dataclass(frozen=True)
class ShardGroups:
    """Groups of rows: ``names``, sorted, and for each shard the numbers of names, int32 [rows]."""

    names: list[str]
    of: list[NDArray[np.int32]]

    @property
    def digest(self) -> str:
        """The same groups, the same hash."""
        return json_digest([self.names, *map(array_digest, self.of)])

    @property
    def counts(self) -> Rows:
        """Rows of each group in each shard, int64 [g, shards]."""
        return np.stack([np.bincount(of, minlength=len(self.names)) for of in self.of], axis=1)

    def counts_of(self, shards: Shards, rows: Rows) -> Rows:
        """How many of ``rows`` each group has, int64 [g]."""
        return np.bincount(self.groups_of(shards, rows), minlength=len(self.names))

    def groups_of(self, shards: Shards, rows: Rows) -> Rows:
        """The group of each of ``rows``, int64 [r]."""
        found = np.empty(len(rows), dtype=np.int64)
        for number, here, local in shards.by_shard(rows):
            found[here] = self.of[number][local]
        return found

    def views(self, shards: Shards, store: Store) -> list[GroupShards]:
        """The rows of each group as shards; which they are is written to ``store``."""
        for number, of in enumerate(self.of):
            store.save_rows(f"groups/{number}", of)
        return [
            GroupShards.of(shards, store, group, counts) for group, counts in enumerate(self.counts)
        ]


def read_shard_groups(shards: Shards, given: Any) -> ShardGroups:
    """The groups of all rows; the driver holds four bytes a row.

    Parameters
    ----------
    given : a table of ids and groups, a mapping, a name for each row [n], or None for the column
        ``group`` of the shards.

    Raises
    ------
    UsageError
        no groups are given, and the shards have no such column.
    DataError
        a row without a group or with two, or an id that the shards do not hold.
    """
    if given is None:
        return _coded(_of_column(shards))
    if isinstance(given, str | os.PathLike):
        with opened(given) as path:
            listed, names = listed_groups(path)
        return _coded(_of_ids(shards, listed, names, shown(given)))
    if isinstance(given, Mapping):
        listed = Listed([str(word) for word in given], _in_mapping)
        named = Groups.from_column(list(given.values()))
        words = [named.names[of] for of in named.of.tolist()]
        return _coded(_of_ids(shards, listed, words, "groups"))
    groups = Groups.from_column(given)
    if len(groups.of) != len(shards):
        raise DataError(f"groups: {len(groups.of)} given for {len(shards)} items.")
    return ShardGroups(groups.names, np.split(groups.of.astype(np.int32), shards.starts[1:-1]))


def _in_mapping(position: int) -> str:
    return f"groups, entry {position + 1}"


def _coded(shards: Iterator[NDArray[np.str_]]) -> ShardGroups:
    """Numbers for names, shard by shard."""
    number_of: dict[str, int] = {}
    found: list[NDArray[np.int32]] = []
    for names in shards:
        words, of = np.unique(names, return_inverse=True)
        codes = [number_of.setdefault(str(word), len(number_of)) for word in words]
        found.append(np.array(codes, dtype=np.int32)[of])
    ordered = sorted(number_of)
    places = np.empty(len(ordered), dtype=np.int32)
    places[[number_of[name] for name in ordered]] = np.arange(len(ordered))
    return ShardGroups(ordered, [places[codes] for codes in found])


def _of_column(shards: Shards) -> Iterator[NDArray[np.str_]]:
    for number, part in enumerate(shards.parts):
        names = shards.texts(number, GROUP)
        if names is None:
            raise UsageError(
                "quotas: given without groups; say which group each item is in: --groups FILE, or "
                f"a column {GROUP!r} in every shard ({part.name} has none)."
            )
        names = np.char.strip(names)
        if (names == "").any():
            raise DataError(f"{shards.store.where(part.name)}: a row without {GROUP}. Fill it in.")
        yield names


def _of_ids(
    shards: Shards, listed: Listed, names: list[str], source: str
) -> Iterator[NDArray[np.str_]]:
    """The group of every row, by its id."""
    import pyarrow as pa
    import pyarrow.compute as pc

    ids, words = pa.array(listed.ids, pa.string()), np.array(names, dtype=np.str_)
    first = pc.index_in(ids, value_set=ids).to_numpy(zero_copy_only=False)
    if len(twice := np.flatnonzero(words[first] != words)):
        place = int(twice[0])
        raise in_two_groups(listed, place, names[first[place]])
    seen = np.zeros(len(words), dtype=bool)
    for number in range(len(shards.parts)):
        here = shards.ids(number)
        found = pc.index_in(pa.array(here.tolist(), pa.string()), value_set=ids)
        places = found.fill_null(-1).to_numpy(zero_copy_only=False)
        if len(without := np.flatnonzero(places < 0)):
            raise DataError(
                f"{source}: no group for {str(here[without[0]])!r}. Every image needs one; a group "
                "without a quota gets no picks."
            )
        seen[places] = True
        yield words[places]
    if len(unknown := np.flatnonzero(~seen[first])):
        place = int(unknown[0])
        raise DataError(
            f"{listed.where(place)}: no item {listed.ids[place]!r} in the collection. Correct it, "
            "or remove the entry."
        )
