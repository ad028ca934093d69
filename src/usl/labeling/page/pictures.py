"""Pictures for the screen: decoded, turned upright, shrunk, and prefetched.

Only rows of the collection can be asked for. Where a row's file lies is resolved when it is read,
and a file that is, or has become, a link out of the collection's folder is refused. Every picture
is encoded anew: nothing of a file but its pixels reaches the browser.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from usl.core.errors import DataError
from usl.core.hashing import bytes_digest
from usl.data.collection import Images
from usl.data.decode import FORMATS, decode_file, shrink, to_grey_or_rgb, upright
from usl.data.images import FileImages
from usl.labeling.page.picture_cache import PictureCache

if TYPE_CHECKING:
    from PIL import Image

SIZES = (160, 320, 640, 960, 1280, 1600, 2048, 2880, 4096)  # longest side in pixels
LOSSLESS = 160  # pictures of at most this side are sent as PNG: every pixel counts
QUALITY = 88  # of JPEG
AHEAD = 4  # pictures made ready after the one asked for


@dataclass(frozen=True)
class Picture:
    """An encoded picture: ``image/jpeg`` or ``image/png``."""

    content: bytes
    kind: str


def fitting(side: int) -> int:
    """The smallest of ``SIZES`` that is at least ``side``, or the largest."""
    return next((size for size in SIZES if size >= side), SIZES[-1])


class Pictures:
    """The pictures of a collection.

    Parameters
    ----------
    images : where they come from.
    cache : where encoded ones are kept.
    threads : decoders for what is asked for; one more makes the next ones ready.
    """

    def __init__(self, images: Images, cache: PictureCache, *, threads: int = 2) -> None:
        self.images, self.cache = images, cache
        self._root = _real(images.root) if isinstance(images, FileImages) else Path()
        self._asked = ThreadPoolExecutor(threads, "picture")
        self._ahead = ThreadPoolExecutor(1, "ahead")
        self._running: dict[tuple[int, int], tuple[Future[Picture], bool]] = {}
        self._lock = threading.RLock()  # cancelling calls back at once

    def close(self) -> None:
        """Drop what nobody waits for."""
        self._asked.shutdown(wait=False, cancel_futures=True)
        self._ahead.shutdown(wait=False, cancel_futures=True)

    def get(self, row: int, side: int) -> Picture:
        """The picture of a row, its longest side at most ``fitting(side)``. Never enlarged.

        Raises
        ------
        DataError
            it cannot be decoded, is too large to be decoded safely, or lies outside the folder.
        """
        return self._start(row, fitting(side), urgent=True).result()

    def prepare(self, rows: Sequence[int], side: int) -> None:
        """Make pictures ready in the background; faults show when they are asked for."""
        for row in rows:
            self._start(row, fitting(side), urgent=False)

    def _start(self, row: int, size: int, *, urgent: bool) -> Future[Picture]:
        """The work on a picture: under way, or begun now. What is urgent overtakes the others."""
        key = (row, size)
        with self._lock:
            if (known := self._running.get(key)) is not None:
                future, was_urgent = known
                if was_urgent or not urgent or not future.cancel():
                    return future
            pool = self._asked if urgent else self._ahead
            future = pool.submit(self._make, row, size)
            self._running[key] = (future, urgent)
        future.add_done_callback(lambda done: self._forget(key, done))
        return future

    def _forget(self, key: tuple[int, int], done: Future[Picture]) -> None:
        with self._lock:
            if (known := self._running.get(key)) is not None and known[0] is done:
                del self._running[key]

    def _make(self, row: int, size: int) -> Picture:
        name = self._name(row, size)
        if (kept := self.cache.get(name)) is not None:
            return Picture(kept, kind_of(kept))
        picture = encode(self._decode(row, size))
        self.cache.put(name, picture.content)
        return picture

    def _path(self, row: int) -> Path | None:
        """The file behind a row, or None if there is no file. DataError if it lies elsewhere."""
        if not isinstance(self.images, FileImages):
            return None
        given = self.images.path(row)
        path = _real(given)
        if not path.is_relative_to(self._root):
            raise DataError(
                f"{self.images.names[row]}: a link out of the folder, to somewhere else on this "
                "machine. Such files are not shown; copy the picture into the folder."
            )
        return path

    def _name(self, row: int, size: int) -> str:
        """What a picture is kept under: the place and state of its file, or its row; its size."""
        path = self._path(row)
        if path is None:
            return f"row-{row}-{size}"
        try:
            state = path.stat()
        except OSError as error:
            raise DataError(f"{path.name}: the file is gone. Put it back.") from error
        text = f"{path}\0{state.st_size}\0{state.st_mtime_ns}\0{size}"
        return bytes_digest(os.fsencode(text))

    def _decode(self, row: int, size: int) -> Image.Image:
        path = self._path(row)
        if path is None:
            return shrink(self.images.read(row), size)
        return decode_small(path, str(path.name), size)


def decode_small(path: Path, name: str, size: int) -> Image.Image:
    """Decode a file no larger than needed: JPEG files shrink while they are decoded.

    As :func:`usl.data.decode.decode_file` otherwise, whose refusals it shares.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as image:
            limit = Image.MAX_IMAGE_PIXELS
            small = limit is None or image.width * image.height <= limit
            if image.format in ("JPEG", "MPO") and small:
                scale = size / max(image.size)
                image.draft(None, (round(image.width * scale), round(image.height * scale)))
                return shrink(to_grey_or_rgb(upright(image)), size)
    except Exception:  # the plain way finds the words for it
        pass
    return shrink(decode_file(path, name), size)


def encode(image: Image.Image) -> Picture:
    """As PNG if it is small, else as JPEG; no metadata."""
    content = io.BytesIO()
    image = image.copy()
    image.info = {}  # Pillow would write a comment along, say
    if max(image.size) <= LOSSLESS:
        image.save(content, "PNG", compress_level=1)
        return Picture(content.getvalue(), "image/png")
    image.save(content, "JPEG", quality=QUALITY)
    return Picture(content.getvalue(), "image/jpeg")


def kind_of(content: bytes) -> str:
    """The media type of what :func:`encode` wrote."""
    return "image/png" if content.startswith(b"\x89PNG") else "image/jpeg"


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
