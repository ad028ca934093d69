"""What decoding a picture may cost, told from its header before any pixel is read.

Small files can ask for much: a JPEG repeats its scans, a TIFF its tiles, any format promises many
pixels. What is plain, as nearly every picture is, is decoded where it is asked for; what is not
raises :class:`Costly`, and is decoded apart, in a process with bounds
(:mod:`usl.data.decode_apart`). The formats of phones and JPEG 2000 always are, for what they build
a picture of, grids and overlays, is not told by their header.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from usl.data.deep_colours import is_deep

if TYPE_CHECKING:
    from PIL import Image

MEMORY = 512 << 20  # bytes that a picture may take where it is asked for
WORK = 2_000_000_000  # pixels x scans; a scan takes up to 0.3 ns a pixel
SCAN = b"\xff\xda"  # the marker that begins one; never anything else in a JPEG's pixels
KEPT_BETWEEN_SCANS = 6  # bytes of every pixel of a JPEG, at whatever scale it is read
PIXELS_IN_PYTHON = 1 << 20  # of formats that Pillow decodes in Python
JPEG_2000 = (b"\0\0\0\x0cjP", b"\xff\x4f\xff\x51")
TIFF = {b"II*\0": "<", b"MM\0*": ">"}
BIG_TIFF = (b"II+\0", b"MM\0+")

# TIFF, by the number of the tag
PLAIN_TIFF = (1, 5, 8, 32773, 32946)  # uncompressed, LZW, Deflate, PackBits, old Deflate
COMPRESSION, ORIENTATION, TILE_WIDTH, TILE_HEIGHT = 259, 274, 322, 323
MOST_TAGS, MOST_IN_TAGS = 100, 1 << 20  # bytes
MOST_IN_TILE = 1 << 22  # pixels
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}


class Costly(Exception):
    """A picture that may cost too much to be decoded just here.

    ``memory`` : bytes that it takes, where that is known.
    """

    def __init__(self, memory: int = 0) -> None:
        super().__init__("this picture is decoded in a process of its own")
        self.memory = memory


def check_beginning(content: Any) -> None:
    """Look at the first bytes of an open file, before Pillow does."""
    start = content.read(12)
    content.seek(0)
    if start[4:8] == b"ftyp" or start.startswith((*JPEG_2000, *BIG_TIFF)):
        raise Costly
    if (order := TIFF.get(start[:4])) is not None and not _is_plain_tiff(content, order):
        raise Costly


def check_header(image: Image.Image, content: Any, whole: int | None = None) -> None:
    """Look at a picture that Pillow has opened, and whose pixels are not read yet.

    ``whole`` : the pixels that the file has, where it is to be read at a scale.
    """
    pixels = image.width * image.height
    whole = pixels if whole is None else whole
    several = image.format in ("JPEG", "MPO") and not _is_one_scan(image, content)
    memory = pixels * _bytes_a_pixel(image) + (whole * KEPT_BETWEEN_SCANS if several else 0)
    if memory > MEMORY:
        raise Costly(memory)
    if several:
        position = content.tell()
        content.seek(0)
        scans = content.read().count(SCAN)
        content.seek(position)
        if scans * whole > WORK:
            raise Costly(memory)
    in_python = any(tile[0] == "bmp_rle" for tile in getattr(image, "tile", ()))
    if in_python and pixels > PIXELS_IN_PYTHON:
        raise Costly(memory)


def _is_one_scan(image: Image.Image, content: Any) -> bool:
    """Whether a JPEG is not progressive, and its first scan has all components.

    The decoder refuses a second scan then. Pillow has read up to the end of that scan's header.
    """
    layers = getattr(image, "layers", 0)
    if image.info.get("progressive") or layers not in (1, 3, 4):
        return False
    header = SCAN + bytes([0, 6 + 2 * layers, layers])
    position = content.tell()
    content.seek(max(0, position - 8 - 2 * layers))
    found = content.read(len(header))
    content.seek(position)
    return bool(found == header)


def _bytes_a_pixel(image: Image.Image) -> int:
    """The most that decoding takes, measured; see tests/data/test_picture_cost.py."""
    if is_deep(image):
        return 24 if image.mode == "RGB" else 32
    if image.format == "WEBP":
        return 24
    if image.mode in ("1", "L", "RGB") and not image.has_transparency_data:
        return 8
    return 16


def _is_plain_tiff(content: Any, order: str) -> bool:
    """Whether a TIFF's first picture is of few, short tags, a plain compression and small tiles."""
    try:
        content.seek(struct.unpack(order + "4xI", content.read(8))[0])
        count = struct.unpack(order + "H", content.read(2))[0]
        tags = [struct.unpack(order + "HHI4s", content.read(12)) for _ in range(min(count, 101))]
    except (struct.error, OSError, ValueError):
        return True  # cut off: refused when it is opened
    finally:
        content.seek(0)
    known = {tag: _number(kind, value, order) for tag, kind, _, value in reversed(tags)}
    return (
        count <= MOST_TAGS
        and sum(SIZES.get(kind, 8) * length for _, kind, length, _ in tags) <= MOST_IN_TAGS
        and known.get(COMPRESSION, 1) in PLAIN_TIFF
        and known.get(ORIENTATION, 1) == 1  # to turn it, Pillow reads all that it says
        and known.get(TILE_WIDTH, 0) * known.get(TILE_HEIGHT, 0) <= MOST_IN_TILE
    )


def _number(kind: int, value: bytes, order: str) -> int:
    return int(struct.unpack(order + ("H2x" if kind == 3 else "I"), value)[0])
