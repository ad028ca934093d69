"""Hugging Face: an ``imagefolder`` with ``metadata.csv``, a folder for each subset.

Every image is listed, those without a label with an empty one: images that the metadata leave out
vanish on loading. ``datasets`` guesses the types of a CSV, so labels such as ``007`` or ``NA``, and
subsets without any label, need ``metadata.parquet``; it is written where that is so, and where a
spreadsheet would run a text of the CSV as a formula.

``README.md`` says in its head that the labels are of a ``ClassLabel``: a folder that is loaded by
its path, ``load_dataset(FOLDER)``, has numbers of classes, by the loader ``imagefolder`` the names.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from usl.core.errors import DataError
from usl.data.columns import find_column
from usl.data.formulas import guarded
from usl.data.tables import TABLE_SUFFIXES, column_names, csv_text, read_table
from usl.labeling.exchange.contract import Export, Given, Item, import_command
from usl.labeling.exchange.rows import METADATA, given_rows

PICTURES = True
SUFFIX = ""

FILE, CARD = "file_name", "README.md"
SUBSETS = {"train": "train", "val": "validation", "test": "test"}
# What pandas takes for a missing value or a truth value instead of text.
WORDS = {"", "na", "n/a", "#na", "#n/a", "#n/a n/a", "<na>", "null", "none", "true", "false"}
WORDS |= {"-1.#ind", "1.#ind", "-1.#qnan", "1.#qnan"}  # of old C libraries


def write(
    export: Export,
    out: Path,
    *,
    table: Literal["auto", "csv", "parquet"] = "auto",
    link: bool = False,
) -> list[str]:
    """Write the pictures by subset, and a table of them in each subset's folder.

    Parameters
    ----------
    table : ``auto`` is csv, unless a label would be misread from it.
    link : link to the pictures instead of copying them.
    """
    rows: dict[str, list[dict[str, str | None]]] = {}
    for index, item in enumerate(export.items):
        folder = out / SUBSETS[item.subset]
        folder.mkdir(exist_ok=True)
        name = export.shown.name(index)
        export.shown.put(index, folder / name, link=link)
        rows.setdefault(folder.name, []).append({FILE: name, **_record(item)})
        export.progress(index + 1, len(export.items), "images")
    fault = _misread(rows)
    kind = table if table != "auto" else "parquet" if fault else "csv"
    for name, records in rows.items():
        _write_table(out / name / f"{METADATA}.{kind}", records)
    used = {record["label"] for records in rows.values() for record in records}
    names = list(dict.fromkeys([*export.classes, *sorted(filter(None, used))]))
    if names:
        (out / CARD).write_text(_card(names, list(next(iter(rows.values()))[0])), encoding="utf-8")
    notes = [f"{METADATA}.{kind} instead of .csv: {fault}."] if fault and table == "auto" else []
    if fault and table == "csv":
        notes = [f"Take care with {METADATA}.csv: {fault}. It is written as it is."]
    return [
        *notes,
        f"In Python: datasets.load_dataset({str(export.home)!r})",
        f"With labels filled in: {import_command(export, export.home)}",
    ]


def read(path: Path) -> list[Given]:
    """Read the metadata tables of a folder and its subsets' folders, or one table."""
    tables = _tables(path)
    if not tables:
        raise DataError(f"{path}: no {METADATA}.csv, .jsonl or .parquet with a column {FILE}.")
    return [given for table in tables for given in given_rows(read_table(table))]


def recognizes(path: Path) -> bool:
    """Tell metadata tables with file names and labels."""
    return any(find_column(column_names(table), "label") for table in _tables(path))


def _record(item: Item) -> dict[str, str | None]:
    return {
        "image_id": item.image_id,
        "label": item.label,
        "source": item.source or None,
        # a label that somebody has corrected is told by it from one that nobody has looked at
        "prediction": item.prediction,
    }


def _card(names: list[str], columns: list[str]) -> str:
    """The head of a data set card: YAML, of which JSON is a part, with the types of the columns."""
    kinds: dict[str, Any] = dict.fromkeys(["image", *columns[1:]], "string")
    kinds["image"] = "image"
    numbered = {str(number): name for number, name in enumerate(names)}
    kinds["label"] = {"class_label": {"names": numbered}}
    features = [{"name": name, "dtype": kind} for name, kind in kinds.items()]
    told = {
        "task_categories": ["image-classification"],
        "configs": [{"config_name": "default", "features": features}],  # what the loader goes by
        "dataset_info": {"features": features},  # and what the hub shows
    }
    text = json.dumps(told, ensure_ascii=False)
    text = "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)
    return f"---\n{text}\n---\n"


def _misread(rows: dict[str, list[dict[str, str | None]]]) -> str:
    """What ``datasets`` would misread in CSV; empty if nothing."""
    for key in next(iter(rows.values()))[0]:
        values = {subset: [r[key] for r in records if r[key]] for subset, records in rows.items()}
        filled = [subset for subset in values if values[subset]]
        if 0 < len(filled) < len(values):
            return f"a subset without any {key} would have another type than the others"
        for value in {value for found in values.values() for value in found if value}:
            if _looks_typed(value):
                return f"the {key} {value!r} would not stay text"
            if guarded(value) != value:
                return f"the {key} {value!r} would be a formula in a spreadsheet"
    return ""


def _looks_typed(value: str) -> bool:
    word = value.strip().lower()
    try:
        float(word.replace("_", "x"))
    except ValueError:
        return word in WORDS
    return True


def _write_table(path: Path, records: Sequence[dict[str, Any]]) -> None:
    """One row per image; a column that is empty throughout a CSV stays, for the label's sake."""
    import pyarrow as pa
    import pyarrow.parquet

    schema = pa.schema([(name, pa.string()) for name in records[0]])
    table = pa.Table.from_pylist(list(records), schema=schema)
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(table, path)
        return
    cells = [column.combine_chunks() for column in table.columns]
    text = csv_text(table.column_names, cells, as_written=table.column_names)
    path.write_text(text, encoding="utf-8", newline="")


def _tables(path: Path) -> list[Path]:
    """The metadata tables at ``path`` and one folder below."""
    if path.is_file():
        found = [path] if path.stem == METADATA else []
    else:
        found = [
            file
            for ending in TABLE_SUFFIXES
            for file in (path / f"{METADATA}{ending}", *path.glob(f"*/{METADATA}{ending}"))
        ]
    return sorted(file for file in found if file.is_file() and FILE in column_names(file))
