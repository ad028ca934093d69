"""COCO: ``images/``, and ``annotations/train.json`` with one category for each labelled image.

The form of COCO (https://cocodataset.org/#format-data: images, annotations, categories) without
boxes, as iNaturalist's competitions have it for classification. A file of boxes is read, too: an
image whose boxes are all of one category has that label.

Beyond the form, images carry ``usl_id``, and annotations that are a model's ``source`` and
``predicted_category_id``, by which one that somebody has corrected is told.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from usl.core.errors import DataError
from usl.core.files import read_json
from usl.core.version import __version__
from usl.labeling.exchange.contract import Export, Given, Item, import_command, text_or_none
from usl.labeling.exchange.rows import UNCHANGED
from usl.run.split_csv import SWEPT

PICTURES = True
SUFFIX = ""

PLACE = "annotations"
PARTS = ("images", "annotations", "categories")


def write(export: Export, out: Path, *, link: bool = False) -> list[str]:
    """Write the pictures, and for each subset the file of its annotations.

    Parameters
    ----------
    link : link to the pictures instead of copying them.
    """
    (out / "images").mkdir()
    (out / PLACE).mkdir()
    used = sorted({item.label for item in export.items if item.label})
    guesses = sorted({item.prediction for item in export.items if item.prediction})
    names = list(dict.fromkeys([*export.classes, *used, *guesses]))
    numbers = {name: number for number, name in enumerate(names, start=1)}
    parts: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for index, item in enumerate(export.items):
        number, name = index + 1, export.shown.name(index)
        width, height = export.shown.size(index)
        export.shown.put(index, out / "images" / name, link=link)
        part = parts.setdefault(item.subset, {"images": [], "annotations": []})
        picture = {"id": number, "file_name": name, "width": width, "height": height}
        part["images"].append({**picture, "usl_id": item.image_id})
        if item.label is not None:
            part["annotations"].append(_annotation(number, item, numbers))
        export.progress(number, len(export.items), "images")
    categories = [{"id": number, "name": name} for name, number in numbers.items()]
    info = {"description": "image classification, one category for each image"}
    info["version"] = f"usl {__version__}"
    for subset, part in parts.items():
        content = {"info": info, "licenses": [], **part, "categories": categories}
        text = json.dumps(content, ensure_ascii=False, indent=1, allow_nan=False)
        (out / PLACE / f"{subset}.json").write_text(text + "\n", encoding="utf-8")
    return [f"With labels filled in: {import_command(export, export.home)}"]


def read(path: Path) -> list[Given]:
    """Read a file, or the files of a folder: one entry for each image."""
    files = _files(path) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path}: no JSON file with {', '.join(PARTS)} in it.")
    return [given for file in files for given in _read_file(file)]


def recognizes(path: Path) -> bool:
    """Tell JSON with images, annotations and categories, in a file or a folder of them."""
    if path.is_dir():
        return bool(_files(path))
    return _is_coco(path)


def _annotation(number: int, item: Item, numbers: dict[str, int]) -> dict[str, Any]:
    """The category of one image, marked where it is a model's."""
    category = numbers[str(item.label)]
    found: dict[str, Any] = {"id": number, "image_id": number, "category_id": category}
    if item.by_machine:
        found |= {"source": item.source, "predicted_category_id": category}
        found |= {} if item.confidence is None else {"score": round(item.confidence, 6)}
    elif item.source == SWEPT:
        found["source"] = SWEPT
    return found


def _files(folder: Path) -> list[Path]:
    """The files of annotations in a folder, and in its ``annotations``."""
    found = sorted([*folder.glob("*.json"), *folder.glob(f"{PLACE}/*.json")])
    return [file for file in found if not file.name.startswith(".") and _is_coco(file)]


def _is_coco(path: Path) -> bool:
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    with open(path, encoding="utf-8-sig", errors="replace") as handle:
        if not handle.read(4096).lstrip().startswith("{"):
            return False
    try:
        content = read_json(path)
    except DataError:
        return False
    return isinstance(content, dict) and all(isinstance(content.get(p), list) for p in PARTS)


def _read_file(file: Path) -> list[Given]:
    content = read_json(file)
    if not isinstance(content, dict) or not all(isinstance(content.get(p), list) for p in PARTS):
        raise DataError(f"{file}: expected lists of {', '.join(PARTS)}.")
    names = {}
    for number, one in enumerate(content["categories"], start=1):
        where = f"{file}, category {number}"
        key = _number(one, "id", where)
        names[key] = text_or_none(one.get("name"), where)
    said: dict[Any, list[dict[str, Any]]] = {}
    for number, one in enumerate(content["annotations"], start=1):
        where = f"{file}, annotation {number}"
        if _number(one, "category_id", where) not in names:
            raise DataError(f"{where}: no category has the id {one['category_id']!r}.")
        said.setdefault(_number(one, "image_id", where), []).append(one)
    given = []
    for number, one in enumerate(content["images"], start=1):
        where = f"{file}, image {number}"
        key = _number(one, "id", where)
        name, word = str(one.get("file_name") or ""), one.get("usl_id")
        if not name and word is None:
            raise DataError(f"{where}: it has no file_name.")
        annotations = said.pop(key, [])
        label, why = _label(annotations, names)
        swept = bool(annotations) and all(one.get("source") == SWEPT for one in annotations)
        named = isinstance(word, str)
        given.append(
            Given(
                where,
                word if named else name,
                label,
                why,
                is_file=not named,
                also=name,
                swept=swept,
            )
        )
    if said:
        raise DataError(f"{file}: no image has the id {next(iter(said))!r} of an annotation.")
    return given


def _label(annotations: list[dict[str, Any]], names: dict[Any, str | None]) -> tuple[Any, str]:
    """The one category that people gave, or why there is none."""
    own = [one for one in annotations if not _by_machine(one)]
    if not own:
        return None, UNCHANGED if annotations else "no label"
    found = {names[one["category_id"]] for one in own}
    if len(found) > 1:
        return None, f"{len(found)} labels"
    label = found.pop()
    return label, "" if label else "no label"


def _by_machine(annotation: dict[str, Any]) -> bool:
    """Whether it is a model's, and still is what the model said."""
    told = annotation.get("predicted_category_id")
    if annotation.get("source") in ("predicted", "propagated"):
        return told is None or told == annotation["category_id"]
    return told is None and annotation.get("score") is not None  # COCO's results have scores


def _number(one: Any, key: str, where: str) -> Any:
    """An id of an entry; DataError where it has none that could be one."""
    if not isinstance(one, dict) or not isinstance(one.get(key), int | str):
        raise DataError(f"{where}: it has no {key}.")
    return one[key]
