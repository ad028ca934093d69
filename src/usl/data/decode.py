"""Decode a picture of any format to an upright 8-bit ``L`` or ``RGB`` image."""

from __future__ import annotations

import io
import os
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, missing_extra
from usl.data.decode_apart import decode_apart
from usl.data.deep_colours import Scale, deep_colours
from usl.data.endings import EXTENSIONS, PHOTOS, RAW, formats, readable_endings
from usl.data.greys import eight_bits, windowed
from usl.data.picture_cost import Costly, check_beginning, check_header
from usl.data.scaled_reads import read_at_scale

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["EXTENSIONS", "array_to_image", "decode_file", "to_grey_or_rgb", "upright"]

GREY_MODES = ("1", "L", "LA", "La")
STRIP = 256  # rows
ON_THE_SIDE = (5, 6, 7, 8)  # orientations of EXIF that exchange width and height

Hold = Callable[[int], None]  # told of the pixels that decoding will hold; it may wait

_OPENING = threading.Lock()


def decode_file(
    path: Any,
    name: str,
    *,
    max_pixels: int | None = None,
    scaled: Counter[str] | None = None,
    side: int | None = None,
    least: int | None = None,
    hold: Hold | None = None,
    apart: bool = True,
    window: bool = False,
) -> Image.Image:
    """Decode the first frame of an image file (a path, or an open file) as ``L`` or ``RGB``.

    The EXIF orientation is applied, transparency is laid over white, greys and colours of more
    than 8 bits are scaled (see :mod:`usl.data.greys`), palettes and CMYK become RGB. A picture
    that may cost much time or memory is decoded in a process with bounds on both.

    Parameters
    ----------
    max_pixels : refuse an image of more pixels; None for ``PIL.Image.MAX_IMAGE_PIXELS``.
    scaled : counts pictures that were not scaled nominally, by how they were.
    side : shrink it so that no side is longer; JPEG files shrink while they are decoded.
    least : pixels of the shorter side that are enough. A file that can be read at a scale (see
        :mod:`usl.data.scaled_reads`) is, at the smallest that leaves as many.
    hold : called with the pixels that will be held, before they are decoded. It may wait.
    apart : False to raise :class:`usl.data.picture_cost.Costly` instead of using a process.
    window : spread what has more than 8 bits for people to look at, instead of scaling it; see
        :func:`usl.data.greys.windowed`, whose window is counted in ``scaled``.

    Raises
    ------
    DataError
        naming ``name``: the file cannot be opened, is truncated or no image in a known format,
        holds more pixels than allowed (a decompression bomb, perhaps), or takes too much time or
        memory.
    """
    from PIL import Image

    counted: Counter[str] = Counter() if scaled is None else scaled
    limit = Image.MAX_IMAGE_PIXELS if max_pixels is None else max_pixels
    try:
        return decode_here(
            path,
            name,
            limit=limit,
            scaled=counted,
            side=side,
            least=least,
            hold=hold,
            check=check_header,
            window=window,
        )
    except Costly as costly:
        if not apart:
            raise
        source: str | bytes
        if isinstance(path, str | Path):
            source = os.path.abspath(path)
        else:
            path.seek(0)
            source = path.read()
        decoded, how = decode_apart(
            source,
            name,
            limit=limit,
            side=side,
            least=least,
            memory=costly.memory,
            window=window,
        )
        counted.update([how] if how else [])
        return decoded


def decode_here(
    path: Any,
    name: str,
    *,
    limit: int | None,
    scaled: Counter[str],
    side: int | None,
    least: int | None = None,
    hold: Hold | None = None,
    window: bool = False,
    check: Callable[[Image.Image, Any, int], None] | None,
) -> Image.Image:
    """Decode as :func:`decode_file` in this process; ``check`` may raise ``Costly`` before."""
    from PIL import Image, UnidentifiedImageError

    ending = os.path.splitext(name)[1].lower()
    if ending in PHOTOS and ending not in readable_endings():
        raise DataError(f"{name}: {missing_extra('a decoder', 'photos', ending)}")
    try:
        # Opened by us: Pillow would map a file named by its path, and misreads turned ones then.
        content = open(path, "rb") if isinstance(path, str | Path) else path  # noqa: SIM115
        try:
            if check is check_header:
                check_beginning(content)
                if ending in RAW:
                    raise Costly
            if ending in RAW:
                return _shrunk(_developed(content.read()), side)
            with _opened(content, limit) as image:
                whole = image.width * image.height
                if limit is not None and whole > limit:
                    raise Image.DecompressionBombError(f"{image.width} x {image.height} pixels")
                bounded = check is not check_header
                read_at_scale(image, content, longer=side, shorter=least, bounded=bounded)
                if check is not None:
                    check(image, content, whole)
                if hold is not None:
                    hold(image.width * image.height)
                scale = windowed if window else eight_bits
                return _shrunk(_decoded(image, content, scaled, scale), side)
        finally:
            if content is not path:
                content.close()
    except Costly:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(
            f"{name}: too large to decode safely ({error}; the limit is {limit} pixels). Allow "
            "more with max_pixels, save a smaller copy, or remove the file."
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


def shown_size(path: Any, name: str) -> tuple[int, int]:
    """Width and height of an image file (a path, or an open file) as shown, from its head alone.

    DataError, naming ``name``, for what is no image.
    """
    if os.path.splitext(name)[1].lower() in RAW:
        return decode_file(path, name).size
    try:
        with _opened(path, None) as image:
            (width, height), turned = image.size, _orientation(image) in ON_THE_SIDE
    except Exception as error:  # decoders raise nearly anything on broken input
        raise DataError(f"{name}: damaged or unreadable image ({error}).") from error
    return (height, width) if turned else (width, height)


def _decoded(image: Image.Image, content: Any, scaled: Counter[str], scale: Scale) -> Image.Image:
    """The pixels of an opened picture, upright, as ``L`` or ``RGB``."""
    reopen = partial(_opened, limit=None)
    if (deep := deep_colours(image, content, reopen, upright, scale)) is not None:
        scaled.update([deep[1]] if deep[1] else [])
        return to_grey_or_rgb(deep[0])
    image.load()
    return to_grey_or_rgb(upright(image), scaled, scale)


def _opened(content: Any, limit: int | None) -> Image.Image:
    """Open an image, its pixels not read yet; Pillow's own limit gives way to ours."""
    from PIL import Image

    if limit is not None and limit == Image.MAX_IMAGE_PIXELS:
        return Image.open(content, formats=formats())
    with _OPENING:
        usual, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(content, formats=formats())
        finally:
            Image.MAX_IMAGE_PIXELS = usual


def _developed(content: bytes) -> Image.Image:
    """A camera's raw picture with the camera's white balance."""
    import rawpy
    from PIL import Image

    with rawpy.imread(io.BytesIO(content)) as raw:
        return Image.fromarray(raw.postprocess(use_camera_wb=True))


def upright(image: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; damaged EXIF data count as none."""
    from PIL import ImageOps

    if _orientation(image) == 1:
        return image  # not a copy of it, which takes as long as a scaled read
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # the pixels are good, only the note about them is not
        return image


def _orientation(image: Image.Image) -> int:
    """What EXIF says of which side is up: 1 to 8; 1, upright, where it is silent or damaged."""
    from PIL import ExifTags

    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return 1


def _shrunk(image: Image.Image, side: int | None) -> Image.Image:
    return image if side is None else shrink(image, side)


def shrink(image: Image.Image, side: int) -> Image.Image:
    """A copy of which no side is longer than ``side``; smaller ones stay as they are."""
    small = image.copy()
    small.thumbnail((side, side))
    return small


def to_grey_or_rgb(
    image: Image.Image, scaled: Counter[str] | None = None, scale: Scale = eight_bits
) -> Image.Image:
    """Convert any mode to ``L`` (greys) or ``RGB`` (everything else), 8 bits a channel.

    ``scaled`` counts pictures that were not scaled nominally, by how they were; ``scale`` makes
    uint8 of deeper greys.
    """
    from PIL import Image

    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        grey, how = scale(np.asarray(image))
        if how and scaled is not None:
            scaled[how] += 1
        return Image.fromarray(grey)
    target = "L" if image.mode in GREY_MODES else "RGB"
    if image.has_transparency_data:
        return _over_white(image, target)
    return image if image.mode == target else image.convert(target)


def _over_white(image: Image.Image, target: str) -> Image.Image:
    """Lay a transparent picture over white, some rows at a time: all at once take 24 bytes each."""
    from PIL import Image

    made = Image.new(target, image.size)
    for top in range(0, image.height, STRIP):
        box = (0, top, image.width, min(top + STRIP, image.height))
        layer = image.crop(box).convert("RGBA")
        paper = Image.new("RGBA", layer.size, "white")
        made.paste(Image.alpha_composite(paper, layer).convert(target), box)
    return made


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
