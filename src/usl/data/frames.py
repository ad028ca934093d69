"""Lists of image files, and tables of pandas or polars, as collections.

A table with a column of paths is read as the same table in a file is
(:mod:`usl.data.readers.manifest`), paths from the current folder; one of numbers holds features.
Its index, where it says more than how many rows there are, gives the ids.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UsageError
from usl.core.plain_arrays import as_numpy, bad_columns
from usl.data.collection import Collection
from usl.data.columns import find_column, id_column, id_text, subset_column
from usl.data.labels import label_notes, read_labels
from usl.data.readers.embeddings import from_features
from usl.data.readers.manifest import from_table
from usl.data.tables import Table

LIST = "list"  # the kind of a collection of files that were named in memory


def is_paths(values: Any) -> bool:
    """Whether a value is a list, array or column of texts or paths, and not empty."""
    if isinstance(values, np.ndarray) or hasattr(values, "to_list"):
        if getattr(values, "ndim", 1) != 1:
            return False
        values = values.tolist() if isinstance(values, np.ndarray) else values.to_list()
    return (
        isinstance(values, list | tuple)
        and len(values) > 0
        and all(isinstance(value, str | os.PathLike) for value in values)
    )


def from_paths(dataset: Any) -> Collection:
    """Take over image files by their paths; ids are these, from the current folder.

    The index of a pandas column gives the ids where it is more than a count.
    """
    ids = index_of(dataset)
    values = dataset if isinstance(dataset, list | tuple) else dataset.tolist()
    columns = {"path": [os.fspath(value) for value in values]}
    if ids is not None:
        columns["image_id"] = ids
    return replace(from_table(_table("list", columns, len(values)), "list of files"), kind=LIST)


def from_frame(dataset: Any) -> Collection:
    """Take over a table of image files, or of features with or without ids, labels and subsets.

    Columns are known by the names that they have in files (:mod:`usl.data.columns`).

    Raises
    ------
    UsageError
        naming the columns that are neither numbers nor known.
    DataError
        as for a table in a file, by row.
    """
    name, n = type(dataset).__name__, len(dataset)
    names = [str(column) for column in dataset.columns]
    if len(set(names)) < len(names):
        twice = next(column for column in names if names.count(column) > 1)
        raise UsageError(f"{name}: two columns are called {twice!r}. Rename one.")
    if not n:
        raise DataError(f"{name}: has no rows.")
    keys = dict(zip(names, dataset.columns, strict=True))
    ids = index_of(dataset)
    path = find_column(names, "path")
    if path is not None and is_paths(dataset[keys[path]]):
        columns = {column: _values(dataset[key]) for column, key in keys.items()}
        columns = {column: values for column, values in columns.items() if _is_known(column)}
        if ids is not None and find_column(names, "id") is None:
            columns["image_id"] = ids
        return replace(from_table(_table(name, columns, n), name), kind=LIST)
    found = {role: find_column(names, role) for role in ("id", "label", "subset")}
    roles = {role: column for role, column in found.items() if column is not None}
    rest = dataset[[key for column, key in keys.items() if column not in roles.values()]]
    array = as_numpy(rest)
    if not array.size or array.dtype.kind not in "fiub":
        bad = bad_columns(rest) if array.size else f"there are only {', '.join(names)}"
        raise UsageError(
            f"{name}: features are numbers, and these columns are none: {bad}. Leave them out; a "
            "column of image files is to be called path, one of answers label."
        )
    return _of_features(name, dataset, keys, roles, array, ids)


def _of_features(
    name: str,
    dataset: Any,
    keys: dict[str, Any],
    roles: dict[str, str],
    array: NDArray[Any],
    ids: list[str] | None,
) -> Collection:
    columns = {role: _values(dataset[keys[column]]) for role, column in roles.items()}
    where = _table(name, {}, len(dataset)).where
    labels, faults = read_labels(columns["label"]) if "label" in columns else (None, {})
    given = columns.get("id", ids)
    found = from_features(
        array.astype(np.float64) if array.dtype.kind == "b" else array,
        source=name,
        ids=None if given is None else id_column(given, where),
        subsets=subset_column(columns["subset"], where) if "subset" in columns else None,
        labels=labels,
        where=where,
    )
    return replace(found, notes=label_notes(name, faults))


def index_of(dataset: Any) -> list[str] | None:
    """The index of a pandas table or column as ids; None where there is none, or just a count."""
    index = getattr(dataset, "index", None)
    if index is None or callable(index):
        return None
    values = list(index)
    if values == list(range(len(values))):
        return None
    return ["/".join(map(str, v)) if isinstance(v, tuple) else _id(v) for v in values]


def _id(value: Any) -> str:
    return id_text(value) or ("" if value is None or value != value else str(value))


def _values(column: Any) -> list[Any]:
    """A column as Python values."""
    values: list[Any] = column.tolist() if hasattr(column, "tolist") else column.to_list()
    return values


def _is_known(name: str) -> bool:
    return any(find_column([name], role) for role in ("path", "id", "label", "subset"))


def _table(name: str, columns: Mapping[str, Sequence[Any]], n: int) -> Table:
    """The columns as those of a file in the current folder; rows count from 0, as in Python."""
    return Table(Path(name), {key: list(values) for key, values in columns.items()}, np.arange(n))
