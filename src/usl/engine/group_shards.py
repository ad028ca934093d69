"""The rows of one group of a table in shards, as shards of their own; nothing is copied."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from usl.core.hashing import json_digest
from usl.engine.shards import Shards
from usl.engine.store import Store
from usl.numeric.arrays import Float32, Rows


@dataclass(frozen=True)
class GroupShards(Shards):
    """The rows of group ``group`` of ``whole``, in its order; shards without any are left out.

    ``codes`` : where ``groups/S`` has the group of every row of shard S of the whole, int32.
    ``numbers`` : which shards of the whole those here are of.
    """

    whole: Shards
    codes: Store
    group: int
    numbers: tuple[int, ...]

    @classmethod
    def of(cls, whole: Shards, codes: Store, group: int, counts: Rows) -> Self:
        """``counts`` int64 [shards] : how many rows of each shard are in the group."""
        numbers = tuple(np.flatnonzero(counts).tolist())
        parts = tuple(replace(whole.parts[number], rows=int(counts[number])) for number in numbers)
        about = whole.store, whole.width, parts, whole.encoder
        return cls(*about, whole, codes, group, numbers)

    @property
    def digest(self) -> str:
        """A hash of the record of the whole, and of which part this is."""
        return json_digest([self.whole.digest, self.group, [part.rows for part in self.parts]])

    def read(self, number: int) -> Float32:
        """See :meth:`Shards.read`."""
        return self.whole.read(self.numbers[number])[self.places(number)]

    def lengths(self, number: int) -> Float32:
        """See :meth:`Shards.lengths`."""
        return self.whole.lengths(self.numbers[number])[self.places(number)]

    def texts(self, number: int, name: str = "id") -> NDArray[np.str_] | None:
        """See :meth:`Shards.texts`."""
        found = self.whole.texts(self.numbers[number], name)
        return None if found is None else found[self.places(number)]

    def places(self, number: int) -> Rows:
        """Where the rows of a shard stand in that of the whole, int64 [rows]."""
        codes = self.codes.rows(f"groups/{self.numbers[number]}")[0]
        return np.flatnonzero(codes == self.group)

    def in_whole(self, rows: Rows) -> Rows:
        """The numbers that some rows have in the whole, int64 [r]."""
        found = np.empty(len(rows), dtype=np.int64)
        for number, here, local in self.by_shard(rows):
            start = self.whole.starts[self.numbers[number]]
            found[here] = self.places(number)[local] + start
        return found

    def of_whole(self, rows: Rows) -> Rows:
        """The rows of the whole that are in the group, by their numbers here, in their order."""
        found = np.full(len(rows), -1, dtype=np.int64)
        place = {one: number for number, one in enumerate(self.numbers)}
        for number, here, local in self.whole.by_shard(rows):
            if number not in place:
                continue
            there = self.places(place[number])
            at = np.minimum(np.searchsorted(there, local), len(there) - 1)
            inside = there[at] == local
            found[here[inside]] = at[inside] + self.starts[place[number]]
        return found[found >= 0]
