"""Find rows of shards by their ids: one pass over the ids, for all lists at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from usl.data.columns import tidy_id
from usl.data.local_copy import opened
from usl.engine.shards import Shards
from usl.numeric.arrays import Rows
from usl.selection.constraints.files import Listed, read_ids
from usl.selection.constraints.resolve import listed_rows, rows_of


def rows_by_id(shards: Shards, lists: Mapping[str, Listed]) -> dict[str, Rows]:
    """The row of every entry of some ``lists``, int64, by their names.

    Raises :class:`DataError` naming an entry that the shards do not hold.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = {word for listed in lists.values() for word in listed.ids}
    value_set = pa.array(sorted(wanted | {tidy_id(word) for word in wanted}), pa.string())
    ids, rows = [np.empty(0, np.str_)], [np.empty(0, np.int64)]
    for number, start in enumerate(shards.starts[:-1].tolist() if wanted else []):
        there = shards.ids(number)
        found = pc.is_in(pa.array(there.tolist(), pa.string()), value_set=value_set)
        here = np.flatnonzero(found.to_numpy(zero_copy_only=False))
        ids.append(there[here])
        rows.append(here + start)
    known, of = np.concatenate(ids), np.concatenate(rows)
    return {name: of[rows_of(one.ids, known, one.where)] for name, one in lists.items()}


def listed(given: Any, n: int, name: str) -> Listed | Rows:
    """A list of items as a file or a sequence names them: by ids, or the rows themselves."""
    if isinstance(given, str | os.PathLike):
        with opened(given) as path:
            return read_ids(path)
    column = np.asarray(given)
    if column.dtype.kind in "UOT" and column.size:
        words = [str(word) for word in column.tolist()]
        return Listed(words, lambda position: f"{name}, entry {position + 1}")
    return listed_rows(given, n, name)
