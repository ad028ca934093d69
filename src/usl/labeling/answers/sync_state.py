"""What the store knows of the split file, and the writing of that file.

Before rows of ``split.csv`` are changed, the store notes what is coming; when they are on the disk,
that it was written. Stopped at any point in between, either the old or the coming content is found,
and neither is taken for an edit by hand.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from usl.core.errors import DataError
from usl.core.files import atomic_write
from usl.data.tables import column_names, csv_text, read_text_table
from usl.run.split import FIELDS, PARQUET_NAME, Split
from usl.run.split_csv import COLUMNS, render

Cell = tuple[str, str | None]  # state, label


@dataclass(frozen=True)
class Written:
    """What the store knows of an image's row: its state ``before``, what was written ``last``.

    ``coming`` is what was about to be written when it was last heard of.
    """

    before: str
    last: Cell
    coming: Cell | None = None


def remembered(connection: sqlite3.Connection) -> dict[str, Written]:
    """What the store knows, by image."""
    columns = "image_id, before, state, label, next_state, next_label"
    return {
        image: Written(before, (state, label), None if coming is None else (coming, coming_label))
        for image, before, state, label, coming, coming_label in connection.execute(
            f"SELECT {columns} FROM written"
        )
    }


def intend(connection: sqlite3.Connection, known: Mapping[str, Written]) -> None:
    """Remember what is coming, before the file is written."""
    rows = [
        (image, told.before, *told.last, *(told.coming or (None, None)))
        for image, told in known.items()
    ]
    connection.executemany("REPLACE INTO written VALUES (?, ?, ?, ?, ?, ?)", rows)


def done(connection: sqlite3.Connection, cells: Mapping[str, Cell]) -> None:
    """The coming cells are in the file."""
    connection.executemany(
        "UPDATE written SET state = ?, label = ?, next_state = NULL, next_label = NULL "
        "WHERE image_id = ?",
        [(*cell, image) for image, cell in cells.items()],
    )


def signature(path: Path) -> tuple[int, int, int]:
    """What changes when a file is written or replaced."""
    try:
        found = path.stat()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from error
    return found.st_mtime_ns, found.st_size, found.st_ino


def rendered(path: Path, split: Split) -> bytes:
    """The new content of the split file at ``path``; writes its mirror beside it.

    Further columns that the file has now are kept, and the order of all; appended rows are empty
    in them.
    """
    import pyarrow as pa
    import pyarrow.parquet

    content, mirror = render({name: getattr(split, name) for name in FIELDS})
    with plain_refusal(path), atomic_write(path.with_name(PARQUET_NAME)) as handle:
        pyarrow.parquet.write_table(mirror, handle)
    if column_names(path) == list(COLUMNS):
        return content
    weights = [repr(weight).removesuffix(".0") for weight in split.weights.tolist()]
    ours = {
        "image_id": split.ids.tolist(),
        "subset": split.subsets.tolist(),
        "state": split.states.tolist(),
        "label": ["" if label is None else label for label in split.labels.tolist()],
        "weight": weights,
        "source": split.sources.tolist(),
    }
    columns: dict[str, list[str]] = {}
    for name, values in read_text_table(path).columns.items():
        kept = values.to_pylist()
        columns[name] = ours.pop(name.lower(), kept + [""] * (len(split) - len(kept)))
    columns |= ours
    text = csv_text(list(columns), [pa.array(values, pa.string()) for values in columns.values()])
    return text.encode("utf-8" if text.isascii() else "utf-8-sig")


def write_split(path: Path, content: bytes) -> None:
    """Replace the split file."""
    with plain_refusal(path), atomic_write(path) as handle:
        handle.write(content)


@contextmanager
def plain_refusal(path: Path) -> Iterator[None]:
    """Turn an OSError into a :class:`DataError` that says what to do."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{path} cannot be written ({error.strerror or error}). The answers are safe in "
            "labels.sqlite. Close other programs that have the file open, see that the folder can "
            "be written and the disk has space, then try again."
        ) from error
