"""Decode a picture in a child process, which has bounds on time and memory.

The children live on from one picture to the next. They are started as commands, not forked or
spawned by ``multiprocessing``: that would run a script anew which has no ``if __name__`` around it.
Where the system knows no bound on memory (Windows, macOS) the one on time is left.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from functools import cache
from typing import TYPE_CHECKING, Any

from usl.core.errors import DataError

if TYPE_CHECKING:
    from PIL import Image

SECONDS = 10.0  # of the processor, for a picture
LONGEST = 120.0  # seconds by the clock, where something waits, or nothing counts the others
SMALL, LARGE = 1 << 30, 2 << 30  # bytes; one large picture at a time
PIXELS = 89_478_485  # Pillow's limit, which the bounds are meant for; more for one that is larger
COMMAND = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); " + (
    "from usl.data.decode_child import main; main()"
)
# Each thread reserves addresses, which count as memory.
FEW_THREADS = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
OUT_OF_TIME, OUT_OF_MEMORY = "time", "memory"


class Stopped(Exception):
    """A picture that went beyond a bound: ``time`` and how many seconds, or ``memory``."""


def decode_apart(
    source: str | bytes,
    name: str,
    *,
    limit: int | None,
    side: int | None,
    least: int | None = None,
    memory: int = 0,
    window: bool = False,
) -> tuple[Image.Image, str]:
    """Decode a picture in a child: the picture, and how its greys were scaled ("" for nominally).

    Parameters
    ----------
    source : the path, or the content, of a file.
    limit : of pixels.
    side : shrink it so that no side is longer.
    least : pixels of the shorter side that are enough.
    memory : bytes that it is known to take.
    window : as of :func:`usl.data.decode.decode_file`.

    Raises
    ------
    DataError
        as :func:`usl.data.decode.decode_file`, or naming the bound that was met.
    """
    pool, factor = _pool(), max(1.0, (limit or 0) / PIXELS)
    large, seconds = int(LARGE * factor), SECONDS * factor
    how = {"side": side, "least": least, "window": window}
    asked = {"name": name, "limit": limit, "seconds": seconds, **how}
    try:
        if memory > large:
            raise Stopped(OUT_OF_MEMORY)
        if memory <= SMALL:
            try:
                return pool.ask({**asked, "memory": SMALL, "small": True}, source)
            except Stopped as stopped:
                if stopped.args[0] == OUT_OF_TIME:
                    raise
        with pool.large:
            return pool.ask({**asked, "memory": large, "small": False}, source)
    except Stopped as stopped:
        if stopped.args[0] == OUT_OF_TIME:
            bound = f"{stopped.args[1]:.0f} s, longer than any usual picture,"
        else:
            bound = f"{large >> 20:,} MB of memory"
        raise DataError(
            f"{name}: takes more than {bound} to decode. Save a smaller or plainer copy, or remove "
            "the file."
        ) from stopped


class _Child:
    """A process that decodes one picture after the other."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pipesize=1 << 20,  # where it can be chosen; pictures are of some megabytes
            env={**os.environ, **FEW_THREADS},
        )

    def ask(self, asked: dict[str, Any], source: str | bytes) -> dict[str, Any]:
        """Have a picture decoded; what the child says, with its pixels under ``content``."""
        late = threading.Event()

        def stop() -> None:
            late.set()
            self.end()

        timer = threading.Timer(LONGEST, stop)
        timer.daemon = True
        timer.start()
        try:
            to, back = self.process.stdin, self.process.stdout
            assert to is not None
            assert back is not None
            path = {"path": source} if isinstance(source, str) else {"length": len(source)}
            to.write(json.dumps({**asked, **path}).encode() + b"\n")
            if isinstance(source, bytes):
                to.write(source)
            to.flush()
            said: dict[str, Any] = json.loads(back.readline() or b"null") or {}
            said["content"] = back.read(said.get("length", 0))
            if not said.get("ready") or len(said["content"]) < said.get("length", 0):
                raise EOFError
            return said
        except (OSError, EOFError, ValueError) as error:
            self.end()
            ended_by = -self.process.wait()
            if late.is_set():
                raise Stopped(OUT_OF_TIME, LONGEST) from error
            if ended_by in _signals("SIGPROF", "SIGXCPU"):
                raise Stopped(OUT_OF_TIME, asked["seconds"]) from error
            if ended_by in _signals("SIGKILL"):  # by the system, which has no memory left
                raise Stopped(OUT_OF_MEMORY) from error
            raise DataError(
                f"{asked['name']}: damaged or unreadable image (its decoder crashed). Replace or "
                "remove the file."
            ) from error
        finally:
            timer.cancel()

    def end(self) -> None:
        """Kill it."""
        self.process.kill()


class _Pool:
    """The children of this process that have nothing to do, and room for so many more."""

    def __init__(self) -> None:
        self.large = threading.Lock()
        self._idle: list[_Child] = []
        self._all: set[_Child] = set()
        self._room = threading.BoundedSemaphore(min(4, os.cpu_count() or 1))
        self._lock = threading.Lock()

    def ask(self, asked: dict[str, Any], source: str | bytes) -> tuple[Image.Image, str]:
        from PIL import Image

        with self._room:
            child = self._take(asked["name"])
            try:
                said = child.ask(asked, source)
            except BaseException:
                self._drop(child)
                raise
            with self._lock:
                self._idle.append(child)
        if said.get("stopped"):
            raise Stopped(said["stopped"])
        if "fault" in said:
            raise DataError(said["fault"])
        size = (int(said["size"][0]), int(said["size"][1]))
        return Image.frombytes(said["mode"], size, said["content"]), said["scaled"]

    def _take(self, name: str) -> _Child:
        with self._lock:
            while self._idle:
                child = self._idle.pop()
                if child.process.poll() is None:
                    return child
                self._all.discard(child)
            try:
                child = _Child()
            except OSError as error:
                raise DataError(
                    f"{name}: needs a process of its own to be decoded, and none can be started "
                    f"({error}). Close other programs, or remove the file."
                ) from error
            self._all.add(child)
            return child

    def _drop(self, child: _Child) -> None:
        child.end()
        with self._lock:
            self._all.discard(child)

    def end(self) -> None:
        """Kill all, whatever they are at."""
        for child in list(self._all):
            child.end()


@cache
def _pool() -> _Pool:
    """The children of this process: one that is forked from it begins anew."""
    pool = _Pool()
    atexit.register(pool.end)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_pool.cache_clear)
    return pool


def _signals(*names: str) -> list[int]:
    return [int(getattr(signal, name)) for name in names if hasattr(signal, name)]
