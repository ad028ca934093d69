"""Small files that ask for much time or memory to be decoded, and break no rule of their format."""

from __future__ import annotations

import io
import struct
import zlib

from PIL import Image


def repeated_scans(times: int, side: int = 3000) -> bytes:
    """A progressive JPEG with one of its refining scans over and over, 60 bytes each."""
    content = io.BytesIO()
    Image.new("L", (side, side), 128).save(content, "JPEG", progressive=True)
    head, *scans = content.getvalue().removesuffix(b"\xff\xd9").split(b"\xff\xda")
    whole = b"\xff\xda".join([head, *scans])
    return whole + (b"\xff\xda" + scans[3][:60]) * times + b"\xff\xd9"


def huge_png(side: int = 9459, *, mode: str = "RGBA") -> bytes:
    """One colour, under Pillow's limit of pixels."""
    content = io.BytesIO()
    Image.new(mode, (side, side)).save(content, "PNG")
    return content.getvalue()


def tiff(*, tags: dict[int, int] | None = None, many: int = 0, cut: int | None = None) -> bytes:
    """A grey TIFF of 8 x 8 pixels, with other or more tags: {number: value}."""
    known = {256: 8, 257: 8, 258: 8, 259: 1, 262: 1, 277: 1, 278: 8, 279: 64, **(tags or {})}
    count = len(known) + 1 + many
    start = 8 + 2 + 12 * count + 4
    known[273] = start
    body = struct.pack("<2sHIH", b"II", 42, 8, count)
    for tag, value in sorted(known.items()):
        body += struct.pack("<HHII", tag, 4, 1, value)
    for tag in range(1000, 1000 + many):
        body += struct.pack("<HHII", tag, 7, 12 * many, 0)
    return (body + struct.pack("<I", 0) + bytes(range(64)))[:cut]


def tile_of(side: int) -> bytes:
    """A TIFF of 8 x 8 pixels in a tile of many more."""
    packed = zlib.compress(bytes(side * side), 9)
    known = tiff(tags={259: 8, 322: side, 323: side, 324: 0, 325: len(packed)})
    place = len(known)
    return (
        known.replace(struct.pack("<HHII", 324, 4, 1, 0), struct.pack("<HHII", 324, 4, 1, place))
        + packed
    )
