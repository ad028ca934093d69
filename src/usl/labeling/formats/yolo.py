"""YOLO classification: ``train/cat/1.jpg``, ``val/cat/2.jpg``, as Ultralytics reads it.

https://docs.ultralytics.com/datasets/classify/ says the layout. The number of a class is its
folder's place in the alphabet, so each subset has a folder for every class, empty or not. Images
without a label are left out. :mod:`usl.labeling.formats.folders` reads it back.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from usl.core.errors import DataError
from usl.core.hashing import bytes_digest
from usl.core.parameters import Between
from usl.labeling.exchange.contract import Export, Item
from usl.labeling.exchange.names import class_folders
from usl.labeling.formats.folders import MACHINE

PICTURES = True
SUFFIX = ""


def write(
    export: Export,
    out: Path,
    *,
    val: Annotated[float, Between(0, 1)] = 0.2,
    link: bool = False,
) -> list[str]:
    """Write the labelled pictures by subset and class.

    Parameters
    ----------
    val : where no image of the subset val is labelled, the share of each class's train images that
        is put there, 0 for none: training with Ultralytics needs some.
    link : link to the pictures instead of copying them.
    """
    labeled = [index for index, item in enumerate(export.items) if item.label]
    if not labeled:
        raise DataError(
            "No image to be exported has a label, and these folders hold labelled ones alone. "
            "Export others: --what labeled, or --what predicted"
        )
    subsets = {index: export.items[index].subset for index in labeled}
    held = [] if "val" in subsets.values() else held_out(export.items, labeled, val)
    subsets |= dict.fromkeys(held, "val")
    folders = class_folders(sorted({str(export.items[index].label) for index in labeled}))
    for subset in sorted({"train", *subsets.values()}):
        for folder in folders.values():
            (out / subset / folder).mkdir(parents=True)
    machine = []
    for done, (index, subset) in enumerate(subsets.items(), start=1):
        item = export.items[index]
        name = f"{subset}/{folders[str(item.label)]}/{export.shown.name(index)}"
        export.shown.put(index, out / name, link=link)
        if item.by_machine:
            machine.append(name)
        export.progress(done, len(labeled), "images")
    if machine:
        (out / MACHINE).write_text(json.dumps(machine, ensure_ascii=False), encoding="utf-8")
    notes = []
    if left := len(export.items) - len(labeled):
        notes.append(f"Left out, for they have no label: {left:,}.")
    if held:
        notes.append(f"Put into val, which was empty, of the train images: {len(held):,}.")
    home = shlex.quote(str(export.home))
    return [*notes, f"Then: yolo classify train model=yolo11n-cls.pt data={home}"]


def held_out(items: Sequence[Item], labeled: list[int], share: float) -> list[int]:
    """The given share of the train images of each class, rounded; one at least stays.

    Which ones their ids alone decide, so that they stay the same when labels come to it.
    """
    found: list[int] = []
    of_class: dict[str, list[int]] = {}
    for index in labeled:
        if items[index].subset == "train":
            of_class.setdefault(str(items[index].label), []).append(index)
    for own in of_class.values():
        own.sort(key=lambda index: bytes_digest(items[index].image_id.encode()))
        found += own[: min(len(own) - 1, round(share * len(own)))]
    return sorted(found)
