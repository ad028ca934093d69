"""FiftyOne: a ``FiftyOneImageClassificationDataset``, ``data/`` and ``labels.json``.

The keys of ``labels.json`` are file names without ending, its values numbers of classes, or null
for what has no label. What FiftyOne exports in this form is read back; a label with a confidence
is a model's and no answer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from usl.core.errors import DataError
from usl.core.files import read_json
from usl.labeling.exchange.contract import Export, Given, import_command, text_or_none
from usl.labeling.exchange.names import split_ending

PICTURES = True
SUFFIX = ""

LABELS = "labels.json"


def write(export: Export, out: Path, *, link: bool = False) -> list[str]:
    """Write the pictures and one entry for each.

    Parameters
    ----------
    link : link to the pictures instead of copying them.
    """
    (out / "data").mkdir()
    labels = [item.label for item in export.items]
    classes = list(dict.fromkeys([*export.classes, *sorted({name for name in labels if name})]))
    numbers = {name: number for number, name in enumerate(classes)}
    entries = {}
    for index, label in enumerate(labels):
        name = export.shown.name(index)
        export.shown.put(index, out / "data" / name, link=link)
        entries[split_ending(name)[0]] = None if label is None else numbers[label]
        export.progress(index + 1, len(labels), "images")
    text = json.dumps({"classes": classes, "labels": entries}, ensure_ascii=False, indent=1)
    (out / LABELS).write_text(text + "\n", encoding="utf-8")
    kind = "fiftyone.types.FiftyOneImageClassificationDataset"
    return [
        "In Python: fiftyone.Dataset.from_dir("
        f"dataset_dir={str(export.home)!r}, dataset_type={kind})",
        f"Labels given there: dataset.export(FOLDER, dataset_type={kind}, label_field=...), then: "
        + import_command(export, "FOLDER"),
    ]


def read(path: Path) -> list[Given]:
    """Read ``labels.json``, or the one in a folder."""
    file = path / LABELS if path.is_dir() else path
    if not file.is_file():
        raise DataError(f"{file}: no such file.")
    content = read_json(file)
    if not isinstance(content, dict) or not isinstance(content.get("labels"), dict):
        raise DataError(f'{file}: expected {{"classes": [...], "labels": {{...}}}}.')
    classes = content.get("classes") or []
    if not isinstance(classes, list):
        raise DataError(f"{file}: classes should be a list of names.")
    given = []
    for name, target in content["labels"].items():
        where = f"{file}, {name!r}"
        label, why = _label(target, classes, where)
        given.append(Given(where, name, label=label, why=why, is_file=True))
    return given


def recognizes(path: Path) -> bool:
    """Tell a folder with ``labels.json``, or a JSON file with labels by file name."""
    file = path / LABELS if path.is_dir() else path
    if file.suffix.lower() != ".json" or not file.is_file():
        return False
    with open(file, encoding="utf-8", errors="replace") as handle:
        if not handle.read(4096).lstrip().startswith("{"):
            return False
    try:
        content = read_json(file)
    except DataError:
        return False
    return isinstance(content, dict) and isinstance(content.get("labels"), dict)


def _label(target: Any, classes: list[Any], where: str) -> tuple[str | None, str]:
    """The class of an entry, or why there is none."""
    if isinstance(target, list):
        if len(target) != 1:
            return None, f"{len(target)} labels" if target else "no label"
        target = target[0]
    if isinstance(target, dict):
        if target.get("confidence") is not None:
            return None, "a model's label"
        target = target.get("label")
    if isinstance(target, int) and not isinstance(target, bool) and classes:
        if not 0 <= target < len(classes):
            raise DataError(f"{where}: class {target} of {len(classes)}.")
        target = classes[target]
    label = text_or_none(target, where)
    return label, "" if label else "no label"
