"""Ask for more images in a split: where their rows stand, and back again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from usl.run.split import FIELDS, Split


def with_requests(split: Split, ids: Sequence[str], asked_before: Collection[str]) -> Split:
    """The split in which ``ids`` wait for a label, best first.

    Their rows follow those that are requested already and those ``asked_before``, so that who
    works down the file meets them next. Rows that are labelled, and ids without a row, stay.
    """
    row_of = {name: row for row, name in enumerate(split.ids.tolist())}
    known = [row_of[name] for name in ids if name in row_of]
    rows = np.array([row for row in known if split.states[row] == "unlabeled"], dtype=np.int64)
    if not len(rows):
        return split
    before = split.states == "requested"
    before[[row_of[name] for name in asked_before if name in row_of]] = True
    before[rows] = False
    moved = np.zeros(len(split), dtype=bool)
    moved[rows] = True
    place = int(np.flatnonzero(before).max(initial=-1)) + 1
    others = np.flatnonzero(~moved)
    cut = int(np.searchsorted(others, place))
    order = np.concatenate([others[:cut], rows, others[cut:]])
    columns = {name: getattr(split, name)[order] for name in FIELDS}
    columns["states"][cut : cut + len(rows)] = "requested"
    numbers = split.numbers[order] if len(split.numbers) else split.numbers
    return replace(split, **columns, numbers=numbers)


def without_requests(split: Split, ids: Collection[str]) -> Split:
    """The split in which those of the ``ids`` that still wait for a label wait no more."""
    asked = np.isin(split.ids, list(ids)) & (split.states == "requested")
    rows = np.flatnonzero(asked)
    return split.without_labels(rows, ["unlabeled"] * len(rows)) if len(rows) else split
