"""Parquet files: opened with words for what is wrong, and looked into without reading them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from usl.core.errors import DataError


def peek_parquet(path: Path) -> tuple[list[str], dict[str, Any]]:
    """A file's columns and a first value in each, as far as its kind tells; binary data are None.

    Raises :class:`DataError` for a broken file.
    """
    import pyarrow as pa

    file = open_parquet(path)
    schema = file.schema_arrow
    first: dict[str, Any] = {}
    for name, kind in zip(schema.names, schema.types, strict=True):
        if pa.types.is_dictionary(kind):
            kind = kind.value_type
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            first[name] = 1
        elif pa.types.is_fixed_size_list(kind):
            first[name] = [1] * int(kind.list_size) if is_list(kind) else None
        elif is_list(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
            first[name] = _first_value(file, path, name)
        else:
            first[name] = None
    return list(schema.names), first


def _first_value(file: Any, path: Path, name: str) -> Any:
    """The first value in a column that is not empty, of the first rows."""
    import pyarrow as pa

    try:
        for batch in file.iter_batches(batch_size=16, columns=[name]):
            return next((v for v in batch.column(0).to_pylist() if v not in (None, "")), None)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: broken in its first rows ({error}).") from error
    return None


def open_parquet(path: Path) -> Any:
    """The file with its schema; its rows are read in pieces."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path, buffer_size=1 << 20)
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"{path} is not a readable Parquet file ({_fault(path, error)})."
        ) from error


def _fault(path: Path, error: Exception) -> str:
    """What is wrong with a file; plainly where its end is missing."""
    try:
        size = path.stat().st_size
        with open(path, "rb") as handle:
            head = handle.read(4)
            handle.seek(max(0, size - 4))
            tail = handle.read(4)
    except OSError:
        return str(error)
    if head == b"PAR1" and tail != b"PAR1":
        return (
            f"cut short: {size:,} bytes are there, and the directory that the format puts at the "
            "end is not. Copy or write the file again"
        )
    return str(error)


def is_list(kind: Any) -> bool:
    """Whether a column's type is a list of numbers."""
    import pyarrow as pa

    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if not any(is_kind(kind) for is_kind in lists):
        return False
    return bool(pa.types.is_integer(kind.value_type) or pa.types.is_floating(kind.value_type))
