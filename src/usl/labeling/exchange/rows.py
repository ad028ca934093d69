"""The rows that the table formats share: one image each, the label to fill in beside the id."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from usl.core.errors import DataError
from usl.data.columns import find_column, is_number, label_texts
from usl.data.labels import one_label
from usl.data.tables import TEXT_SUFFIXES, Table, column_names
from usl.labeling.exchange.contract import Export, Given, Item, import_command

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
    return find_column(names, "label") is not None and _id_column(names) is not None


def given_rows(table: Table) -> list[Given]:
    """What a table says, row by row.

    A label that is marked as a machine's (column ``source``), and still is what the column
    ``prediction`` says, is no person's answer.

    Raises
    ------
    DataError
        there is no column of labels, or none of ids or file names.
    """
    label, named = find_column(table.columns, "label"), _id_column(table.columns)
    if label is None or named is None:
        raise DataError(
            f"{table.path}: needs a column image_id (or path, file_name) and a column label; it "
            f"has {', '.join(table.columns) or 'none'}."
        )
    column, is_file = named
    images = table.values(column)
    # text in a table that has types is what a person wrote, "-1" and "1.0" too
    typed = table.path.suffix.lower() not in TEXT_SUFFIXES
    answers = [
        (value.strip(), "")
        if typed and isinstance(value, str) and is_number(value)
        else one_label(value)
        for value in table.values(label)
    ]
    spelled = {name.strip().lower(): name for name in table.columns}

    def beside(name: str) -> list[Any]:
        found = spelled.get(name)
        return [None] * len(table) if found is None else table.values(found)

    sources, predictions = beside("source"), label_texts(beside("prediction"))
    annotators, seconds = beside("annotator"), beside("lead_time")
    times = beside("updated_at")
    given = []
    for row, (image, (text, fault)) in enumerate(zip(images, answers, strict=True)):
        machine = _word(sources[row]).lower() in ("predicted", "propagated")
        why = "" if text else fault or "no label"
        if machine and text and predictions[row] in (None, text):
            text, why = None, UNCHANGED
        given.append(
            Given(
                where=table.where(row),
                image=_word(image),
                label=text,
                why=why,
                is_file=is_file,
                annotator=_word(annotators[row]),
                seconds=seconds_or_none(seconds[row]),
                time=_word(times[row]),
            )
        )
    return given


def seconds_or_none(value: Any) -> float | None:
    """A duration as a number of seconds, or None for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if 0 <= number < float("inf") else None


def _id_column(names: Any) -> tuple[str, bool] | None:
    """The column that names the image, and whether it holds files instead of ids."""
    for role in ("id", "path"):
        if (found := find_column(names, role)) is not None:
            return found, role == "path"
    return None


def _word(value: Any) -> str:
    return "" if value is None else str(value)
