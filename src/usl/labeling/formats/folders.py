"""Class folders: ``cat/1.jpg``, ``dog/2.jpg``, and ``unlabeled/`` for the rest.

A way to label with a file manager: move pictures from ``unlabeled/`` into a folder of their class,
then import. The form that torchvision's ``ImageFolder`` and most trainers read.

Names of classes that no folder can have are written as ``%2F``; see
:mod:`usl.labeling.exchange.names`. A hidden file lists pictures that a model has put where they
are; those that are still there are no person's answer.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from usl.core.errors import DataError
from usl.core.files import read_json
from usl.data.class_folders import split_classes, without_class
from usl.data.decode import EXTENSIONS
from usl.labeling.exchange.contract import Export, Given, import_command
from usl.labeling.exchange.names import UNLABELED, class_folders, class_of, split_ending
from usl.labeling.exchange.rows import METADATA

PICTURES = True
SUFFIX = ""

MACHINE = ".by-a-model.json"
ELSE = ("labels.json", "annotations.xml", "tasks.json")  # what lies beside other tools' images


def write(export: Export, out: Path, *, link: bool = False) -> list[str]:
    """Write every picture into the folder of its class; known classes without any stay empty.

    Parameters
    ----------
    link : link to the pictures instead of copying them.
    """
    used = {item.label for item in export.items if item.label}
    folders = class_folders(list(dict.fromkeys([*export.classes, *sorted(used)])))
    for folder in (*folders.values(), UNLABELED):
        (out / folder).mkdir()
    machine = []
    for index, item in enumerate(export.items):
        folder = folders[item.label] if item.label else UNLABELED
        name = f"{folder}/{export.shown.name(index)}"
        export.shown.put(index, out / name, link=link)
        if item.by_machine:
            machine.append(name)
        export.progress(index + 1, len(export.items), "images")
    if machine:
        (out / MACHINE).write_text(json.dumps(machine, ensure_ascii=False), encoding="utf-8")
    return [
        f"Move pictures into the folder of their class (make one for a new class; {UNLABELED} is "
        f"for the rest), then: {import_command(export, export.home)}"
    ]


def read(path: Path) -> list[Given]:
    """Read which picture lies in which class folder; none is opened, linked folders are not."""
    if not path.is_dir():
        raise DataError(f"{path}: no such folder.")
    listed = read_json(path / MACHINE) if (path / MACHINE).is_file() else []
    machine = {name for name in listed if isinstance(name, str)}
    folders = _class_folders(path)
    names = []
    for folder in folders:
        for here, below, files in os.walk(path / folder):
            below[:] = sorted(name for name in below if not name.startswith("."))
            names += [
                (Path(here) / file).relative_to(path).as_posix()
                for file in sorted(files)
                if not file.startswith(".") and split_ending(file)[1]
            ]
    given = []
    classes = split_classes(names, unwrap=len(folders) == 1)
    for name, (folder_name, inner) in zip(names, classes, strict=True):
        label = None if folder_name is None else class_of(folder_name)
        why = "" if label else without_class(name)
        if label and name in machine:
            label, why = None, "the model's label, unchanged"
        also = name.rpartition("/")[2]
        given.append(Given(str(path / name), inner, label, why, is_file=True, also=also))
    if not given:
        raise DataError(f"{path}: no class folders with images ({', '.join(EXTENSIONS)}) in it.")
    return given


def recognizes(path: Path) -> bool:
    """Tell a folder of folders of images, without the tables of other tools."""
    if not path.is_dir() or any((path / name).exists() for name in ELSE):
        return False
    if any(path.glob("annotations/*.json")):  # COCO's
        return False
    if any(path.glob(f"{METADATA}.*")) or any(path.glob(f"*/{METADATA}.*")):
        return False
    return any(
        split_ending(file)[1]
        for folder in _class_folders(path)
        for _, _, files in os.walk(path / folder)
        for file in files
    )


def _class_folders(path: Path) -> list[str]:
    """Folders that are no links and not hidden, sorted."""
    return sorted(
        entry.name
        for entry in os.scandir(path)
        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
    )
