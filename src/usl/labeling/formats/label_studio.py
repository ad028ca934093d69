"""Label Studio: ``tasks.json`` and ``config.xml``; all that it exports as JSON is read back.

The pictures stay where they are. Label Studio shows files of its own machine as
``/data/local-files/?d=PATH``, where PATH is relative to a document root named in its environment
and lies in a folder added as local storage, which must be below that root, not the root itself.
The start command and the storage path are part of the result's advice. Pictures that no browser
shows (TIFF, HEIC, raw, or no files at all) are written beside the tasks as PNG, and then copies of
all others, too.

A task carries ``image_id``; on the way back it is matched by that, else by the address of its
picture, never by its number or place. What is read: :mod:`usl.labeling.exchange.studio_tasks`; its
CSV is read as a table.
"""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import quote

from usl.core.errors import UsageError
from usl.data.addresses import check_on_disk
from usl.labeling.exchange.contract import Export, Given, Item, class_list, import_command
from usl.labeling.exchange.names import split_ending
from usl.labeling.exchange.studio_tasks import LABEL as NAME
from usl.labeling.exchange.studio_tasks import PICTURE as SHOWN
from usl.labeling.exchange.studio_tasks import holds_tasks, read_tasks
from usl.labeling.exchange.xml_text import attribute

PICTURES = True
SUFFIX = ""

LOCAL_FILES = "/data/local-files/?d="
TASKS, CONFIG = "tasks.json", "config.xml"
HOTKEYS = 9
SHOWN_BY_BROWSERS = (  # https://developer.mozilla.org/docs/Web/Media/Guides/Formats/Image_types
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".pjpeg", ".pjp", ".png", ".apng"),
    *(".gif", ".webp", ".bmp", ".avif"),
)
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
    check_on_disk(export.home, "what Label Studio serves")
    offered = class_list(export, classes)
    pictures = export.shown
    count = len(export.items)
    drawn = [not _is_shown(pictures.path(index)) for index in range(count)]
    paths = []
    if any(drawn):  # then all of them: Label Studio serves one folder
        (out / "images").mkdir()
    for index, anew in enumerate(drawn):
        path = pictures.path(index)
        name = pictures.name(index)
        if anew:
            name = f"{split_ending(name)[0]}.png"
            pictures.draw(index, out / "images" / name)
        elif any(drawn):
            pictures.put(index, out / "images" / name)
        paths.append(export.home / "images" / name if any(drawn) or path is None else path)
        export.progress(index + 1, count, "tasks")
    paths = [Path(os.path.abspath(path)) for path in paths]
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
    """Read an export of any kind: one entry per annotation, skipped ones without a label."""
    return read_tasks(path)


def recognizes(path: Path) -> bool:
    """Tell tasks, annotations or flat records in JSON, in a file or in a folder of them."""
    return holds_tasks(path)


def _is_shown(path: Path | None) -> bool:
    """Whether every browser shows the file as it is."""
    return path is not None and path.suffix.lower() in SHOWN_BY_BROWSERS


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
    if item.label is not None and not item.by_machine:
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
