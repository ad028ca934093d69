"""Rows of table formats: one image each, with a label to fill in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from usl.core.errors import DataError
from usl.data.columns import find_column
from usl.data.tables import TABLE_SUFFIXES, TEXT_SUFFIXES, Table, column_names, read_table
from usl.labeling.exchange.contract import Export, Given, Item, import_command
from usl.labeling.exchange.label_value import one_label, whole_numbers
from usl.labeling.exchange.roles import chosen_class, is_studio, nearest, roles_of
from usl.run.split_csv import SWEPT

COLUMNS: dict[str, type] = {
    "image_id": str,
    "label": str,
    "state": str,
    "source": str,
    "subset": str,
    "rank": int,
    "score": float,
    "prediction": str,
    "confidence": float,
}
METADATA = "metadata"  # the stem of Hugging Face's tables
NUMBER = re.compile(r"\d+")
UNCHANGED = "the model's label, unchanged"


def columns_of(items: Sequence[Item]) -> dict[str, list[Any]]:
    """The columns of a table, None where there is nothing; those with nothing at all left out.

    The label is always there, to be filled in.
    """
    columns = {name: [getattr(item, name) or None for item in items] for name in COLUMNS}
    for name in ("score", "confidence"):  # of which 0 is a value
        columns[name] = [getattr(item, name) for item in items]
    return {
        name: values
        for name, values in columns.items()
        if name == "label" or any(value is not None for value in values)
    }


def arrow_table(columns: dict[str, list[Any]]) -> Any:
    """The columns with their types, as a pyarrow table."""
    import pyarrow as pa

    kinds = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    return pa.table(
        {name: pa.array(values, kinds[COLUMNS[name]]) for name, values in columns.items()}
    )


def next_steps(export: Export) -> list[str]:
    """What to do with a table."""
    command = import_command(export, export.home)
    return [f"Fill in the label column of {export.home}, then: {command}"]


def is_table(path: Path, suffixes: Sequence[str]) -> bool:
    """Whether a file with one of the suffixes has a column of labels and one of ids or files."""
    if path.suffix.lower() not in suffixes or not path.is_file():
        return False
    names = column_names(path)
    if path.stem == METADATA and "file_name" in names:
        return False  # Hugging Face's
    if find_column(names, "label") is not None:
        return is_studio(names) or any(find_column(names, role) for role in ("id", "path"))
    if not is_studio(names) and not any(find_column(names, role) for role in ("id", "path")):
        return False
    try:  # the answers may be in a column of any name, or one for each class
        table = read_table(path)
        roles_of({name: table.values(name) for name in table.columns}, str(path))
    except DataError:
        return is_studio(names)
    return True


def given_rows(table: Table) -> list[Given]:
    """What a table says, row by row.

    A label that is marked as a machine's (column ``source``), and still is what the column
    ``prediction`` says, is no person's answer.

    Raises
    ------
    DataError
        there is no column of labels, or none of ids or file names.
    """
    columns = {name: table.values(name) for name in table.columns}
    roles = roles_of(columns, str(table.path))
    spelled = {name.strip().lower(): name for name in columns}
    empty: list[Any] = [None] * len(table)
    typed = table.path.suffix.lower() not in TEXT_SUFFIXES

    def beside(name: str | None) -> list[Any]:
        return empty if name is None else columns[name]

    if roles.label is None:
        ones = [{name: columns[name][row] for name in roles.classes} for row in range(len(table))]
        found = [one_label(chosen_class(one)) for one in ones]
    else:
        found = [one_label(value, typed=typed) for value in columns[roles.label]]
    labels = [text for text, _ in found]
    labels = labels if typed else whole_numbers(labels)
    sources = beside(spelled.get("source"))
    predictions = [one_label(value, typed=typed)[0] for value in beside(spelled.get("prediction"))]
    people, seconds = beside(roles.people), beside(roles.seconds)
    ids, paths = list(map(_word, beside(roles.id))), list(map(_word, beside(roles.path)))
    numbered = not roles.studio and all(not word or NUMBER.fullmatch(word) for word in ids)
    given = []
    for row, ((_, why), text) in enumerate(zip(found, labels, strict=True)):
        source = _word(sources[row]).strip().lower()
        machine = source in ("predicted", "propagated")
        if machine and text and predictions[row] in (None, text):
            text, why = None, UNCHANGED
        by_file = bool(paths[row]) and (numbered or not ids[row])
        times = (_word(columns[name][row]).strip() for name in roles.times)
        given.append(
            Given(
                where=table.where(row),
                image=paths[row] if by_file else ids[row],
                label=text,
                why=why if text is None else "",
                is_file=by_file,
                also="" if by_file else paths[row],
                annotator=person(people[row]) if roles.studio else _word(people[row]),
                seconds=seconds_or_none(seconds[row]),
                time=next(filter(None, times), ""),
                number=ids[row] if by_file else "",
                swept=source == SWEPT,
            )
        )
    return given


def person(who: Any) -> str:
    """What Label Studio calls an annotator: an address of e-mail, else its number."""
    if isinstance(who, dict):
        who = who.get("email") or who.get("username") or who.get("id")
    if isinstance(who, int) or (isinstance(who, str) and who.strip().isdecimal()):
        return f"label_studio:{who}"
    return str(who or "")


def columns_note(path: Path) -> str:
    """The columns of a file that is a table, to end a refusal with; "" for any other."""
    if path.suffix.lower() not in TABLE_SUFFIXES or not path.is_file():
        return ""
    names = list(filter(None, column_names(path)))
    return f". Its columns are {', '.join(names)}.{nearest(names)}" if names else ""


def seconds_or_none(value: Any) -> float | None:
    """A duration as a number of seconds, or None for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 <= number < float("inf") else None


def _word(value: Any) -> str:
    """A cell as text; a whole number is one, though pandas made it 7.0 beside an empty cell."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float):
        return "" if value != value else str(int(value) if value.is_integer() else value)
    return "" if value is None else str(value)
