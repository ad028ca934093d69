"""Colours, and greys with transparency, of 16 bits a channel, of which Pillow keeps the upper 8.

Pillow reads such PNG and TIFF files through a raw mode that drops the lower byte, so that 12 bits
stored in 16 become 16 levels. Read once more through the raw mode of the other byte order, it is
the upper byte that is dropped. Both together are the picture.
"""

from __future__ import annotations

import io
import sys
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usl.data.greys import eight_bits

if TYPE_CHECKING:
    from PIL import Image

Open = Callable[[Any], "Image.Image"]
Scale = Callable[[NDArray[Any]], tuple[NDArray[np.uint8], str]]
Turn = Callable[["Image.Image"], "Image.Image"]

NATIVE = "16L" if sys.byteorder == "little" else "16B"
OTHER = {"16B": "16L", "16L": "16B"}
RAW_MODES = {f"{mode};16{order}" for mode in ("RGB", "RGBA") for order in "BLN"}


def deep_colours(
    image: Image.Image, content: Any, reopen: Open, turn: Turn, scale: Scale = eight_bits
) -> tuple[Image.Image, str] | None:
    """The picture scaled to 8 bits, and how; None if it has no more than 8 bits, or is grey alone.

    Parameters
    ----------
    image : opened, its pixels not read yet.
    content : the open file, which is read again from its start.
    turn : makes an image upright.
    scale : makes uint8 of deep values, and says how.
    """
    from PIL import Image

    modes = _raw_modes(image)
    if modes == {"LA;16B"} and image.format == "PNG":
        content.seek(0)
        four = np.asarray(turn(reopen(io.BytesIO(_as_four_bytes(content.read()))))).astype(
            np.uint16
        )
        deep = np.stack([four[..., 0] << 8 | four[..., 1], four[..., 2] << 8 | four[..., 3]], -1)
    elif len(modes) == 1 and modes <= RAW_MODES:
        content.seek(0)
        lower = reopen(content)
        lower.tile = [_swapped(tile) for tile in lower.tile]  # type: ignore[attr-defined]
        low = np.asarray(turn(_loaded(lower))).astype(np.uint16)
        content.seek(0)
        deep = np.asarray(turn(_loaded(reopen(content)))).astype(np.uint16) << 8 | low
    else:
        return None
    opaque = deep.shape[2] in (2, 4)
    colours: NDArray[np.uint16] = deep[..., :-1] if opaque else deep
    scaled, how = scale(colours)
    if opaque:
        scaled = np.concatenate([scaled, (deep[..., -1:] >> 8).astype(np.uint8)], axis=2)
    mode = {2: "LA", 3: "RGB", 4: "RGBA"}[scaled.shape[2]]
    return Image.fromarray(np.ascontiguousarray(scaled), mode=mode), how


def is_deep(image: Image.Image) -> bool:
    """Tell whether :func:`deep_colours` has something to do."""
    modes = _raw_modes(image)
    return modes == {"LA;16B"} or (len(modes) == 1 and modes <= RAW_MODES)


def _loaded(image: Image.Image) -> Image.Image:
    image.load()
    return image


def _raw_modes(image: Image.Image) -> set[str]:
    return {_raw_mode(tile) for tile in getattr(image, "tile", ())}


def _raw_mode(tile: Any) -> str:
    """The raw mode among a tile's arguments."""
    args = tile[3]
    return str(args if isinstance(args, str) else args[0] if args else "")


def _swapped(tile: Any) -> Any:
    """The tile with its bytes in the other order."""
    mode = _raw_mode(tile)
    known = mode[-3:] if mode[-3:] in OTHER else NATIVE
    other = mode[:-3] + OTHER[known]
    args = other if isinstance(tile[3], str) else (other, *tile[3][1:])
    return type(tile)(*tile[:3], args)


def _as_four_bytes(png: bytes) -> bytes:
    """A PNG of grey and transparency, 16 bits each, declared as four channels of 8 bits."""
    header = png[12:24] + bytes([8, 6]) + png[26:29]
    return png[:12] + header + zlib.crc32(header).to_bytes(4, "big") + png[33:]
