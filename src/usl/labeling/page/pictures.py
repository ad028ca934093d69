"""Pictures for the screen: decoded, turned upright, shrunk, and prefetched.

Only rows of the collection can be asked for. Where a row's file lies is resolved when it is read,
and a file that is, or has become, a link out of the collection's folder is refused. Every picture
is encoded anew: nothing of a file but its pixels reaches the browser.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import stat
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

from usl.core.errors import DataError
from usl.data.digests import RACY_NS, file_digest
from usl.data.image_source import Images, read_windowed
from usl.data.images import FileImages, decode_windowed
from usl.data.picture_cost import Costly
from usl.labeling.page.picture_cache import PictureCache

if TYPE_CHECKING:
    from PIL import Image

SIZES = (160, 320, 640, 960, 1280, 1600, 2048, 2880, 4096)  # longest side in pixels
LOSSLESS = 160  # pictures of at most this side are sent as PNG: every pixel counts
QUALITY = 88  # of JPEG
FORM = 2  # of what is kept of a picture: its levels, then its bytes
AHEAD = 4  # pictures made ready after the one asked for
CLOSED = "The server is stopping. Start it again to see more pictures."


@dataclass(frozen=True)
class Picture:
    """An encoded picture: ``image/jpeg`` or ``image/png``.

    ``levels``: of one with more than 8 bits a channel, those that are shown, as ``102 to 1,480``.
    """

    content: bytes
    kind: str
    levels: str = ""


def fitting(side: int) -> int:
    """The smallest of ``SIZES`` that is at least ``side``, or the largest."""
    return next((size for size in SIZES if size >= side), SIZES[-1])


class Workers:
    """Daemon threads that work on a queue: an executor's would hold up the end of the process."""

    def __init__(self, threads: int, name: str) -> None:
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=name, daemon=True) for _ in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, function: Callable[[], None]) -> None:
        """Have a function called, which raises nothing."""
        self._queue.put(function)

    def end(self) -> None:
        """Let the threads go, each after what it has in hand."""
        for _ in self._threads:
            self._queue.put(None)

    def _work(self) -> None:
        while (function := self._queue.get()) is not None:
            function()
            del function


class Pictures:
    """The pictures of a collection.

    Parameters
    ----------
    images : where they come from.
    cache : where encoded ones are kept.
    threads : decoders for what is asked for; one more makes the next ones ready, and as many again
        wait for pictures that are decoded apart (see :mod:`usl.data.picture_cost`).
    """

    def __init__(self, images: Images, cache: PictureCache, *, threads: int = 2) -> None:
        self.images, self.cache = images, cache
        self._homes: dict[Path, Path] = {}  # where a source's files really lie
        self._asked = Workers(threads, "picture")
        self._ahead = Workers(1, "ahead")
        self._apart = Workers(threads, "costly")
        self._running: dict[tuple[int, int], tuple[Future[Picture], bool]] = {}
        self._digests: dict[int, tuple[tuple[int, ...], str]] = {}  # by row: a file's state, hash
        self._lock = threading.RLock()  # cancelling calls back at once
        self._closed = False

    def close(self) -> None:
        """Answer everybody who waits that there is nothing more."""
        with self._lock:
            self._closed = True
            waiting = [future for future, _ in self._running.values()]
        for future in waiting:
            with contextlib.suppress(InvalidStateError):
                future.set_exception(DataError(CLOSED))
        for workers in (self._asked, self._ahead, self._apart):
            workers.end()

    async def fetch(self, row: int, side: int) -> Picture:
        """:meth:`get` without a thread that waits."""
        made = self._start(row, fitting(side), urgent=True)
        return await asyncio.shield(asyncio.wrap_future(made))  # others may wait for it, too

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
        with contextlib.suppress(DataError):  # closed
            for row in rows:
                self._start(row, fitting(side), urgent=False)

    def _start(self, row: int, size: int, *, urgent: bool) -> Future[Picture]:
        """The work on a picture: under way, or begun now. What is urgent overtakes the others."""
        key = (row, size)
        with self._lock:
            if self._closed:
                raise DataError(CLOSED)
            future, was_urgent = self._running.get(key, (None, False))
            if future is not None and (was_urgent or not urgent):
                return future
            future = future or Future()
            self._running[key] = (future, urgent)
        (self._asked if urgent else self._ahead).submit(partial(self._make, key, future))
        return future

    def _make(self, key: tuple[int, int], future: Future[Picture], *, apart: bool = False) -> None:
        """Fulfil a future; a costly picture is left to the threads that wait for such."""
        with self._lock:
            if future.done() or (future.running() and not apart):
                return  # closed, or begun from the other queue
            if not apart:
                future.set_running_or_notify_cancel()
        with contextlib.suppress(InvalidStateError):  # closed meanwhile
            try:
                future.set_result(self._picture(*key, apart=apart))
            except Costly:
                self._apart.submit(partial(self._make, key, future, apart=True))
                return
            except Exception as error:
                future.set_exception(error)
        with self._lock:
            self._running.pop(key, None)

    def levels(self, row: int, side: int) -> str:
        """Which levels of a picture are shown, to say so beside it; "" where all of them are."""
        shown = self.get(row, side).levels
        return shown and f"Levels {shown} are shown, where 99% of its pixels lie."

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
        names = getattr(self.images, "names", None)
        return f"row {row}" if names is None else str(names[row])

    def _picture(self, row: int, size: int, *, apart: bool) -> Picture:
        digest = self.digest(row)
        name = f"{digest}-{size}-{FORM}"
        if (kept := self.cache.get(name)) is not None:
            levels, _, content = kept.partition(b"\0")
            return Picture(content, kind_of(content), levels.decode())
        image, levels_shown = self._decode(row, size, apart=apart)
        picture = replace(encode(image), levels=levels_shown)
        if self.digest(row, fresh=True) != digest:
            raise DataError(f"{self._called(row)}: it changed while it was read. Try again.")
        self.cache.put(name, picture.levels.encode() + b"\0" + picture.content)
        return picture

    def _path(self, row: int) -> Path | None:
        """The file behind a row, or None if there is no file. DataError if it lies elsewhere."""
        if not isinstance(self.images, FileImages):
            return None
        given = self.images.path(row)
        path = _real(given)
        home = self.images.home(row)
        if home not in self._homes:
            self._homes[home] = _real(home)
        if not path.is_relative_to(self._homes[home]):
            raise DataError(
                f"{self.images.names[row]}: a link out of the folder, to somewhere else on this "
                "machine. Such files are not shown; copy the picture into the folder."
            )
        return path

    def _decode(self, row: int, size: int, *, apart: bool) -> tuple[Image.Image, str]:
        """The picture, and which of its levels are shown, where it has more than a screen has."""
        path = self._path(row)
        if path is None:
            return read_windowed(self.images, row, size, apart=apart)
        limit = getattr(self.images, "max_pixels", None)
        return decode_windowed(path, path.name, size, max_pixels=limit, apart=apart)


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
