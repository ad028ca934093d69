"""Pictures in memory, and a small encoder that counts what it does."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from usl.core.errors import DataError
from usl.core.hashing import array_digest
from usl.data.collection import Collection
from usl.features.contract import Encoder


class Pictures:
    """Images of any size and mode; None stands for a damaged one."""

    def __init__(self, pictures):
        self.pictures = list(pictures)
        self.read_rows: list[int] = []

    def __len__(self):
        return len(self.pictures)

    def read(self, row):
        self.read_rows.append(row)
        if self.pictures[row] is None:
            raise DataError(f"picture-{row}.jpg: damaged image.")
        return self.pictures[row]

    def digest(self, row):
        picture = self.pictures[row]
        return f"{row:032x}" if picture is None else array_digest(np.asarray(picture))

    def take(self, rows):
        return Pictures([self.pictures[row] for row in rows])


class Brightness(Encoder):
    """Row = (mean, width, height), float32; ends with ``stop_with`` when asked for too many."""

    name = "brightness"
    key = "brightness-v1"
    dim = 3
    dtype = np.dtype(np.float32)
    supervision = "none"
    preprocessing = {"center": True, "standardize": True, "pca": None}  # noqa: RUF012

    def __init__(self, *, stop_after=None, stop_with=KeyboardInterrupt):
        self.seen = 0
        self.batches: list[int] = []
        self.stop_after, self.stop_with = stop_after, stop_with

    def prepare(self, image):
        return np.array([np.asarray(image).mean(), *image.size])

    def forward(self, prepared):
        if self.stop_after is not None and self.seen + len(prepared) > self.stop_after:
            raise self.stop_with
        self.seen += len(prepared)
        self.batches.append(len(prepared))
        return np.array(prepared, dtype=np.float32)


def noise(seed, size=(8, 6), mode="RGB"):
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def collect(pictures) -> Collection:
    pictures = pictures if isinstance(pictures, Pictures) else Pictures(pictures)
    ids = np.array([f"train/{row:05d}" for row in range(len(pictures))])
    return Collection(ids=ids, subsets=np.full(len(ids), "train"), images=pictures, source="memory")


@pytest.fixture
def make_picture():
    return noise


@pytest.fixture
def make_collection():
    return collect


@pytest.fixture
def brightness():
    return Brightness
