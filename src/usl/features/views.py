"""Random views of images - cropped, mirrored, in other light - as feature rows, cached like others.

What is drawn follows from the picture's pixels and the number of the view alone: equal pictures
have equal views wherever they lie, so that rows are cached by content like those of plain images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError
from usl.core.hashing import array_digest
from usl.core.progress import Progress, silent
from usl.data.collection import Collection
from usl.features.contract import Encoder
from usl.features.embed import embed
from usl.features.open_encoder import as_recorded, open_encoder
from usl.features.space import Space

if TYPE_CHECKING:
    from PIL import Image

VERSION = 1  # a change of the views needs a new one: it is part of the cache's key
SMALLEST = 0.4  # share of the picture's area that a crop keeps, up to 1
LIGHT = 0.4  # brightness, contrast and saturation change by up to this share

Views = NDArray[np.float16]


def view_features(
    collection: Collection, space: Space, count: int, *, progress: Progress = silent
) -> Views:
    """``count`` views of every image of a space, in that space: float16 [count, r, d].

    As of :func:`each_view`.
    """
    result = np.empty((count, *space.features.shape), dtype=np.float16)
    for number, rows in enumerate(each_view(collection, space, count, progress=progress)):
        result[number] = rows
    return result


def each_view(
    collection: Collection, space: Space, count: int, *, progress: Progress = silent
) -> Iterator[NDArray[Any]]:
    """``count`` views of every image of a space, in that space, one after another: [r, d].

    Parameters
    ----------
    collection : the one the space was opened on.

    Raises
    ------
    DataError
        a collection of features, or an image that can no longer be read.
    """
    if collection.images is None:
        raise DataError(
            f"{collection.source}: holds features, and views are made of images. Do without "
            "views, or select from the images themselves."
        )
    encoder = open_encoder(space.embedding.encoder.name, fetch=False)  # it is here by now
    encoder = as_recorded(encoder, space.record())
    images = collection.take(space.rows).pictures_alone()
    for number in range(count):
        rows = embed(images, View(encoder, number), on_corrupt="fail", progress=progress).rows
        yield space.preprocessing.transform(rows)


class View(Encoder):
    """Another encoder's rows of one random view of each picture; float16 where it gives floats."""

    def __init__(self, encoder: Encoder, number: int) -> None:
        """``number`` tells the views of a picture apart."""
        self.encoder = encoder
        self.number = number
        self.name = f"{encoder.name}, view {number}"
        self.key = f"{encoder.key}-view{number}-v{VERSION}"
        self.dim = encoder.dim
        self.dtype = np.dtype(np.float16) if encoder.dtype.kind == "f" else encoder.dtype
        self.supervision = encoder.supervision
        self.preprocessing = encoder.preprocessing
        self.batch_size, self.precision = encoder.batch_size, encoder.precision
        if encoder.least is not None:  # of the smallest crop
            self.least = math.ceil(encoder.least / math.sqrt(SMALLEST))

    def prepare(self, image: Image.Image) -> NDArray[Any]:
        """Draw the view; the encoder prepares it."""
        content = int(array_digest(np.asarray(image)), 16)
        rng = np.random.default_rng([self.number, content])
        return self.encoder.prepare(random_view(image, rng))

    def forward(self, prepared: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """The encoder's rows."""
        return self.encoder.forward(prepared).astype(self.dtype)


def random_view(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A crop of the picture's own shape, mirrored or not, in other light."""
    from PIL import Image as pil
    from PIL import ImageEnhance

    share = np.sqrt(rng.uniform(SMALLEST, 1.0))
    width, height = (max(1, round(side * share)) for side in image.size)
    left = int(rng.integers(image.width - width + 1))
    top = int(rng.integers(image.height - height + 1))
    view = image.crop((left, top, left + width, top + height))
    if rng.random() < 0.5:
        view = view.transpose(pil.Transpose.FLIP_LEFT_RIGHT)
    for change in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        view = change(view).enhance(rng.uniform(1 - LIGHT, 1 + LIGHT))
    return view
