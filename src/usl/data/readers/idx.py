"""MNIST-style idx files, gzipped or not.

On disk, in one folder (or its sub-folder ``raw``, as torchvision unpacks them)::

    train-images-idx3-ubyte[.gz]   t10k-images-idx3-ubyte[.gz]
    train-labels-idx1-ubyte[.gz]   t10k-labels-idx1-ubyte[.gz]

An idx file is big-endian: two zero bytes, a type byte (8: uint8), the number of dimensions, that
many uint32 sizes, then the values. The t10k files, the label files, or all but one image file may
be missing. ids are ``train/00000`` and ``test/00000``, in the files' order; labels are numbers as
text, because the files hold no class names.
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError
from usl.core.unpacked import ROW, check_unpacked
from usl.data.collection import Collection
from usl.data.columns import stacked

PRIORITY = 10
NAME = re.compile(r"^(.*[-_])?(train|t10k|test)-images[-.]idx3-ubyte(\.gz)?$")


def sets(path: Path) -> list[str]:
    """The names of the sets in a folder: what their files' names have in common ("idx": nothing).

    A set has one file of train images at most, gzipped or not.
    """
    for folder in (path, path / "raw"):
        if folder.is_dir():
            found = [m[1] or "" for f in sorted(folder.iterdir()) if (m := NAME.match(f.name))]
            if found:
                return [name.rstrip("-_") or "idx" for name in dict.fromkeys(found)]
    return []


def _image_files(path: Path) -> list[Path]:
    """Image files of a folder or of its ``raw`` sub-folder, train first."""
    for folder in (path, path / "raw"):
        if folder.is_dir():
            found = {m[2]: f for f in sorted(folder.iterdir()) if (m := NAME.match(f.name))}
            if len(found) and len(names := sets(path)) > 1:
                raise DataError(
                    f"{folder}: holds the idx files of {len(names)} data sets, {', '.join(names)}. "
                    "Put each into a folder of its own."
                )
            if found:
                return [found[part] for part in ("train", "t10k", "test") if part in found]
    return []


def matches(path: Path) -> bool:
    """Tell whether the folder holds an idx image file."""
    return bool(_image_files(path))


def read(path: Path) -> Collection:
    """Read images and labels of a folder of idx files."""
    parts = []
    for file in _image_files(path):
        subset = "train" if "train-images" in file.name else "test"
        images = read_idx(file)
        labels = None
        for name in _label_names(file.name):
            if (file.parent / name).exists():
                labels = read_idx(file.parent / name)
                break
        if labels is not None and len(labels) != len(images):
            raise DataError(
                f"{file}: {len(images)} images but {len(labels)} labels beside it. "
                "Fetch both files again."
            )
        parts.append((subset, images, None if labels is None else labels.tolist()))
    return stacked(parts, source=str(path), kind="idx")


def _label_names(images: str) -> list[str]:
    """Possible names of the label file of an image file, gzipped or not."""
    plain = images.removesuffix(".gz").replace("images", "labels").replace("idx3", "idx1")
    return [plain, plain + ".gz"]


def read_idx(path: Path) -> NDArray[np.uint8]:
    """Read one idx file of uint8 values; DataError if it is none or is cut short.

    The header is read first, and no more than what it promises.
    """
    try:
        with open(path, "rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
        handle: Any
        with gzip.open(path) if zipped else open(path, "rb") as handle:
            shape = _shape(handle, path)
            promised = math.prod(shape)
            size = path.stat().st_size
            check_unpacked(path, size, promised + ROW * shape[0], "Fetch the file again.")
            content = b"" if not zipped and promised > size else handle.read(promised)
            more = handle.read(1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}). Fetch the file again.") from error
    if len(content) != promised or more:
        found = f"{len(content):,}" if zipped else f"{size - 4 - 4 * len(shape):,}"
        raise DataError(
            f"{path}: {'more than ' if more and zipped else ''}{found} bytes where the header "
            f"promises {' x '.join(map(str, shape))}. Fetch the file again."
        )
    return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def _shape(handle: IO[bytes], path: Path) -> tuple[int, ...]:
    """The sizes that the header names."""
    begin = handle.read(4)
    if len(begin) < 4 or begin[:3] != b"\0\0\x08" or begin[3] not in (1, 3):
        raise DataError(f"{path}: not an idx file of uint8 labels or images.")
    sizes = handle.read(4 * begin[3])
    if len(sizes) < 4 * begin[3]:
        raise DataError(f"{path}: cut short in its header. Fetch the file again.")
    return tuple(np.frombuffer(sizes, dtype=">u4").tolist())
