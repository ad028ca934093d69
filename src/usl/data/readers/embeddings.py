"""Embeddings of one's own: one row of numbers per image, from any encoder.

On disk, one of

- ``.npy``: float [n, d]; ids are ``train/00000``, ... It is memory-mapped, not loaded. (uint8 of
  [n, h, w] or [n, h, w, 1 or 3] is taken for images.)
- ``.npz``: the matrix as ``features`` (or ``embeddings``, ``x``, or the only matrix there is),
  optionally ``ids``, ``labels`` (or ``y``) and ``subset`` [n].
- ``.parquet``, ``.csv``, ``.jsonl``: an ``image_id`` (or ``id``, or path) column, optionally
  ``label`` and ``subset``, and the numbers as one list column, as numbered columns
  (``f0, f1, ...``), or as all other columns; :mod:`usl.data.verdict` tells them from a list of
  images. Parquet is unpacked in pieces, and a large one into a file.

Rows of a table without an id are numbered like those of an array.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError
from usl.core.npz import npz_headers, read_npz
from usl.data.arrays import load_npy
from usl.data.collection import Collection
from usl.data.columns import find_column, id_column, index_ids, stacked, subset_column
from usl.data.embedded_features import encoder_of, with_pictures
from usl.data.labels import label_notes, read_labels
from usl.data.parquet_features import ParquetFeatures, read_parquet_features
from usl.data.tables import SOURCE_SUFFIXES, TEXT_SUFFIXES, Table, read_table, read_text_table
from usl.data.verdict import Verdict, is_numeric, judge, kind_of, peek
from usl.numeric.lazy_table import Joined, LazyTable, is_mapped

PRIORITY = 20
KIND = "embeddings"
BLOCK_VALUES = 1 << 24  # values checked at a time: 64 MB of float32


def matches(path: Path) -> bool:
    """Tell whether the file is an array, or a table with numbers to a row."""
    suffix = path.suffix.lower()
    if suffix in (".npy", ".npz"):
        return path.is_file()
    if suffix not in SOURCE_SUFFIXES or not path.is_file():
        return False
    return features_or_broken(path)


def features_or_broken(path: Path) -> bool:
    """Whether a table holds features, or is broken, which ``read`` then says."""
    return kind_of(path) in (KIND, "broken")


def read(path: Path, *, as_: str | None = None) -> Collection:
    """Read features with their ids.

    Parameters
    ----------
    as_ : ``embeddings`` takes a table's numbers for features whatever stands beside them.
    """
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return from_array(load_npy(path), source=str(path))
    if suffix == ".npz":
        return _read_npz(path)
    verdict = judge(path, *peek(path), as_)
    if suffix == ".parquet" and _are_plain(path, verdict):
        found = from_parquet(read_parquet_features([path], as_), source=str(path))
        return with_pictures(found, [path], encoder_of(path))
    table = read_text_table(path, unnamed=True) if suffix in TEXT_SUFFIXES else read_table(path)
    return _read_table(table, verdict)


def _are_plain(path: Path, verdict: Verdict) -> bool:
    """Whether a Parquet file's features are stored as numbers, and not as text."""
    return not any(isinstance(peek(path)[1].get(name), str) for name in verdict.features)


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
    return _collection(
        source, found.features, columns or found.columns, found.where, notes=found.notes
    )


def _counted_ids(subsets: NDArray[np.str_]) -> NDArray[np.str_]:
    """``train/00000`` style ids that count within each subset, str array [n]."""
    ids = np.empty(len(subsets), dtype=object)
    for subset in np.unique(subsets).tolist():
        members = subsets == subset
        ids[members] = index_ids(subset, int(members.sum()))
    return ids.astype(np.str_)


def _read_npz(path: Path) -> Collection:
    headers = npz_headers(path)
    matrices = [name for name, (shape, _) in headers.items() if len(shape) == 2]
    name = find_column(headers, "features") or (matrices[0] if len(matrices) == 1 else None)
    if name is None:
        held = ", ".join(f"{key} {list(shape)}" for key, (shape, _) in headers.items())
        raise DataError(f"{path}: no array called features [n, d]; it holds {held or 'nothing'}.")
    if not headers[name][0]:
        raise DataError(f"{path}: {name} is one number. Features are a table [n, d].")
    n = headers[name][0][0]
    others = [key for key in headers if key != name]
    found = {role: find_column(others, role) for role in ("id", "label", "subset")}
    texts = [k for k in others if headers[k][1].kind in "SU" and headers[k][0] == (n,)]
    found["id"] = found["id"] or find_column(others, "path") or find_column(texts, "name")
    found["label"] = found["label"] or ("y" if "y" in others else None)
    roles = {role: key for role, key in found.items() if key is not None}
    arrays = read_npz(path, {name, *roles.values()})
    columns = {}
    for role, key in roles.items():
        values = arrays[key]
        if role == "label" and values.ndim == 2 and len(values) == n:
            columns[role] = values.tolist()  # several to a row are no label, and counted
            continue
        if values.shape not in ((n,), (n, 1)):
            raise DataError(f"{path}: {key} is {list(values.shape)}, but {name} has {n} rows.")
        columns[role] = values.ravel().tolist()
    return _collection(str(path), arrays[name], columns, lambda row: f"{path}, row {row}")


def _read_table(table: Table, verdict: Verdict) -> Collection:
    roles = dict(verdict.roles)
    if "id" not in roles and "path" in roles:
        roles["id"] = roles["path"]
    columns = {
        role: table.values(roles[role]) for role in ("id", "label", "subset") if role in roles
    }
    notes = verdict.notes
    if not table.headed:
        notes = (f"{table.path}: row 1 holds numbers, so there is no header; it is data.", *notes)
    features = _matrix(table, verdict.features)
    return _collection(str(table.path), features, columns, table.where, notes=notes)


def _collection(
    source: str,
    features: NDArray[Any],
    columns: Mapping[Any, list[Any]],
    where: Callable[[int], str],
    *,
    notes: tuple[str, ...] = (),
) -> Collection:
    """Give features the ids, labels and subsets that came with them."""
    ids, subset, label = (columns.get(role) for role in ("id", "subset", "label"))
    labels, faults = (None, {}) if label is None else read_labels(label)
    found = from_features(
        features,
        source=source,
        ids=None if ids is None else id_column(ids, where),
        subsets=None if subset is None else subset_column(subset, where),
        labels=labels,
        where=where,
    )
    return replace(found, notes=(*notes, *label_notes(source, faults)))


def _matrix(table: Table, names: list[str]) -> NDArray[Any]:
    """The numbers of a table, float [n, d]."""
    if len(names) == 1 and not all(map(is_numeric, table.values(names[0])[:1])):
        return _list_column(table, names[0])
    return np.stack([_numbers(table, name) for name in names], axis=1)


def _list_column(table: Table, name: str) -> NDArray[Any]:
    """A column whose cells are lists of d numbers (in CSV: written as ``[1, 2]`` or ``1 2``)."""
    rows: list[NDArray[np.float32]] = []
    for row, cell in enumerate(table.values(name)):
        listed = cell if isinstance(cell, list) else re.findall(r"[^\s,;\[\]()]+", str(cell))
        try:
            rows.append(np.asarray(listed, dtype=np.float32))
        except (TypeError, ValueError, OverflowError) as error:
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
    if isinstance(column, list):
        for row, value in enumerate(column):
            if value is not None and not is_numeric(value):
                raise DataError(f"{table.where(row)}: {name} is {value!r}, not a number.")
        column = pa.array([None if value is None else _float(value) for value in column])
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = pc.utf8_trim_whitespace(column)
    try:
        cast = pc.cast(column, pa.float32(), safe=False)
        numbers: NDArray[Any] = cast.to_numpy(zero_copy_only=False)
    except pa.ArrowException:
        row = next((r for r, v in enumerate(column) if not _is_cast(v)), 0)
        value = column[row].as_py()
        raise DataError(f"{table.where(row)}: {name} is {value!r}, not a number.") from None
    return numbers


def _float(value: Any) -> float:
    """A number, or the text of one, as a float; infinity for one that is too large."""
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _is_cast(value: Any) -> bool:
    """Whether Arrow reads a cell as a number: not as 1_0, nor in other digits."""
    import pyarrow as pa

    try:
        value.cast(pa.float32(), safe=False)
    except pa.ArrowException:
        return False
    return True
