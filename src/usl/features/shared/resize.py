"""Pictures of any size to the square an encoder wants: shorter side to size, centre crop, bicubic.

A square image is resized directly. Large pictures are first shrunk by whole-number averaging to no
less than ``REDUCING_GAP`` times the target (Pillow's ``reduce``), which is what makes a photograph
of 12 megapixels take 10 ms instead of 150.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

REDUCING_GAP = 3.0

Box = tuple[float, float, float, float]


def centre_square(image: Image.Image) -> Box:
    """The largest centred square (left, upper, right, lower), in pixels; edges may be halves."""
    side = min(image.size)
    left, upper = (image.width - side) / 2, (image.height - side) / 2
    return left, upper, left + side, upper + side


def as_rgb(image: Image.Image) -> Image.Image:
    """The picture in colour; itself, not a copy of it, if it is."""
    return image if image.mode == "RGB" else image.convert("RGB")


def square_uint8(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """The centre square as uint8 [size, size, 3]; grey is repeated over the three channels."""
    from PIL import Image

    resized = as_rgb(image).resize(
        (size, size),
        Image.Resampling.BICUBIC,
        box=centre_square(image),
        reducing_gap=REDUCING_GAP,
    )
    return np.asarray(resized)


def square_float(image: Image.Image, size: int) -> NDArray[np.float32]:
    """The centre square as float32 [3, size, size], values 0 to 255 without rounding.

    Rounding to 8 bits between the two passes of a resize is invisible, yet when small pictures are
    enlarged it moves convolutional features visibly (cosine 0.97 to 1 on CIFAR-10), so each channel
    is resized in floating point. Overshoot of the bicubic filter is clipped.
    """
    from PIL import Image

    if image.mode not in ("L", "RGB"):
        image = image.convert("RGB")
    box = centre_square(image)
    factor = int(min(image.size) / size / REDUCING_GAP)
    if factor > 1:
        image = image.reduce(factor)
        box = (box[0] / factor, box[1] / factor, box[2] / factor, box[3] / factor)
    planes = np.empty((3, size, size), dtype=np.float32)
    for channel, band in enumerate(image.split()):  # grey: one band, for all three channels
        planes[channel:] = np.asarray(
            band.convert("F").resize((size, size), Image.Resampling.BICUBIC, box=box)
        )
    return np.clip(planes, 0.0, 255.0, out=planes)
