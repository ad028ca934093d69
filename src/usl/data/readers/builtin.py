"""Image sets that come with the package: ``builtin:fashion_mnist``.

``fashion_mnist`` is a random, unstratified draw of 5,000 train and 1,000 test images of
Fashion-MNIST (Xiao et al. 2017; MIT licence, ``builtin/LICENSE.fashion-mnist``): 28 x 28 greys of
ten kinds of clothing. ids count the images of the draw (``train/00000`` to ``train/04999``). The
file's format and the draw are described in ``scripts/build_builtin.py``, which rebuilds it.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import UsageError, did_you_mean
from usl.data.collection import Collection
from usl.data.columns import stacked

PRIORITY = 0
PREFIX = "builtin:"
FILES = {"fashion_mnist": "fashion_mnist_6k.npz"}


def matches(path: Path) -> bool:
    """Tell whether the source names a built-in set."""
    return str(path).startswith(PREFIX)


def read(path: Path) -> Collection:
    """Load a built-in set (0.05 s)."""
    name = str(path).removeprefix(PREFIX)
    if name not in FILES:
        raise UsageError(
            f"No built-in image set {name!r}; there is {', '.join(PREFIX + n for n in FILES)}."
            + did_you_mean(name, FILES)
        )
    resource = resources.files("usl.data") / "builtin" / FILES[name]
    with resources.as_file(resource) as file, np.load(file) as arrays:
        parts = [
            (subset, _unpack(arrays, subset), arrays[f"{subset}_labels"].tolist())
            for subset in ("train", "test")
        ]
        classes = arrays["classes"].tolist()
    return stacked(parts, source=PREFIX + name, kind="builtin", names=classes)


def _unpack(arrays: np.lib.npyio.NpzFile, subset: str) -> NDArray[np.uint8]:
    """Lay the non-zero values back onto a background of 0, uint8 [n, h, w]."""
    shape = tuple(arrays[f"{subset}_shape"].tolist())
    images = np.zeros(shape, dtype=np.uint8)
    mask = np.unpackbits(arrays[f"{subset}_mask"], count=images.size).astype(bool)
    images[mask.reshape(shape)] = arrays[f"{subset}_values"]
    return images
