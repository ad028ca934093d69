"""Several data sets in one folder: refused by name, because only one of them could be read."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from usl.core.errors import DataError
from usl.data.endings import EXTENSIONS
from usl.data.readers import cifar, idx, medmnist

SHOWN = 6


def check_one(path: Path) -> None:
    """Refuse a folder of several sets of idx files, CIFAR batches or MedMNIST archives.

    Also one whose folders hold such sets while it holds neither images nor a set itself.
    """
    if not path.is_dir() or not os.access(path, os.R_OK | os.X_OK):
        return
    found = data_sets(path)
    if len(found) > 1 and not (_is_of_images(path) and not cifar.matches(path)):
        if len(cifar.found(path)) == len(found):
            return  # whose reader names the folders
        raise DataError(
            f"{path}: holds {len(found)} data sets, {_listed(found)}. Name one of them; idx files "
            "of each set need a folder of their own."
        )
    if not found and not _is_of_images(path):
        inner = {f: data_sets(path / f) for f in _folders(path) if os.access(path / f, os.R_OK)}
        inside = [str(Path(folder) / name) for folder, names in inner.items() for name in names]
        if inside:
            folders = [folder for folder, names in inner.items() if names]
            raise DataError(
                f"{path}: holds data sets in its folders, {_listed(inside)}. Name one: "
                f"{path / folders[0]}."
            )


def data_sets(path: Path) -> list[str]:
    """The names of the sets of known layouts in a folder."""
    archives = sorted(file for file in path.glob("*.npz") if medmnist.matches(file))
    return [
        *[folder.name if folder != path else layout.folder for layout, folder in cifar.found(path)],
        *idx.sets(path),
        *[file.name for file in archives],
    ]


def _folders(path: Path) -> list[str]:
    found = [name for name in os.listdir(path) if not name.startswith(".")]
    return sorted(name for name in found if os.path.isdir(path / name))[:100]


def _is_of_images(path: Path) -> bool:
    """Whether a folder holds an image, or a folder of it does."""
    for folder in (path, *(path / name for name in _folders(path)[:3])):
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            if any(entry.name.lower().endswith(EXTENSIONS) for entry in entries):
                return True
    return False


def _listed(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
