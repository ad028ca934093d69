"""Parquet and CSV tables of a run folder: written whole or not at all, with plain errors."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from usl.core.errors import DataError
from usl.data.formulas import guarded_column
from usl.data.parquet_files import open_parquet, read_columns
from usl.data.sinks import write_to

if TYPE_CHECKING:
    import pyarrow as pa

ID = "image_id"


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table as ``.csv`` or ``.parquet``, by the ending; also to an address."""
    import pyarrow.csv
    import pyarrow.parquet

    with write_to(path) as handle:
        if path.suffix == ".parquet":
            pyarrow.parquet.write_table(table, handle, write_page_checksum=True)
        else:
            pyarrow.csv.write_csv(guarded_table(table), handle)


def guarded_table(table: pa.Table) -> pa.Table:
    """The table as it is written as CSV: no text of it is a formula to a spreadsheet."""
    import pyarrow as pa

    columns = [guarded_column(column) for column in table.columns]
    return pa.table(columns, names=table.column_names)


def read_table(
    path: Path, needed: Sequence[str], *, more: Sequence[str] | None = None, fix: str
) -> pa.Table:
    """Read a Parquet table: the columns it needs, and those of ``more`` that it has (None: all).

    Raises
    ------
    DataError
        naming the file: missing, damaged, or without a needed column; ends with the ``fix``.
    """
    import pyarrow as pa

    try:
        names = open_parquet(path).schema_arrow.names
        asked = names if more is None else dict.fromkeys((*needed, *more))
        table = read_columns(path, [name for name in asked if name in names])
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}). {fix}") from error
    if missing := [name for name in needed if name not in names]:
        raise DataError(f"{path} cannot be read (it has no column {missing[0]!r}). {fix}")
    if ID in table.column_names:
        kind, column = table[ID].type, table[ID]
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)) or column.null_count:
            raise DataError(f"{path} cannot be read ({ID} is not a text in every row). {fix}")
    return table


def typed_column(values: Sequence[Any]) -> Any:
    """A column of the source: numbers where all of it is numbers, text where kinds are mixed."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        column = pa.array(list(values))
    except pa.ArrowException:
        column = pa.array([None if value is None else str(value) for value in values], pa.string())
    if not pa.types.is_string(column.type):
        return column
    with suppress(pa.ArrowException):
        whole = pc.cast(column, pa.int64())
        if pc.cast(whole, pa.string()).equals(column):  # 007 is none
            return whole
    with suppress(pa.ArrowException):
        if not pc.any(pc.match_substring_regex(column, r"^[+-]?0\d")).as_py():
            return pc.cast(column, pa.float64())
    return column
