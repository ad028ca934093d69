"""Embeddings of one's own: one row of numbers per image, from any encoder.

On disk, one of

- ``.npy``: float [n, d]; ids are ``train/00000``, ... It is memory-mapped, not loaded. (uint8 of
  [n, h, w] or [n, h, w, 1 or 3] is taken for images.)
- ``.npz``: the matrix as ``features`` (or ``embeddings``, ``x``, or the only matrix there is),
  optionally ``ids``, ``labels`` (or ``y``) and ``subset`` [n].
- ``.parquet``, ``.csv``, ``.jsonl``: an ``image_id`` (or ``id``, or path) column, optionally
  ``label`` and ``subset``, and the numbers as one list column, as numbered columns
  (``f0, f1, ...``), or as all other columns. Parquet is unpacked in pieces, and a large one into a
  file.

Rows of a table without an id are numbered like those of an array.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError
from usl.data.arrays import load_npy, load_npz
from usl.data.collection import Collection
from usl.data.columns import (
    find_column,
    id_column,
    index_ids,
    label_texts,
    numbered_columns,
    other_columns,
    stacked,
    subset_column,
)
from usl.data.parquet_features import ParquetFeatures, feature_columns, read_parquet_features
from usl.data.tables import TABLE_SUFFIXES, Table, column_names, read_table
from usl.numeric.lazy_table import Joined, LazyTable, is_mapped

PRIORITY = 20
KIND = "embeddings"
BLOCK_VALUES = 1 << 24  # values checked at a time: 64 MB of float32


def matches(path: Path) -> bool:
    """Tell whether the file is an array, or a table with numbers to a row."""
    suffix = path.suffix.lower()
    if suffix in (".npy", ".npz"):
        return path.is_file()
    if suffix not in TABLE_SUFFIXES or not path.is_file():
        return False
    names = column_names(path)
    if suffix == ".parquet" and features_or_broken(path):
        return True
    has_numbers = find_column(names, "features") or numbered_columns(names)
    return bool(has_numbers) or (not find_column(names, "path") and len(other_columns(names)) > 1)


def features_or_broken(path: Path) -> bool:
    """Whether a Parquet file holds features, or is broken, which ``read`` then says."""
    try:
        return bool(feature_columns(path))
    except DataError:
        return True


def read(path: Path) -> Collection:
    """Read features with their ids."""
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return from_array(load_npy(path), source=str(path))
    if suffix == ".npz":
        return _read_npz(path)
    if suffix == ".parquet" and feature_columns(path):
        return from_parquet(read_parquet_features([path]), source=str(path))
    return _read_table(read_table(path))


def from_array(array: NDArray[Any], *, source: str) -> Collection:
    """A collection of a bare array: features [n, d], or uint8 images [n, h, w(, 1 or 3)]."""
    if array.dtype == np.uint8 and array.ndim > 2:
        return stacked([("train", array, None)], source=source, kind="arrays")
    return from_features(array, source=source)


def from_features(
    features: NDArray[Any] | LazyTable,
    *,
    source: str,
    ids: NDArray[np.str_] | None = None,
    subsets: NDArray[np.str_] | None = None,
    labels: NDArray[np.object_] | None = None,
    where: Callable[[int], str] | None = None,
) -> Collection:
    """A collection of features [n, d]; DataError unless they are finite real numbers."""
    if features.ndim != 2 or features.dtype.kind not in "fiu" or not features.size:
        hint = " Were ids or labels given instead of features?" if features.ndim == 1 else ""
        raise DataError(
            f"{source}: features must be numbers [n, d], this is {features.dtype} "
            f"{list(features.shape)}.{hint}"
        )
    if features.dtype.kind in "iu" and isinstance(features, np.ndarray):
        features = as_floats(features, source)
    if subsets is None:
        subsets = np.repeat("train", len(features))
    if ids is None:
        ids = _counted_ids(subsets)
    step = max(1, BLOCK_VALUES // features.shape[1])  # one pass over files larger than memory
    for start in range(0, len(features), step):
        bad = ~np.isfinite(features[start : start + step]).all(axis=1)
        if bad.any():
            row = start + int(np.flatnonzero(bad)[0])
            place = where(row) if where else f"{source}, row {row}"
            raise DataError(
                f"{place}: the features of {str(ids[row])!r} are NaN or infinite. "
                "Compute them again, or remove the row."
            )
    return Collection(
        ids=ids,
        subsets=subsets,
        features=features,
        labels=labels,
        source=source,
        kind=KIND,
    )


def as_floats(array: NDArray[Any], source: str) -> NDArray[Any] | LazyTable:
    """Whole numbers as float32; those in a file as they are read."""
    kind = np.dtype(np.float32)
    return Joined([array], [source], kind) if is_mapped(array) else array.astype(kind)


def from_parquet(found: ParquetFeatures, *, source: str) -> Collection:
    """A collection of what Parquet files hold."""
    columns = {"id": found.columns["path"], **found.columns} if "path" in found.columns else None
    return _collection(source, found.features, columns or found.columns, found.where)


def _counted_ids(subsets: NDArray[np.str_]) -> NDArray[np.str_]:
    """``train/00000`` style ids that count within each subset, str array [n]."""
    ids = np.empty(len(subsets), dtype=object)
    for subset in np.unique(subsets).tolist():
        members = subsets == subset
        ids[members] = index_ids(subset, int(members.sum()))
    return ids.astype(np.str_)


def _read_npz(path: Path) -> Collection:
    arrays = load_npz(path)
    matrices = [name for name, array in arrays.items() if array.ndim == 2]
    name = find_column(arrays, "features") or (matrices[0] if len(matrices) == 1 else None)
    if name is None:
        held = ", ".join(f"{key} {list(array.shape)}" for key, array in arrays.items())
        raise DataError(f"{path}: no array called features [n, d]; it holds {held or 'nothing'}.")
    columns = {}
    for role in ("id", "label", "subset"):
        key = find_column(arrays, role) or ("y" if role == "label" and "y" in arrays else None)
        if key is not None:
            values = arrays[key]
            if values.shape not in ((len(arrays[name]),), (len(arrays[name]), 1)):
                raise DataError(
                    f"{path}: {key} is {list(values.shape)}, but {name} has "
                    f"{len(arrays[name])} rows."
                )
            columns[role] = values.ravel().tolist()
    return _collection(str(path), arrays[name], columns, lambda row: f"{path}, row {row}")


def _read_table(table: Table) -> Collection:
    roles = {role: find_column(table.columns, role) for role in ("id", "label", "subset")}
    roles["id"] = roles["id"] or find_column(table.columns, "path")
    columns = {role: table.values(name) for role, name in roles.items() if name is not None}
    return _collection(str(table.path), _matrix(table), columns, table.where)


def _collection(
    source: str, features: NDArray[Any], columns: dict[str, list[Any]], where: Callable[[int], str]
) -> Collection:
    """Give features the ids, labels and subsets that came with them."""
    ids, subset, label = (columns.get(role) for role in ("id", "subset", "label"))
    return from_features(
        features,
        source=source,
        ids=None if ids is None else id_column(ids, where),
        subsets=None if subset is None else subset_column(subset, where),
        labels=None if label is None else label_texts(label),
        where=where,
    )


def _matrix(table: Table) -> NDArray[Any]:
    """The numbers of a table, float [n, d]."""
    name = find_column(table.columns, "features")
    if name is not None and not all(map(_is_number, table.values(name)[:1])):
        return _list_column(table, name)
    names = numbered_columns(list(table.columns)) or other_columns(list(table.columns))
    if not names:
        raise DataError(f"{table.path}: no columns of numbers; it has {', '.join(table.columns)}.")
    return np.stack([_numbers(table, name) for name in names], axis=1)


def _list_column(table: Table, name: str) -> NDArray[Any]:
    """A column whose cells are lists of d numbers (in CSV: written as ``[1, 2]`` or ``1 2``)."""
    rows: list[NDArray[np.float32]] = []
    for row, cell in enumerate(table.values(name)):
        listed = cell if isinstance(cell, list) else re.findall(r"[^\s,;\[\]()]+", str(cell))
        try:
            rows.append(np.asarray(listed, dtype=np.float32))
        except (TypeError, ValueError) as error:
            raise DataError(f"{table.where(row)}: {name} is not a list of numbers.") from error
        if rows[row].shape != rows[0].shape or not rows[row].size:
            raise DataError(
                f"{table.where(row)}: {name} holds {rows[row].size} numbers, "
                f"the first row {rows[0].size}."
            )
    return np.stack(rows) if rows else np.empty((0, 0), dtype=np.float32)


def _numbers(table: Table, name: str) -> NDArray[Any]:
    """A column of one number a row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table.columns[name]
    column = pa.array(column) if isinstance(column, list) else column
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = pc.utf8_trim_whitespace(column)
    try:
        cast = pc.cast(column, pa.float32(), safe=False)
        numbers: NDArray[Any] = cast.to_numpy(zero_copy_only=False)
    except pa.ArrowException:
        row = next(r for r, v in enumerate(column.to_pylist()) if not _is_number(v))
        value = column[row].as_py()
        raise DataError(f"{table.where(row)}: {name} is {value!r}, not a number.") from None
    return numbers


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True
