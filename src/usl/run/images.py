"""``images.parquet``: what the images of a run were when it got to know them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from usl.data.collection import Collection
from usl.run.tables import ID, read_table, typed_column, write_table

if TYPE_CHECKING:
    import pyarrow as pa

IMAGES = "images.parquet"
FIX = "Restore it, or select anew."


def write_images(folder: Path, collection: Collection) -> None:
    """Write the table of a new run."""
    write_table(folder / IMAGES, images_table(collection))


def append_images(folder: Path, collection: Collection) -> None:
    """Append images that the run has not; those that it has stay as they are recorded."""
    import pyarrow as pa

    former = read_table(folder / IMAGES, [ID, "subset", "digest"], more=None, fix=FIX)
    known = set(former[ID].to_pylist())
    fresh = [row for row, name in enumerate(collection.ids.tolist()) if name not in known]
    new = images_table(collection.take(fresh))
    columns = {}
    for name in dict.fromkeys([*former.column_names, *new.column_names]):
        cells = [
            table[name].to_pylist() if name in table.column_names else [None] * len(table)
            for table in (former, new)
        ]
        columns[name] = typed_column([*cells[0], *cells[1]])
        if name in (ID, "subset", "digest"):
            columns[name] = pa.array([*cells[0], *cells[1]], pa.string())
    write_table(folder / IMAGES, pa.table(columns))


def recorded_digests(folder: Path) -> dict[str, str]:
    """Content hash of every image as it was recorded, by image id."""
    table = read_table(folder / IMAGES, [ID, "digest"], more=(), fix=FIX)
    return dict(zip(table[ID].to_pylist(), table["digest"].to_pylist(), strict=True))


def images_table(collection: Collection) -> pa.Table:
    """The columns ``image_id``, ``subset``, ``digest``, and those that the source has more."""
    import pyarrow as pa

    table = pa.table(
        {
            ID: pa.array(collection.ids.tolist(), pa.string()),
            "subset": pa.array(collection.subsets.tolist(), pa.string()),
            "digest": pa.array(collection.digests().tolist(), pa.string()),
        }
    )
    for name, values in collection.extra.items():
        if name not in table.column_names:
            table = table.append_column(name, typed_column(values))
    return table
