"""Features in Parquet files, decoded batch by batch into one table; large ones into a file.

Random rows of a Parquet file cannot be read by themselves, so the numbers are unpacked once, as
float32. The unpacked file has no name and is gone with the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError
from usl.core.files import cache_dir
from usl.data.columns import find_column, numbered_columns, other_columns
from usl.numeric.arrays import Float32
from usl.numeric.workspace import scratch

IN_MEMORY = 256 << 20  # bytes of a table up to which it is unpacked in memory
BATCH_VALUES = 1 << 21  # unpacked at a time
ROLES = ("id", "path", "label", "subset")


@dataclass(frozen=True, eq=False)
class ParquetFeatures:
    """What one or several files hold, one after the other.

    Attributes
    ----------
    features : float32 [n, d].
    columns : ``id``, ``path``, ``label`` and ``subset`` as lists [n], those that every file has.
    paths : the files.
    starts : int64 [files + 1], where each begins among the rows.
    """

    features: Float32
    columns: dict[str, list[Any]]
    paths: list[Path]
    starts: NDArray[np.int64]

    def where(self, row: int) -> str:
        """The file and the row in it, from 1, as an error message begins."""
        part = int(np.searchsorted(self.starts[1:], row, side="right"))
        return f"{self.paths[part]}, row {row - int(self.starts[part]) + 1}"


def feature_columns(path: Path) -> list[str]:
    """The columns of a file that hold features as numbers: one of lists, or several; [] if none.

    Raises :class:`DataError` for a broken file.
    """
    import pyarrow as pa

    schema = _open(path).schema_arrow
    names = list(schema.names)
    lists = [name for name in names if _is_list(schema.field(name).type)]
    named = find_column(names, "features")
    if named is not None and named in lists:
        return [named]
    numbers = numbered_columns(names)
    others = other_columns(names) if find_column(names, "path") is None else []
    if not numbers and len(listed := [name for name in others if name in lists]) == 1:
        return listed
    chosen = numbers or others
    types = [schema.field(name).type for name in chosen]
    plain = [pa.types.is_integer(t) or pa.types.is_floating(t) for t in types]
    return chosen if len(chosen) > 1 and all(plain) else []


def read_parquet_features(paths: Sequence[Path]) -> ParquetFeatures:
    """Unpack files that :func:`feature_columns` knows, in this order.

    Raises
    ------
    DataError
        naming file and row: widths that differ, an empty cell; a broken file.
    """
    paths = list(paths)
    files = [_open(path) for path in paths]
    names = [feature_columns(path) for path in paths]
    for path, found in zip(paths, names, strict=True):
        if not found:
            raise DataError(f"{path}: no column of lists of numbers, and no columns of numbers.")
    counts = [file.metadata.num_rows for file in files]
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    widths = [_width(file, found) for file, found in zip(files, names, strict=True)]
    filled = [number for number, count in enumerate(counts) if count]
    for number in filled:
        if widths[number] != widths[filled[0]]:
            raise DataError(
                f"{paths[number]}: {widths[number]} numbers to a row, but {paths[filled[0]]} has "
                f"{widths[filled[0]]}. Features of one collection come from one encoder."
            )
    shape = (int(starts[-1]), widths[filled[0]] if filled else 0)
    large = 4 * shape[0] * shape[1] > IN_MEMORY
    table = (
        scratch(shape, np.float32, cache_dir() / "scratch")
        if large
        else np.empty(shape, np.float32)
    )
    for file, path, found, start in zip(files, paths, names, starts[:-1].tolist(), strict=True):
        _unpack(file, path, found, table[start:])
    return ParquetFeatures(table, _role_columns(files), paths, starts)


def _open(path: Path) -> Any:
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


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if not any(is_kind(kind) for is_kind in lists):
        return False
    return bool(pa.types.is_integer(kind.value_type) or pa.types.is_floating(kind.value_type))


def _width(file: Any, names: list[str]) -> int:
    """Numbers to a row: of the columns, the list type, or the first row's list."""
    import pyarrow as pa

    kind = file.schema_arrow.field(names[0]).type
    if not _is_list(kind):
        return len(names)
    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size)
    for batch in file.iter_batches(batch_size=1, columns=names):
        return len(batch.column(0)[0].as_py() or ())
    return 0


def _unpack(file: Any, path: Path, names: list[str], table: Float32) -> None:
    """Decode one file into the first rows of ``table``."""
    import pyarrow as pa

    width, done = table.shape[1], 0
    rows = max(1, BATCH_VALUES // max(1, width))
    try:
        for batch in file.iter_batches(batch_size=rows, columns=names):
            table[done : done + len(batch)] = _values(batch, names, path, done, width)
            done += len(batch)
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"{path}: broken from row {done + 1} on ({error}). Copy or write the file again."
        ) from error


def _values(batch: Any, names: list[str], path: Path, done: int, width: int) -> NDArray[Any]:
    """The numbers of a batch, [rows, d]; its first row is row ``done`` of the file, from 0."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for name in names:
        column = batch.column(name)
        if column.null_count:
            row = done + column.is_null().to_numpy(zero_copy_only=False).argmax() + 1
            raise DataError(f"{path}, row {row}: {name} is empty. Fill it in, or remove the row.")
    column = batch.column(names[0])
    if not _is_list(column.type):
        return np.stack([batch.column(name).to_numpy(zero_copy_only=False) for name in names], 1)
    if not pa.types.is_fixed_size_list(column.type):
        lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
        if (lengths != width).any():
            odd = int((lengths != width).argmax())
            raise DataError(
                f"{path}, row {done + odd + 1}: {names[0]} holds {lengths[odd]} numbers, "
                f"the first row {width}."
            )
    values: NDArray[Any] = column.flatten().to_numpy(zero_copy_only=False)  # None becomes NaN
    return values.reshape(len(batch), width)


def _role_columns(files: list[Any]) -> dict[str, list[Any]]:
    """Ids, paths, labels and subsets, where every file has them, under whatever name."""
    columns: dict[str, list[Any]] = {}
    for role in ROLES:
        named = [find_column(file.schema_arrow.names, role) for file in files]
        if all(named):
            columns[role] = [
                value
                for file, name in zip(files, named, strict=True)
                for value in file.read(columns=[name]).column(0).to_pylist()
            ]
    return columns
