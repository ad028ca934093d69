"""Images per second of the offline encoders, decoding included, through ``usl.embed``.

    USL_DATA=/path/to/data taskset -c 0 python benchmarks/encoders.py

Images are CIFAR-10 as JPEG (``cifar10_jpeg.npz``), or the built-in ones without ``USL_DATA``. The
first batch, which loads the network, is left out by a call before the clock starts.
"""

from __future__ import annotations

import io
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from usl.core.hashing import bytes_digest
from usl.data import Collection, open_collection
from usl.features.embed import embed
from usl.features.open_encoder import open_encoder
from usl.numeric.blocks import thread_count


@dataclass(frozen=True)
class Jpegs:
    """Images as JPEG bytes, one after the other."""

    blob: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def content(self, row: int) -> bytes:
        return self.blob[self.offsets[row] : self.offsets[row + 1]].tobytes()

    def read(self, row: int) -> Image.Image:
        return Image.open(io.BytesIO(self.content(row))).convert("RGB")

    def digest(self, row: int) -> str:
        return bytes_digest(self.content(row))

    def take(self, rows: np.ndarray) -> Jpegs:
        start, stop = int(rows[0]), int(rows[-1]) + 1  # a run of rows is all this needs
        return Jpegs(self.blob, self.offsets[start : stop + 1])


def collection(count: int) -> Collection:
    """The first ``count`` images."""
    path = Path(os.environ.get("USL_DATA", "")) / "cifar10_jpeg.npz"
    if not path.is_file():
        return open_collection("builtin:fashion_mnist").take(np.arange(count))
    with np.load(path) as stored:
        images: Any = Jpegs(stored["blob"], stored["offsets"][: count + 1])
    ids = np.array([f"train/{i:05d}" for i in range(count)])
    return Collection(ids, np.full(count, "train"), images=images, source=str(path))


def main() -> None:
    """Time each encoder three times and print the median."""
    print(f"{thread_count()} core(s)")
    for name, count in (("pixels", 4000), ("efficientnet_lite0", 800), ("efficientnet_lite1", 400)):
        encoder, images = open_encoder(name), collection(count)
        embed(images.take(np.arange(32)), encoder, cache=False)
        seconds = []
        for _ in range(3):
            began = time.perf_counter()
            embed(images, encoder, cache=False)
            seconds.append(time.perf_counter() - began)
        print(f"{name:<20} {count / np.median(seconds):8,.0f} images/s")


if __name__ == "__main__":
    main()
