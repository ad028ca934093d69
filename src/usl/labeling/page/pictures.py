"""Pictures for the screen: decoded, turned upright, shrunk, and prefetched.

Only rows of the collection can be asked for. Where a row's file lies is resolved when it is read,
and a file that is, or has become, a link out of the collection's folder is refused. Every picture
is encoded anew: nothing of a file but its pixels reaches the browser.
"""

from __future__ import annotations

import io
import os
import stat
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from usl.core.errors import DataError
from usl.data.collection import Images
from usl.data.decode import decode_file, shrink, to_grey_or_rgb, upright
from usl.data.digests import RACY_NS, file_digest
from usl.data.endings import formats
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
        self._digests: dict[int, tuple[tuple[int, ...], str]] = {}  # by row: a file's state, hash
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

    def digest(self, row: int, *, fresh: bool = False) -> str:
        """Content hash of an image as it is now.

        A file is read anew whenever its state has changed. Its change time belongs to that, which
        no program sets: equal size and modification time alone prove nothing. What is no file of
        its own is read once, or when it is to be ``fresh``: its pictures are kept by their hash, so
        that what is shown later is still what was read then.

        Raises
        ------
        DataError : the file is gone, cannot be read, or is a link out of the folder.
        """
        path = self._path(row)
        known = self._digests.get(row)
        if path is None:
            if known is not None and not fresh:
                return known[1]
            found = self.images.digest(row)
            self._digests[row] = ((), found)
            return found
        try:
            asked, state = time.time_ns(), _state(path)
            if known is not None and known[0] == state:
                return known[1]
            found = file_digest(path)
            settled = asked - max(state[1:3]) > RACY_NS  # else one more write might not show
            if settled and _state(path) == state:
                self._digests[row] = (state, found)
        except FileNotFoundError as error:
            raise DataError(f"{self._called(row)}: the file is gone. Put it back.") from error
        except OSError as error:
            why = error.strerror or error
            raise DataError(f"{self._called(row)}: it cannot be read ({why}).") from error
        return found

    def _called(self, row: int) -> str:
        """What an image is called in messages."""
        return str(self.images.names[row]) if isinstance(self.images, FileImages) else f"row {row}"

    def _make(self, row: int, size: int) -> Picture:
        name = f"{self.digest(row)}-{size}"
        if (kept := self.cache.get(name)) is not None:
            return Picture(kept, kind_of(kept))
        picture = encode(self._decode(row, size))
        if f"{self.digest(row, fresh=True)}-{size}" != name:
            raise DataError(f"{self._called(row)}: it changed while it was read. Try again.")
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

    def _decode(self, row: int, size: int) -> Image.Image:
        path = self._path(row)
        if path is None:
            return shrink(self.images.read(row), size)
        limit = getattr(self.images, "max_pixels", None)
        return decode_small(path, str(path.name), size, max_pixels=limit)


def decode_small(path: Path, name: str, size: int, *, max_pixels: int | None = None) -> Image.Image:
    """Decode a file no larger than needed: JPEG files shrink while they are decoded.

    As :func:`usl.data.decode.decode_file` otherwise, whose refusals it shares.
    """
    from PIL import Image

    try:
        with open(path, "rb") as file, Image.open(file, formats=formats()) as image:
            limit = Image.MAX_IMAGE_PIXELS
            small = limit is None or image.width * image.height <= limit
            if image.format in ("JPEG", "MPO") and small:
                scale = size / max(image.size)
                image.draft(None, (round(image.width * scale), round(image.height * scale)))
                return shrink(to_grey_or_rgb(upright(image)), size)
    except Exception:  # the plain way finds the words for it
        pass
    return shrink(decode_file(path, name, max_pixels=max_pixels), size)


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


def _state(path: Path) -> tuple[int, ...]:
    """What of a file changes whenever its content does: size, times, and which file it is.

    DataError for a device or a pipe, which reading would never end.
    """
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise DataError(f"{path.name}: no file that can be read. Put the picture there.")
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino, state.st_dev


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
