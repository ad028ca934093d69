"""CIFAR-10 and CIFAR-100 as torchvision keeps them on disk.

On disk, in a folder or in the sub-folder of that name::

    cifar-10-batches-py/  data_batch_1 ... data_batch_5  test_batch  batches.meta
    cifar-100-python/     train  test  meta

Each file is a Python pickle of a dict: ``data`` uint8 [n, 3072] (red, green, blue planes of
32 x 32), ``labels`` or ``fine_labels`` [n]; the meta file holds the class names. A pickle can run
any program, so they are read by :mod:`usl.data.safe_pickle`. ids are ``train/00000`` to
``train/49999`` in torchvision's order, so that published index lists apply.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError
from usl.data.collection import Collection
from usl.data.columns import stacked
from usl.data.safe_pickle import load_pickle

PRIORITY = 10
SIDE = 32


@dataclass(frozen=True)
class Layout:
    """File and key names of one of the two sets."""

    folder: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    meta: str
    labels: str
    names: str


LAYOUTS = (
    Layout(
        folder="cifar-10-batches-py",
        train=tuple(f"data_batch_{number}" for number in range(1, 6)),
        test=("test_batch",),
        meta="batches.meta",
        labels="labels",
        names="label_names",
    ),
    Layout(
        folder="cifar-100-python",
        train=("train",),
        test=("test",),
        meta="meta",
        labels="fine_labels",
        names="fine_label_names",
    ),
)


def found(path: Path) -> list[tuple[Layout, Path]]:
    """The sets in a folder, or in its sub-folders of their usual names."""
    return [
        (layout, folder)
        for layout in LAYOUTS
        for folder in (path, path / layout.folder)
        if (folder / layout.meta).is_file() and (folder / layout.train[0]).is_file()
    ]


def matches(path: Path) -> bool:
    """Tell whether the folder holds one of the two sets."""
    return bool(found(path))


def read(path: Path) -> Collection:
    """Load all images (about 180 MB)."""
    sets = found(path)
    if len(sets) > 1:
        folders = " and ".join(str(folder) for _, folder in sets)
        raise DataError(f"{path}: holds two data sets, {folders}. Name one of them.")
    layout, folder = sets[0]
    names = load_pickle(folder / layout.meta).get(layout.names)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{folder / layout.meta}: no list of class names {layout.names!r}.")
    parts = []
    for subset, files in (("train", layout.train), ("test", layout.test)):
        batches = [_read_batch(folder / file, layout.labels) for file in files]
        images = np.concatenate([images for images, _ in batches])
        parts.append((subset, images, [label for _, labels in batches for label in labels]))
    return stacked(parts, source=str(path), kind="cifar", names=names)


def _read_batch(path: Path, key: str) -> tuple[NDArray[np.uint8], list[Any]]:
    """Images uint8 [n, 32, 32, 3] and labels [n] of one file."""
    batch = load_pickle(path)
    data, labels = batch.get("data"), batch.get(key)
    if not isinstance(data, np.ndarray) or data.ndim != 2 or data.shape[1] != 3 * SIDE * SIDE:
        raise DataError(f"{path}: no uint8 array 'data' [n, {3 * SIDE * SIDE}]. Fetch it again.")
    if not isinstance(labels, list) or len(labels) != len(data):
        raise DataError(f"{path}: no list {key!r} of {len(data)} labels. Fetch it again.")
    return data.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1), labels
