"""MedMNIST's ``.npz`` files (2-D sets).

On disk, one archive with ``train_images``, ``train_labels``, and the same for ``val`` and ``test``:
uint8 [n, h, w] or [n, h, w, 3], and integers [n, 1]. ids are ``train/00000``, ``val/00000``, ...
Labels are numbers as text, because the file holds no names; the labels of multi-label sets
(ChestMNIST: [n, 14]) are left out, because an item of a collection has one label at most.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError
from usl.core.npz import read_npz
from usl.data.arrays import npz_names
from usl.data.collection import SUBSETS, Collection
from usl.data.columns import stacked

PRIORITY = 10


def matches(path: Path) -> bool:
    """Tell whether the archive holds ``train_images``."""
    return path.suffix.lower() == ".npz" and "train_images" in npz_names(path)


def read(path: Path) -> Collection:
    """Load all images of all subsets."""
    names = [f"{subset}_{what}" for subset in SUBSETS for what in ("images", "labels")]
    arrays = read_npz(path, names)
    _check_kinds(path, arrays)
    parts = [
        (subset, arrays[f"{subset}_images"], _one_label_each(path, subset, arrays))
        for subset in SUBSETS
        if f"{subset}_images" in arrays
    ]
    several = [
        f"{path}: {subset}_labels hold several labels to an image; they are left out."
        for subset, _, labels in parts
        if labels is None and f"{subset}_labels" in arrays
    ]
    return replace(stacked(parts, source=str(path), kind="medmnist"), notes=tuple(several))


def _check_kinds(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Refuse what is no table of images or of labels."""
    for name, array in arrays.items():
        images = name.endswith("_images")
        sound = array.dtype == np.uint8 and array.ndim in (3, 4) if images else array.ndim in (1, 2)
        if not sound:
            needs = "uint8 [n, h, w(, 3)]" if images else "one label to a row"
            raise DataError(
                f"{path}: {name} should be {needs}, this is {array.dtype} {list(array.shape)}."
            )


def _one_label_each(path: Path, subset: str, arrays: dict[str, NDArray[Any]]) -> list[Any] | None:
    """Labels as a list [n]; None if there are none or several to an image."""
    images, labels = arrays[f"{subset}_images"], arrays.get(f"{subset}_labels")
    if labels is None or (labels.ndim == 2 and labels.shape[1] > 1):
        return None
    if len(labels) != len(images):
        raise DataError(f"{path}: {len(images)} {subset}_images but {len(labels)} {subset}_labels.")
    return list(labels.ravel().tolist())
