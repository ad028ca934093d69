"""A few pictures as one piece of HTML, for notebooks: thumbnails inside, all text escaped."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from usl.core.errors import DataError, shortened

if TYPE_CHECKING:
    from usl.data.collection import Collection

SIDE = 96  # pixels of the longer side of a thumbnail
MOST = 24  # pictures
LONGEST = 40  # characters of a caption; longer ones lose their middle
QUALITY = 80


def gallery(
    collection: Collection | None, rows: Sequence[int], captions: Sequence[str], title: str
) -> str:
    """Thumbnails of ``rows`` with captions under a line of text; at most 24.

    A picture that cannot be read, or is gone (row -1), is a grey square that says so; without a
    collection, or with one of features alone, there are captions only.
    """
    images = None if collection is None else collection.images
    cells = []
    for row, caption in list(zip(rows, captions, strict=True))[:MOST]:
        shown = "" if images is None else _picture(images, row, caption)
        cells.append(
            '<div style="width:104px;font-size:11px;overflow-wrap:anywhere">'
            f'{shown}<div title="{escape(shortened(caption))}">{escape(short(caption))}</div></div>'
        )
    left = len(rows) - len(cells)
    more = f"<div>and {left:,} more</div>" if left > 0 else ""
    pictures = "".join(cells)
    return (
        f"<div>{escape(title)}</div>"
        f'<div style="display:flex;flex-wrap:wrap;gap:8px;margin:6px 0">{pictures}</div>{more}'
    )


def short(text: str) -> str:
    """A text without its middle where it is long."""
    text = " ".join(text.split())
    half = LONGEST // 2
    return text if len(text) <= LONGEST else f"{text[: half - 1]}…{text[-half:]}"


def _picture(images: Any, row: int, name: str) -> str:
    from usl.data.decode import shrink

    if row < 0:
        return _missing("gone")
    try:
        picture = shrink(images.read(row), SIDE)
        content = io.BytesIO()
        picture.convert("RGB").save(content, "JPEG", quality=QUALITY)
    except (DataError, OSError, ValueError):
        return _missing("cannot be read")
    text = base64.b64encode(content.getvalue()).decode()
    return f'<img src="data:image/jpeg;base64,{text}" alt="{escape(shortened(name))}">'


def _missing(why: str) -> str:
    style = f"width:{SIDE}px;height:{SIDE}px;background:#ddd;color:#333"
    return f'<div style="{style}">{why}</div>'
