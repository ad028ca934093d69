"""What Label Studio's JSON says: tasks with their annotations, single annotations, flat records.

- The export "JSON": a list of tasks, each with ``data`` and ``annotations`` (``completions`` before
  version 1.0).
- A target storage, and the folder ``completions`` of old versions: a file for each task, or for
  each annotation with its ``task`` inside, often without an ending.
- "JSON-MIN": a list of flat records, the task's data with the answer among them; and any other
  list of records with a name and a label.

Keys of the data and names of controls are whatever the project calls them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from usl.core.errors import DataError
from usl.data.columns import find_column
from usl.data.tables import Table
from usl.labeling.exchange.addresses import is_picture
from usl.labeling.exchange.contract import Given
from usl.labeling.exchange.label_value import NONE, one_label
from usl.labeling.exchange.roles import is_studio
from usl.labeling.exchange.rows import given_rows, person, seconds_or_none

ANSWERS = ("annotations", "completions")
TIMES = ("updated_at", "created_at")
LABEL, PICTURE = "label", "image"  # as the interface that we write calls them
HEAD = 1 << 16  # characters, in which a file shows what it is


def read_tasks(path: Path) -> list[Given]:
    """Everything that a file, or the files of a folder, say.

    Raises :class:`DataError` naming the file that is none of these forms.
    """
    files = task_files(path) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path}: no file in it holds tasks of Label Studio.")
    return [given for file in files for given in _read_file(file)]


def holds_tasks(path: Path) -> bool:
    """Whether a file, or a folder of files, is of one of these forms."""
    if path.is_dir():
        return bool(task_files(path))
    return path.suffix.lower() in (".json", "") and path.is_file() and _is_tasks(path)


def task_files(folder: Path) -> list[Path]:
    """The files of a folder that hold tasks; those of a storage have no ending."""
    files = sorted(file for file in folder.rglob("*") if not file.name.startswith("."))
    return [file for file in files if file.is_file() and holds_tasks(file)]


def _is_tasks(path: Path) -> bool:
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as handle:
            if not handle.read(HEAD).lstrip().startswith(("[", "{")):
                return False
        entries = _entries(path)
    except (DataError, OSError):
        return False
    first = entries[0] if entries else {}
    return "data" in first or _is_annotation(first) or _is_record(first)


def _is_annotation(entry: dict[str, Any]) -> bool:
    """Whether it is an annotation by itself, with its task in it."""
    return "result" in entry and isinstance(entry.get("task"), dict)


def _is_record(entry: dict[str, Any]) -> bool:
    names = [str(name) for name in entry]
    named = any(find_column(names, role) for role in ("id", "path"))
    return is_studio(names) or (named and find_column(names, "label") is not None)


def _read_file(path: Path) -> Iterator[Given]:
    entries = _entries(path)
    flat = []
    for number, entry in enumerate(entries, start=1):
        if _is_annotation(entry):
            task = entry["task"]
            where = f"{path}, annotation {entry.get('id', number)}"
            yield from given_by(task, [entry], where)
        elif "data" in entry:
            where = f"{path}, task {entry.get('id', number)}"
            yield from given_by(entry, _annotations(entry), where)
        else:
            flat.append((number, entry))
    if flat:
        names = dict.fromkeys(str(name) for _, record in flat for name in record)
        columns = {name: [record.get(name) for _, record in flat] for name in names}
        numbers = np.array([number for number, _ in flat], dtype=np.int64)
        yield from given_rows(Table(path, columns, numbers, unit="entry"))


def _entries(path: Path) -> list[dict[str, Any]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not valid JSON ({error}). Export it again.") from error
    if isinstance(found, dict) and ("data" in found or _is_annotation(found)):
        found = [found]
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise DataError(f"{path}: not a list of tasks. Export as JSON or JSON-MIN.")
    return found


def _annotations(task: dict[str, Any]) -> list[dict[str, Any]]:
    """A task's annotations, under their name of any version."""
    held = (task.get(name) for name in ANSWERS)
    found = chain.from_iterable(one for one in held if isinstance(one, list))
    return [one for one in found if isinstance(one, dict)]


def given_by(
    task: dict[str, Any], annotations: Sequence[dict[str, Any]], where: str
) -> Iterator[Given]:
    """What annotations of a task say: one entry each; one without a label where there is none."""
    data = task.get("data")
    data = data if isinstance(data, dict) else {}
    word, address = data.get("image_id"), _picture(data)
    named = word is not None and str(word) != ""
    name, also = (str(word), address) if named else (address, "")
    if not annotations:
        yield Given(where, name, why="no annotation", is_file=not named, also=also)
    for answer in annotations:
        label, why = _chosen(answer)
        times = (str(answer[key]) for key in TIMES if answer.get(key))
        yield Given(
            where,
            name,
            label=label,
            why=why,
            is_file=not named,
            also=also,
            annotator=person(answer.get("completed_by")),
            seconds=seconds_or_none(answer.get("lead_time")),
            time=next(times, ""),
        )


def _picture(data: dict[str, Any]) -> str:
    """The address of a task's picture, under whatever key it is."""
    held = {key: v[0] if isinstance(v, list) and len(v) == 1 else v for key, v in data.items()}
    known = find_column(held, "path")
    if known is not None and isinstance(held[known], str) and held[known]:
        return str(held[known])
    pictures = [value for value in held.values() if is_picture(value)]
    texts = [value for value in held.values() if isinstance(value, str) and value]
    return next(iter([*pictures, *texts]), "")


def _chosen(answer: dict[str, Any]) -> tuple[str | None, str]:
    """The one label of an annotation, or why there is none.

    The control that we write, ``label``, comes first; of others there must be one with an answer.
    """
    if answer.get("was_cancelled") or answer.get("skipped"):
        return None, "skipped by the annotator"
    said: dict[str, list[Any]] = {}
    result = answer.get("result")
    for region in result if isinstance(result, list) else []:
        if isinstance(region, dict) and region.get("type", "choices") in ("choices", "taxonomy"):
            value = region.get("value")
            control = str(region.get("from_name"))
            said.setdefault(control, []).append(value if isinstance(value, dict) else {})
    found = {control: one_label(values) for control, values in said.items()}
    found = {control: one for control, one in found.items() if one[1] != NONE}
    if LABEL in found:
        return found[LABEL]
    if len({label for label, _ in found.values()}) > 1:
        return None, f"answers to {len(found)} questions: {', '.join(found)}"
    return next(iter(found.values()), (None, NONE))
