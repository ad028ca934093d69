"""Features in Parquet files, decoded batch by batch into one table; large ones into a file.

Random rows of a Parquet file cannot be read by themselves, so the numbers are unpacked once, as
float32. The unpacked file has no name and is gone with the table.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UsageError, UslWarning
from usl.core.files import cache_dir
from usl.core.unpacked import check_unpacked
from usl.data.parquet_files import FIX, is_list, open_parquet, peek_parquet, read_columns
from usl.data.verdict import Verdict, judge
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
    notes : what a person should know of how they were taken.
    """

    features: Float32
    columns: dict[str, list[Any]]
    paths: list[Path]
    starts: NDArray[np.int64]
    notes: tuple[str, ...] = ()

    def where(self, row: int) -> str:
        """The file and the row in it, from 1, as an error message begins."""
        part = int(np.searchsorted(self.starts[1:], row, side="right"))
        return f"{self.paths[part]}, row {row - int(self.starts[part]) + 1}"


def verdict_of(path: Path, as_: str | None = None) -> Verdict:
    """What a Parquet file was taken for."""
    return judge(path, *peek_parquet(path), as_)


def feature_columns(path: Path) -> list[str]:
    """The columns of a file that hold features as numbers: one of lists, or several; [] if none.

    Raises :class:`DataError` for a broken file.
    """
    return verdict_of(path).features


def read_parquet_features(paths: Sequence[Path], as_: str | None = None) -> ParquetFeatures:
    """Unpack files that :func:`feature_columns` knows, in this order.

    Raises
    ------
    DataError
        naming file and row: widths that differ, an empty cell; a broken file.
    """
    paths = list(paths)
    files = [open_parquet(path) for path in paths]
    verdicts = [verdict_of(path, as_) for path in paths]
    names = [verdict.features for verdict in verdicts]
    for path, found in zip(paths, names, strict=True):
        if not found:
            raise DataError(f"{path}: no column of lists of numbers, and no columns of numbers.")
    counts = [file.metadata.num_rows for file in files]
    starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    widths = [
        _width(file, path, found) for file, path, found in zip(files, paths, names, strict=True)
    ]
    filled = [number for number, count in enumerate(counts) if count]
    for number in filled:
        if widths[number] != widths[filled[0]]:
            raise DataError(
                f"{paths[number]}: {widths[number]} numbers to a row, but {paths[filled[0]]} has "
                f"{widths[filled[0]]}. Features of one collection come from one encoder."
            )
    shape = (int(starts[-1]), widths[filled[0]] if filled else 0)
    size = sum(path.stat().st_size for path in paths)
    check_unpacked(paths[0], size, 4 * shape[0] * shape[1], FIX)
    table = _table(shape)
    for file, path, found, start in zip(files, paths, names, starts[:-1].tolist(), strict=True):
        _unpack(file, path, found, table[start:])
    notes = tuple(dict.fromkeys(note for verdict in verdicts for note in verdict.notes))[:1]
    return ParquetFeatures(table, _role_columns(paths, verdicts), paths, starts, notes)


def _table(shape: tuple[int, int]) -> Float32:
    """A table to unpack into: in memory, or a large one in a file if there is room for one."""
    if 4 * shape[0] * shape[1] > IN_MEMORY:
        try:
            return scratch(shape, np.float32, cache_dir() / "scratch")
        except UsageError as error:
            warnings.warn(
                f"cache: {error} The features are unpacked in memory.", UslWarning, stacklevel=2
            )
    return np.empty(shape, np.float32)


def _width(file: Any, path: Path, names: list[str]) -> int:
    """Numbers to a row: of the columns, the list type, or the first row's list."""
    import pyarrow as pa

    kind = file.schema_arrow.field(names[0]).type
    if not is_list(kind):
        return len(names)
    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size)
    try:
        for batch in file.iter_batches(batch_size=1, columns=names):
            return len(batch.column(0)[0].as_py() or ())
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: broken in its first row ({error}).") from error
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
    except (OSError, ValueError, pa.ArrowException) as error:
        if isinstance(error, DataError):
            raise
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
    if not is_list(column.type):
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


def _role_columns(paths: list[Path], verdicts: list[Verdict]) -> dict[str, list[Any]]:
    """Ids, paths, labels and subsets, where every file has them, under whatever name."""
    columns: dict[str, list[Any]] = {}
    for role in ROLES:
        if all(role in verdict.roles for verdict in verdicts):
            columns[role] = [
                value
                for path, verdict in zip(paths, verdicts, strict=True)
                for value in read_columns(path, [verdict.roles[role]]).column(0).to_pylist()
            ]
    return columns
