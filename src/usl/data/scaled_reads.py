"""Read a file at a smaller scale, where its format offers one: JPEG, JPEG 2000, TIFF pyramids.

A JPEG is a table of frequencies for each 8 x 8 pixels, of which fewer give 4 x 4, 2 x 2 or one
pixel, each the mean of those it stands for. JPEG 2000 keeps every picture at half the size of the
next, and a TIFF pyramid has smaller copies on pages of their own. WebP's decoder could scale, too,
but Pillow does not offer it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from usl.data.deep_colours import is_deep
from usl.data.picture_cost import TIFF, Costly

if TYPE_CHECKING:
    from PIL import Image

JPEG_SCALES = (8, 4, 2)
CODESTREAM = b"\xff\x4f\xff\x51"  # how the pictures inside a JPEG 2000 file begin
CODING, OF_A_CHANNEL = b"\xff\x52", b"\xff\x53"  # markers that tell how often one was halved
NEW_SUBFILE_TYPE, REDUCED = 254, 1  # the TIFF tag of a page, and its bit for a smaller copy
ORIENTATION = 274
MOST_PAGES = 32  # of a TIFF that are looked at
ASPECT = 0.02  # by how much the shape of a smaller copy may differ: its sides are whole numbers


def read_at_scale(
    image: Image.Image, content: Any, *, longer: int | None, shorter: int | None, bounded: bool
) -> None:
    """Have an opened picture, its pixels not read yet, read at the smallest scale that is enough.

    Parameters
    ----------
    content : the open file behind it.
    longer, shorter : pixels that its longer or its shorter side has to have; None for no matter.
        With neither, it is read whole.
    bounded : whether time and memory have bounds here. Without them the pages of a TIFF are left
        to a process that has (:class:`usl.data.picture_cost.Costly`).
    """
    factors = [
        float("inf") if wanted is None else side / wanted
        for wanted, side in ((longer, max(image.size)), (shorter, min(image.size)))
    ]
    factor = min(factors)
    if not 2 <= factor < float("inf"):
        return
    if image.format in ("JPEG", "MPO"):
        scale = next(scale for scale in JPEG_SCALES if factor >= scale)
        image.draft(None, (max(1, image.width // scale), max(1, image.height // scale)))
    elif image.format == "JPEG2000":
        halved = min(int(factor).bit_length() - 1, _halvings(content))
        image.reduce = halved  # type: ignore[assignment, method-assign]
    elif image.format == "TIFF" and _has_pages(content):
        if not bounded:
            raise Costly
        _turn_to_smaller_copy(image, factor)


def _halvings(content: Any) -> int:
    """How many smaller sizes a JPEG 2000 picture has; 0 where that is not told."""
    position = content.tell()
    content.seek(0)
    start = content.read(1 << 16)
    content.seek(position)
    at = start.find(CODESTREAM) + 2
    levels = 0
    while 2 <= at <= len(start) - 10 and start[at] == 0xFF:
        if start[at : at + 2] == OF_A_CHANNEL:
            return 0  # not told for all at once
        if start[at : at + 2] == CODING:
            levels = min(32, start[at + 9])
        at += 2 + struct.unpack(">H", start[at + 2 : at + 4])[0]
    return levels


def _has_pages(content: Any) -> bool:
    """Whether a TIFF has a second page."""
    position = content.tell()
    try:
        content.seek(0)
        order = TIFF[content.read(4)]
        first = struct.unpack(order + "I", content.read(4))[0]
        content.seek(first)
        count = struct.unpack(order + "H", content.read(2))[0]
        content.seek(first + 2 + 12 * count)
        return bool(struct.unpack(order + "I", content.read(4))[0])
    except (KeyError, struct.error, OSError, ValueError):
        return False
    finally:
        content.seek(position)


def _turn_to_smaller_copy(image: Any, factor: float) -> None:
    """Turn a TIFF to the smallest of its pages that is a copy of the first, and large enough."""
    width, height = image.size
    mode, smallest, page = image.mode, width, 0
    if not _is_plain(image):
        return
    try:
        for number in range(1, MOST_PAGES):
            image.seek(number)
            fewer = (width / image.width, height / image.height)
            same_shape = abs(fewer[0] / fewer[1] - 1) <= max(ASPECT, 1 / min(image.size))
            is_copy = image.tag_v2.get(NEW_SUBFILE_TYPE, 0) & REDUCED and image.mode == mode
            fits = max(fewer) <= factor and image.width < smallest
            if is_copy and same_shape and fits and _is_plain(image):
                smallest, page = image.width, number
    except EOFError:  # the last one
        pass
    finally:
        image.seek(page)


def _is_plain(image: Any) -> bool:
    """Whether a page is upright, and of 8 bits: of more, only the first one is read."""
    return (
        image.tag_v2.get(ORIENTATION, 1) == 1 and image.mode in ("L", "RGB") and not is_deep(image)
    )
