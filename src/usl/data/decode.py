"""Decode a picture of any format to an upright 8-bit ``L`` or ``RGB`` image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")

# Pillow decides by content, not by name; naming the formats keeps a file called .jpg that is
# really PostScript from being handed to Ghostscript. (The JPEG reader also opens phones' MPO.)
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")

GREY_MODES = ("1", "L", "LA", "La")


def decode_file(path: Any, name: str) -> Image.Image:
    """Decode the first frame of an image file as ``L`` or ``RGB``.

    The EXIF orientation is applied, transparency is laid over white, 16 and 32-bit greys are
    scaled (not clipped) to 8 bits, palettes and CMYK become RGB.

    Raises
    ------
    DataError
        naming ``name``: the file cannot be opened, is truncated or no image in one of ``FORMATS``,
        or holds more pixels than ``PIL.Image.MAX_IMAGE_PIXELS`` (a decompression bomb, perhaps).
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=FORMATS) as image:
            limit = Image.MAX_IMAGE_PIXELS
            if limit is not None and image.width * image.height > limit:
                raise Image.DecompressionBombError(f"{image.width} x {image.height} pixels")
            image.load()
            return to_grey_or_rgb(upright(image))
    except Image.DecompressionBombError as error:
        raise DataError(
            f"{name}: too large to decode safely ({error}; the limit is {Image.MAX_IMAGE_PIXELS} "
            "pixels). Save a smaller copy, or remove the file."
        ) from error
    except UnidentifiedImageError as error:
        raise DataError(
            f"{name}: not an image that can be read. Formats understood: JPEG, PNG, WebP, BMP, "
            "TIFF and GIF. Convert or remove the file."
        ) from error
    except FileNotFoundError as error:
        raise DataError(
            f"{name}: the file is gone. Put it back, or list the folder anew."
        ) from error
    except Exception as error:  # decoders raise nearly anything on broken input
        raise DataError(
            f"{name}: damaged or unreadable image ({error}). Replace or remove the file."
        ) from error


def upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; damaged EXIF data count as none."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # the pixels are good, only the note about them is not
        return image


def shrink(image: Image.Image, side: int) -> Image.Image:
    """A copy of which no side is longer than ``side``; smaller ones stay as they are."""
    small = image.copy()
    small.thumbnail((side, side))
    return small


def to_grey_or_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to ``L`` (greys) or ``RGB`` (everything else), 8 bits a channel."""
    from PIL import Image

    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return Image.fromarray(_eight_bits(np.asarray(image)))
    target = "L" if image.mode in GREY_MODES else "RGB"
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        paper = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(paper, layer).convert(target)
    return image if image.mode == target else image.convert(target)


def _eight_bits(grey: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale greys of more than 8 bits to uint8.

    White is 65,535; for data beyond 16 bits it is their maximum, and for floating-point images
    with values up to 1 it is 1. Negative values are black.
    """
    values = np.nan_to_num(grey.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    top = float(values.max(initial=0.0))
    white = 1.0 if grey.dtype.kind == "f" and top <= 1 else max(65535.0, top)
    scaled: NDArray[np.uint8] = np.rint(np.clip(values / white, 0, 1) * 255).astype(np.uint8)
    return scaled


def array_to_image(array: NDArray[Any], name: str) -> Image.Image:
    """Make a picture of a uint8 array [h, w], [h, w, 1] or [h, w, 3]."""
    from PIL import Image

    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    colours = array.ndim == 3 and array.shape[2] == 3
    if array.dtype != np.uint8 or not (array.ndim == 2 or colours):
        raise DataError(
            f"{name}: an image must be uint8 [h, w], [h, w, 1] or [h, w, 3], "
            f"this is {array.dtype} {list(array.shape)}."
        )
    return Image.fromarray(np.ascontiguousarray(array))
