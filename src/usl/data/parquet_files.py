"""Parquet files: opened with words for what is wrong, looked into, and read within bounds.

A file of a few hundred kilobytes can stand for gigabytes: one long text named by a million rows, a
million rows of nothing. So the directory at its end is judged first, and texts are counted by
their dictionary before they are written out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from usl.core.errors import DataError
from usl.core.unpacked import ROW, check_unpacked
from usl.data.parquet_footer import read_footer

if TYPE_CHECKING:
    import pyarrow as pa

VALUE = 8  # bytes that a value takes in memory at least
BATCH = 64  # rows decoded at a time where one may stand for any size
FIX = "If it is sound, write it again without compression and dictionaries."


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
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(f"{path}: broken in its first rows ({error}).") from error
    return None


def open_parquet(path: Path, *, dictionaries: Sequence[str] = ()) -> Any:
    """The file with its schema, its sizes judged; rows are read in pieces, pages by their checksum.

    ``dictionaries`` are columns of texts to be left as dictionaries.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        _check_size(path)
        file = pq.ParquetFile(
            path,
            buffer_size=1 << 20,
            page_checksum_verification=True,
            read_dictionary=list(dictionaries) or None,
        )
        names = file.schema_arrow.names  # which a broken name stops
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise DataError(f"{path}: two columns are called {twice!r}. Rename one.")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file.") from error
    except (OSError, pa.ArrowException, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is not a readable Parquet file ({error}).") from error
    return file


def read_columns(path: Path, names: Sequence[str] | None = None) -> pa.Table:
    """Some columns of a file, or all, as one table.

    Raises :class:`DataError` naming a file that is broken, damaged, or far larger in memory than
    on the disk.
    """
    import pyarrow as pa

    file = open_parquet(path)
    try:
        schema = file.schema_arrow
        wanted = list(schema.names if names is None else names)
        schema = pa.schema([schema.field(name) for name in wanted])
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is damaged ({error}). Copy or write the file again.") from error
    texts, others = _with_dictionaries(path, schema)
    packed, total, pieces = path.stat().st_size, 0, []
    try:
        file = open_parquet(path, dictionaries=texts)
        if others:
            parts = file.iter_batches(batch_size=BATCH, columns=wanted)
        else:
            groups = range(file.num_row_groups)
            parts = (file.read_row_group(number, columns=wanted) for number in groups)
        for part in parts:
            total += sum(_bytes_of(column) for column in part.columns)
            check_unpacked(path, packed, total, FIX)
            table = part if isinstance(part, pa.Table) else pa.Table.from_batches([part])
            pieces.append(table.select(wanted).cast(schema))
        table = pa.concat_tables(pieces) if pieces else schema.empty_table()
        table.validate(full=True)  # texts are UTF-8, lists lie within their values
        return table
    except (OSError, ValueError, pa.ArrowException) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is damaged ({error}). Copy or write the file again.") from error


def _check_size(path: Path) -> None:
    """Refuse a file whose directory promises far more than it can hold."""
    found = read_footer(path)
    total = ROW * found.rows + sum(max(one.bytes, VALUE * one.values) for one in found.chunks)
    check_unpacked(path, path.stat().st_size, total, FIX)


def _with_dictionaries(path: Path, schema: Any) -> tuple[list[str], bool]:
    """The columns of plain texts that have a dictionary, and whether others stand for more, too."""
    import pyarrow as pa

    texts, others = set(), False
    for chunk in read_footer(path).chunks:
        if not chunk.packed or chunk.path.partition(".")[0] not in schema.names:
            continue
        kind = schema.field(chunk.path).type if chunk.path in schema.names else None
        plain = kind is not None and (pa.types.is_string(kind) or pa.types.is_binary(kind))
        if plain and "DELTA" not in chunk.packed:  # else Arrow cannot leave it as a dictionary
            texts.add(chunk.path)
        else:
            others |= chunk.texts
    return sorted(texts), others


def _bytes_of(column: Any) -> int:
    """The bytes of a column, of a dictionary as of the texts written out."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    total = VALUE * len(column)
    for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
        lengths = pc.binary_length(chunk.dictionary).cast(pa.int64())
        total += int(pc.sum(lengths.take(chunk.indices)).as_py() or 0)
    return total


def is_list(kind: Any) -> bool:
    """Whether a column's type is a list of numbers."""
    import pyarrow as pa

    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if not any(is_kind(kind) for is_kind in lists):
        return False
    return bool(pa.types.is_integer(kind.value_type) or pa.types.is_floating(kind.value_type))
