#!/usr/bin/env python3
"""Rebuild ``src/usl/data/builtin/fashion_mnist_6k.npz`` byte for byte, and record its SHA-256.

    apt-get install dataset-fashion-mnist      # or the four files from anywhere else
    python scripts/build_builtin.py

**The draw** is random and unstratified: it never looks at a label. An image belongs to it if its
index is among the 5,000 (train) or 1,000 (test) whose BLAKE2b hash of ``"<seed>/<file>/<index>"``
is smallest. A hash instead of a random number generator, because generators may change their
streams between versions of NumPy. The draw is kept in the order of the original indices, which
the file records (``train_indices``, ``test_indices``); ids (``train/00000``) count positions in
the draw.

**The file** must come out identical everywhere, but the output of zlib, zlib-ng and liblzma
differs between versions. So nothing is compressed by a library: about half of all pixels are
background of value 0, and the arrays are stored as one bit per pixel ("is it 0?") and the values
of the others. That is 38 % smaller, decodes in milliseconds with NumPy alone, and the wheel around
it is deflated anyhow. The arrays lie uncompressed in a zip archive with fixed time stamps, that
is, in an ordinary ``.npz``:

======================= ======= ============= ================================================
array                   dtype   shape         meaning
======================= ======= ============= ================================================
{train,test}_shape      int64   [3]           n, height, width
{train,test}_mask       uint8   [n*h*w/8]     ``numpy.packbits(images != 0)``
{train,test}_values     uint8   [non-zeros]   ``images[images != 0]``, in C order
{train,test}_labels     uint8   [n]           class numbers
{train,test}_indices    int32   [n]           positions in the original files
classes                 <U11    [10]          class names
======================= ======= ============= ================================================
"""

from __future__ import annotations

import argparse
import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from usl.core.files import atomic_write
from usl.data.readers.idx import read_idx

CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
SEED = "usl-1"
SIZES = {"train": ("train", 5000), "test": ("t10k", 1000)}  # subset: (file prefix, images)
TARGET = Path(__file__).parents[1] / "src/usl/data/builtin/fashion_mnist_6k.npz"


def draw(stem: str, total: int, n: int) -> NDArray[np.int32]:
    """``n`` of ``total`` indices, ascending: those with the smallest hashes."""

    def key(index: int) -> bytes:
        return hashlib.blake2b(f"{SEED}/{stem}/{index}".encode(), digest_size=16).digest()

    return np.array(sorted(sorted(range(total), key=key)[:n]), dtype=np.int32)


def build(folder: Path) -> bytes:
    """The archive's bytes, from the four idx files in ``folder``."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for subset, (stem, n) in SIZES.items():
        images = read_idx(folder / f"{stem}-images-idx3-ubyte.gz")
        labels = read_idx(folder / f"{stem}-labels-idx1-ubyte.gz")
        indices = draw(stem, len(images), n)
        drawn = images[indices]
        arrays[f"{subset}_shape"] = np.array(drawn.shape, dtype=np.int64)
        arrays[f"{subset}_mask"] = np.packbits(drawn != 0)
        arrays[f"{subset}_values"] = drawn[drawn != 0]
        arrays[f"{subset}_labels"] = labels[indices]
        arrays[f"{subset}_indices"] = indices
    arrays["classes"] = np.array(CLASSES)
    return stored_npz(arrays)


def stored_npz(arrays: dict[str, NDArray[np.generic]]) -> bytes:
    """An uncompressed ``.npz`` that depends on nothing but the arrays."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as target:
        for name, array in arrays.items():
            member = io.BytesIO()
            little = array.astype(array.dtype.newbyteorder("<"))
            np.lib.format.write_array(member, little, version=(1, 0), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # Unix, wherever this runs
            entry.external_attr = 0o644 << 16
            target.writestr(entry, member.getvalue())
    return archive.getvalue()


def main() -> None:
    """Build and write the archive and its hash."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--out", type=Path, default=TARGET)
    options = parser.parse_args()
    content = build(options.data)
    digest = hashlib.sha256(content).hexdigest()
    with atomic_write(options.out) as handle:
        handle.write(content)
    with atomic_write(f"{options.out}.sha256", "w") as handle:
        handle.write(f"{digest}  {options.out.name}\n")
    print(f"{options.out}: {len(content):,} bytes, SHA-256 {digest}")


if __name__ == "__main__":
    main()
