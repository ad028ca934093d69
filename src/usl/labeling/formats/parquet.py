"""Parquet: a typed table for pandas, polars, DuckDB, pyarrow."""

from __future__ import annotations

from pathlib import Path

from usl.data.tables import read_parquet
from usl.labeling.exchange.contract import Export, Given
from usl.labeling.exchange.rows import arrow_table, columns_of, given_rows, is_table, next_steps

PICTURES = False
SUFFIX = ".parquet"


def write(export: Export, out: Path) -> list[str]:
    """Write one row per image; what is not known is null."""
    import pyarrow.parquet

    pyarrow.parquet.write_table(arrow_table(columns_of(export.items)), out)
    return next_steps(export)


def read(path: Path) -> list[Given]:
    """Read the columns image_id (or path) and label."""
    return given_rows(read_parquet(path))


def recognizes(path: Path) -> bool:
    """Tell a Parquet file with labels."""
    return is_table(path, (SUFFIX,))
