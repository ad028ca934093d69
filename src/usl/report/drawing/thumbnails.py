"""Thumbnails as data URIs, and a placeholder where a picture cannot be read."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

from usl.core.errors import DataError
from usl.data.decode import shrink
from usl.data.image_source import read_scaled
from usl.report.drawing.markup import Html, tag

if TYPE_CHECKING:
    from PIL import Image

    from usl.data.image_source import Images

SIDE = 128  # pixels of the longer side: shown at about 96, with some to spare for sharp screens
TINY = 64  # pictures up to this side are kept as they are, and enlarged without smoothing
SIDES = ((SIDE, TINY), (96, 32))  # in full, and small
QUALITY = 82


def thumbnail(images: Images | None, row: int, name: str, *, small: bool = False) -> Html:
    """A picture as an ``<img>`` that needs no other file; a placeholder if it cannot be read.

    Parameters
    ----------
    row : row of ``images``; -1 when it is not the one it was.
    name : what the picture is, for those who cannot see it.
    small : in fewer bytes, for galleries: 96 pixels at the most, and JPEG above 32.
    """
    if images is None:
        return Html("")
    if row < 0:
        return placeholder(name, "changed or gone")
    try:
        picture = read_scaled(images, row, 2 * SIDE)
    except DataError:
        return placeholder(name, "cannot be read")
    tiny = max(picture.size) <= TINY
    return tag("img", src=data_uri(picture, small=small), alt=name, class_="tiny" if tiny else None)


def placeholder(name: str, reason: str) -> Html:
    """What stands where a picture would."""
    return tag("span", reason, class_="missing", role="img", aria_label=f"{name}: {reason}")


def data_uri(picture: Image.Image, *, small: bool = False) -> str:
    """A small copy as ``data:image/...``: PNG for tiny pictures, JPEG for all others."""
    side, tiny = SIDES[small]
    if max(picture.size) <= tiny:
        return f"data:image/png;base64,{encoded(picture, 'PNG', optimize=True)}"
    text = encoded(shrink(picture, side), "JPEG", quality=QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{text}"


def encoded(picture: Image.Image, kind: str, **options: Any) -> str:
    """The file of a picture in base64."""
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return base64.b64encode(content.getvalue()).decode()
