"""The picks of a selection: ``selection.parquet`` (all columns) and ``selection.csv`` (no lists).

One row per pick, best first; the columns are those of :meth:`usl.Selection.table`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from usl.run.tables import ID, read_table, write_table

if TYPE_CHECKING:
    import pyarrow as pa

PICKS = "selection.parquet"
LISTS = ("represented", "propagated_to", "duplicates")  # one cell holds many ids


def write_picks(folder: Path, table: pa.Table) -> None:
    """Write the picks of a selection into its folder."""
    write_table(folder / PICKS, table)
    flat = [name for name in table.column_names if name not in LISTS]
    write_table((folder / PICKS).with_suffix(".csv"), table.select(flat))


def read_picks(folder: Path, *columns: str) -> pa.Table:
    """The picks of a folder: ``image_id`` and those of the ``columns`` it has, or all columns.

    Raises :class:`DataError` naming a file that is missing or damaged.
    """
    return read_table(
        folder / PICKS, [ID], more=columns or None, fix="Restore it, or select anew: usl select."
    )


def picked_ids(folder: Path) -> list[str]:
    """Image ids of the picks, best first."""
    return [str(name) for name in read_picks(folder, ID)[ID].to_pylist()]
