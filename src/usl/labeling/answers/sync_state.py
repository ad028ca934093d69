"""What the store of answers remembers of the split file.

It works like a write-ahead log. The store notes the coming content of each row, then ``split.csv``
is written, then the store confirms it. A program that stops in between leaves either the old or
the coming content, and neither is taken for an edit by hand.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from usl.labeling.answers.store import Store

Cell = tuple[str, str | None]  # state, label


@dataclass(frozen=True)
class RowState:
    """What the store knows of an image's row: its state ``before``, what was written ``last``.

    ``coming`` is what was about to be written when it was last heard of.
    """

    before: str
    last: Cell
    coming: Cell | None = None


def row_states(connection: sqlite3.Connection) -> dict[str, RowState]:
    """What the store knows, by image."""
    columns = "image_id, before, state, label, next_state, next_label"
    return {
        image: RowState(before, (state, label), None if coming is None else (coming, coming_label))
        for image, before, state, label, coming, coming_label in connection.execute(
            f"SELECT {columns} FROM written"
        )
    }


def announce(connection: sqlite3.Connection, known: Mapping[str, RowState]) -> None:
    """Remember what is coming, before the file is written."""
    rows = [
        (image, told.before, *told.last, *(told.coming or (None, None)))
        for image, told in known.items()
    ]
    connection.executemany("REPLACE INTO written VALUES (?, ?, ?, ?, ?, ?)", rows)


def confirm(connection: sqlite3.Connection, cells: Mapping[str, Cell]) -> None:
    """The coming cells are in the file."""
    connection.executemany(
        "UPDATE written SET state = ?, label = ?, next_state = NULL, next_label = NULL "
        "WHERE image_id = ?",
        [(*cell, image) for image, cell in cells.items()],
    )


def originally_requested(store: Store) -> set[str]:
    """Images that were requested before they were answered."""
    with store.transaction() as connection:
        rows = connection.execute("SELECT image_id FROM written WHERE before = 'requested'")
        return {row[0] for row in rows}
