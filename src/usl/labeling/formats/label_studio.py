"""Label Studio: ``tasks.json`` and ``config.xml``; its JSON and JSON-MIN are read back.

The pictures stay where they are. Label Studio shows files of its own machine as
``/data/local-files/?d=PATH``, where PATH is relative to a document root named in its environment
and lies in a folder added as local storage, which must be below that root, not the root itself.
The start command and the storage path are part of the result's advice. Pictures that are no
files are written beside the tasks as PNG.

A task carries ``image_id``; on the way back it is matched by that, never by its number or place.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from usl.core.errors import DataError, UsageError
from usl.labeling.exchange.contract import Export, Given, Item, class_list, import_command
from usl.labeling.exchange.rows import seconds_or_none
from usl.labeling.exchange.xml_text import attribute

PICTURES = True
SUFFIX = ""

LOCAL_FILES = "/data/local-files/?d="
TASKS, CONFIG = "tasks.json", "config.xml"
NAME, SHOWN, HOTKEYS = "label", "image", 9
ENVIRONMENT = (
    "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT="
)


def write(
    export: Export,
    out: Path,
    *,
    classes: str | None = None,
    predictions: bool = True,
    document_root: str | None = None,
    prefix: str | None = None,
) -> list[str]:
    """Write tasks in the order of the picks, and the labelling interface.

    Parameters
    ----------
    classes : classes to offer first ("cat,dog"), besides those the run knows; the first nine get
        the keys 1 to 9.
    predictions : show the model's labels as pre-annotations, where the run is trained.
    document_root : the folder that Label Studio serves files from; the default is the one above
        the images.
    prefix : what stands before each path instead of /data/local-files/?d=, as
        https://host/images/.
    """
    offered = class_list(export, classes)
    pictures = export.shown
    own = [pictures.path(index) is None for index in range(len(export.items))]
    if any(own):
        (out / "images").mkdir()
    files = []
    for index, written in enumerate(own):
        name = pictures.name(index)
        if written:
            pictures.put(index, out / "images" / name)
        files.append(export.home / "images" / name if written else pictures.path(index))
        export.progress(index + 1, len(own), "tasks")
    paths = [Path(os.path.abspath(file)) for file in files if file is not None]
    storage = Path(os.path.commonpath([path.parent for path in paths]))
    root = Path(os.path.abspath(document_root)) if document_root else storage.parent
    if not storage.is_relative_to(root) or (storage == root and prefix is None):
        raise UsageError(
            f"document_root: {root} must be a folder above the images' own, {storage}: Label "
            "Studio serves folders below it alone."
        )
    known = set(offered)
    offered += sorted({i.prediction for i in export.items if i.prediction} - known)
    tasks = [
        _task(item, _address(path.relative_to(root), prefix), export.model, predictions)
        for item, path in zip(export.items, paths, strict=True)
    ]
    (out / CONFIG).write_text(_config(offered), encoding="utf-8")
    text = json.dumps(tasks, ensure_ascii=False, indent=1, allow_nan=False)
    (out / TASKS).write_text(text + "\n", encoding="utf-8")
    return _next_steps(export, root, storage, prefix)


def read(path: Path) -> list[Given]:
    """Read an export of either kind: one entry per annotation, skipped ones without a label."""
    path = path / TASKS if path.is_dir() else path
    return [
        given
        for number, entry in enumerate(_entries(path), start=1)
        for given in (_annotations if "data" in entry else _flat)(entry, path, number)
    ]


def recognizes(path: Path) -> bool:
    """Tell a JSON list whose first entry is a task, or a flat task with an answer."""
    path = path / TASKS if path.is_dir() else path
    if path.suffix.lower() != ".json" or not path.is_file():
        return False
    with open(path, encoding="utf-8-sig", errors="replace") as handle:
        if not handle.read(4096).lstrip().startswith("["):
            return False
    try:
        entries = _entries(path)
    except DataError:
        return False
    first = entries[0] if entries else {}
    return "data" in first or "annotation_id" in first or {"image_id", NAME} <= first.keys()


def _config(classes: list[str]) -> str:
    """The labelling interface: one picture, one choice, keys on the first nine."""
    choices = "".join(
        f"    <Choice value={attribute(name)}"
        + (f' hotkey="{number}"' if number <= HOTKEYS else "")
        + "/>\n"
        for number, name in enumerate(classes, start=1)
    )
    return (
        f'<View>\n  <Image name="{SHOWN}" value="$image" zoom="true"/>\n'
        f'  <Choices name="{NAME}" toName="{SHOWN}" choice="single" showInline="true">\n'
        f"{choices}  </Choices>\n</View>\n"
    )


def _task(item: Item, address: str, model: str | None, predictions: bool) -> dict[str, Any]:
    data = {
        "image": address,
        "image_id": item.image_id,
        "subset": item.subset,
        "rank": item.rank,
        "score": item.score,
    }
    task: dict[str, Any] = {"data": data}
    if item.label is not None and item.source == "human":
        task["annotations"] = [{"result": [_choice(item.label)]}]
    if item.prediction is not None and predictions:
        score = {} if item.confidence is None else {"score": round(item.confidence, 6)}
        guess = {"model_version": model, **score, "result": [_choice(item.prediction)]}
        task["predictions"] = [guess]
    return task


def _choice(label: str) -> dict[str, Any]:
    return {
        "from_name": NAME,
        "to_name": SHOWN,
        "type": "choices",
        "value": {"choices": [label]},
    }


def _address(path: Path, prefix: str | None) -> str:
    """The path behind the prefix, quoted but for storage addresses as ``s3://``, which are not."""
    prefix = LOCAL_FILES if prefix is None else prefix
    web = "://" not in prefix or prefix.startswith("http")
    return prefix + (quote(path.as_posix()) if web else path.as_posix())


def _next_steps(export: Export, root: Path, storage: Path, prefix: str | None) -> list[str]:
    home = export.home
    serve = (
        [
            f"Start Label Studio: {ENVIRONMENT}{shlex.quote(str(root))} label-studio start",
            "In the project's settings, under Cloud Storage, add source storage of the type Local "
            f"files with the absolute path {storage}; save it, do not sync it.",
        ]
        if prefix is None
        else []
    )
    return [
        *serve[:1],
        f"Create a project; under Labeling Setup, Custom template, paste {home / 'config.xml'}.",
        *serve[1:],
        f"Import {home / 'tasks.json'}. The order of the picks: sort the tasks by rank.",
        f"When done, export as JSON (or JSON-MIN), then: {import_command(export, 'FILE.json')}",
    ]


def _entries(path: Path) -> list[dict[str, Any]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not valid JSON ({error}). Export it again.") from error
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise DataError(f"{path}: not a list of tasks. Export as JSON or JSON-MIN.")
    return found


def _annotations(task: dict[str, Any], path: Path, number: int) -> Iterator[Given]:
    """The annotations of a task in the full form."""
    image = _image(task["data"] if isinstance(task["data"], dict) else {})
    where = f"{path}, task {task.get('id', number)}"
    answers = [a for a in task.get("annotations") or [] if isinstance(a, dict)]
    if not answers:
        yield _given(where, image, (None, "no annotation"), {}, None)
    for answer in answers:
        yield _given(where, image, _chosen(answer), answer, answer.get("completed_by"))


def _chosen(answer: dict[str, Any]) -> tuple[str | None, str]:
    """The one label of an annotation, or why there is none."""
    if answer.get("was_cancelled") or answer.get("skipped"):
        return None, "skipped by the annotator"
    choices = [
        (region.get("from_name"), (region.get("value") or {}).get("choices") or [])
        for region in answer.get("result") or []
        if isinstance(region, dict) and region.get("type", "choices") == "choices"
    ]
    named = [found for source, found in choices if source == NAME]
    return _single(list(chain(*(named or [found for _, found in choices]))))


def _single(choices: list[Any]) -> tuple[str | None, str]:
    labels = list(dict.fromkeys(str(choice).strip() for choice in choices))
    if len(labels) == 1 and labels[0]:
        return labels[0], ""
    return None, f"{len(labels)} choices: {', '.join(labels)}" if labels else "no label"


def _flat(record: dict[str, Any], path: Path, number: int) -> Iterator[Given]:
    """One annotation in JSON-MIN: the task's data with the answer among them."""
    value = record.get(NAME, record.get("choice"))
    if isinstance(value, dict):
        value = value.get("choices")
    choices = value if isinstance(value, list) else [] if value is None else [value]
    where = f"{path}, entry {number}"
    yield _given(where, _image(record), _single(choices), record, record.get("annotator"))


def _given(
    where: str,
    image: tuple[str, bool],
    chosen: tuple[str | None, str],
    answer: dict[str, Any],
    annotator: Any,
) -> Given:
    """An answer with who gave it, when, and in what time."""
    return Given(
        where,
        image[0],
        *chosen,
        is_file=image[1],
        annotator=_person(annotator),
        seconds=seconds_or_none(answer.get("lead_time")),
        time=str(answer.get("updated_at") or answer.get("created_at") or ""),
    )


def _image(data: dict[str, Any]) -> tuple[str, bool]:
    """The image id of a task; else the path in the address of its picture, and True."""
    if data.get("image_id") is not None:
        return str(data["image_id"]), False
    address = str(data.get("image") or "")
    base, mark, path = address.partition("?d=")
    return unquote(path if mark else base), True


def _person(who: Any) -> str:
    """What the tool calls an annotator: an address of e-mail, else its number."""
    if isinstance(who, dict):
        who = who.get("email") or who.get("username") or who.get("id")
    if isinstance(who, int):
        return f"label_studio:{who}"
    return str(who or "")
