"""Read constraints of a collection from files and ids.

A list of items is a text file with one id per line, or a table (CSV, JSONL, Parquet) with a column
``image_id`` (or ``path``, so that a manifest can be one). Groups are such a table with one more
column, or with one called ``group``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError
from usl.data.addresses import shown
from usl.data.collection import Collection
from usl.data.columns import find_column
from usl.data.local_copy import opened
from usl.data.tables import TABLE_SUFFIXES, Table, decode_text, read_table
from usl.selection.constraints.resolve import listed_rows, rows_of
from usl.selection.constraints.select_within import Constraints

Rows = NDArray[np.int64]
GROUP = "group"


def read_constraints(
    constraints: Constraints, collection: Collection, rows: Rows
) -> tuple[Constraints, dict[str, str]]:
    """The constraints by row of the train subset, and the files they came from, by name.

    Parameters
    ----------
    rows : int64, those that picks come from (the train subset).

    Raises
    ------
    DataError
        naming file and row: an id that the collection does not hold, a must-include of another
        subset, an item without a group or with two.
    """
    files: dict[str, str] = {}
    found: dict[str, Any] = {}
    for name in ("exclude", "include"):
        given = getattr(constraints, name)
        if isinstance(given, str | os.PathLike):
            files[f"{name}_file"] = shown(given)
            with opened(given) as path:
                listed = read_ids(path)
                found[name] = rows_of(listed.ids, collection.ids, listed.where)
            where = listed.where
        else:
            found[name] = listed_rows(given, len(collection), name, collection.ids)

            def where(position: int, name: str = name) -> str:
                return f"{name}, entry {position + 1}"

        if name == "include":
            _check_subset(collection, found[name], rows, where)
    if isinstance(constraints.groups, str | os.PathLike):
        files["groups_file"] = shown(constraints.groups)
        with opened(constraints.groups) as path:
            found["groups"] = read_groups(path, collection, rows)
    elif isinstance(constraints.groups, Mapping):
        column = np.full(len(collection), None, dtype=object)
        words = list(constraints.groups)
        column[rows_of(words, collection.ids, lambda _: "groups")] = [
            constraints.groups[word] for word in words
        ]
        _check_all_grouped("groups", collection, column, rows)
        found["groups"] = column
    elif constraints.groups is not None:
        found["groups"] = np.asarray(constraints.groups, dtype=object)
    if "groups" in found:
        found["groups"] = found["groups"][rows]
    place = np.full(len(collection), -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    excluded = place[found["exclude"]]
    found |= {"exclude": excluded[excluded >= 0], "include": place[found["include"]]}
    return replace(constraints, **found), files


@dataclass(frozen=True)
class Listed:
    """Ids from a file, and ``where(position)``, how a message names the place of one."""

    ids: list[str]
    where: Callable[[int], str]


def read_ids(path: Path) -> Listed:
    """The ids that a file lists; :class:`DataError` for a table without a column of ids."""
    if path.suffix.lower() in TABLE_SUFFIXES and path.suffix.lower() != ".txt":
        table = read_table(path)
        return Listed(_id_cells(table), table.where)
    try:
        text = decode_text(path.read_bytes(), path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from error
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    lines = [(number, line) for number, line in lines if line]
    return Listed(
        [line for _, line in lines],
        lambda position: f"{path}, line {lines[position][0]}",
    )


def read_groups(path: Path, collection: Collection, rows: Rows) -> NDArray[np.object_]:
    """A group name for each item of the collection, None for those outside ``rows``; object [n]."""
    listed, names = listed_groups(path)
    found = rows_of(listed.ids, collection.ids, listed.where)
    groups = np.full(len(collection), None, dtype=object)
    for position, (row, name) in enumerate(zip(found.tolist(), names, strict=True)):
        if groups[row] not in (None, name):
            raise in_two_groups(listed, position, str(groups[row]))
        groups[row] = name
    _check_all_grouped(str(path), collection, groups, rows)
    return groups


def listed_groups(path: Path) -> tuple[Listed, list[str]]:
    """The ids that a table of groups lists, and the group of each."""
    table = read_table(path)
    ids, column = _id_cells(table), _group_column(table)
    names = ["" if name is None else str(name).strip() for name in table.values(column)]
    if "" in names:
        raise DataError(f"{table.where(names.index(''))}: no {column}. Fill it in.")
    return Listed(ids, table.where), names


def in_two_groups(listed: Listed, position: int, earlier: str) -> DataError:
    """The error for an entry whose item is in another group by an earlier one."""
    return DataError(
        f"{listed.where(position)}: {listed.ids[position]!r} is in the group {earlier!r} already. "
        "Remove one of the rows."
    )


def _id_cells(table: Table) -> list[str]:
    name = find_column(table.columns, "id") or find_column(table.columns, "path")
    if name is None:
        raise DataError(
            f"{table.path}: no column image_id; it has {', '.join(table.columns)}. Name one so, or "
            "give a .txt file with one id per line."
        )
    words = ["" if value is None else str(value).strip() for value in table.values(name)]
    if "" in words:
        raise DataError(
            f"{table.where(words.index(''))}: no {name}. Fill it in, or remove the row."
        )
    return words


def _group_column(table: Table) -> str:
    """The column called group, or the only one beside the ids."""
    ids = find_column(table.columns, "id") or find_column(table.columns, "path")
    others = [name for name in table.columns if name != ids]
    named = [name for name in others if name.strip().lower() == GROUP]
    if not named and len(others) != 1:
        raise DataError(
            f"{table.path}: no column {GROUP}; beside {ids} it has {', '.join(others) or 'none'}. "
            f"Call the one that is meant {GROUP!r}."
        )
    return (named or others)[0]


def _check_subset(
    collection: Collection, found: Rows, rows: Rows, where: Callable[[int], str]
) -> None:
    outside = np.flatnonzero(~np.isin(found, rows))
    if len(outside):
        row = int(found[outside[0]])
        raise DataError(
            f"{where(int(outside[0]))}: {str(collection.ids[row])!r} is in the subset "
            f"{collection.subsets[row]}, and picks come from train. Take it off the list."
        )


def _check_all_grouped(
    source: str, collection: Collection, groups: NDArray[np.object_], rows: Rows
) -> None:
    without = [row for row in rows.tolist() if groups[row] is None]
    if without:
        raise DataError(
            f"{source}: no group for {str(collection.ids[without[0]])!r} ({len(without)} such "
            "images). Every image of the train subset needs one; a group without a quota gets no "
            "picks."
        )
