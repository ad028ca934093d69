"""The child process of :mod:`usl.data.decode_apart`: decodes pictures within bounds.

What is asked for is a line of JSON on standard input, with the path of a file or followed by its
content. The answer is a line of JSON, with the picture's mode and size and followed by its pixels,
or with the fault, or the bound that was met.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import signal
import sys
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

from usl.core.errors import DataError
from usl.data.decode import decode_here
from usl.data.decode_apart import OUT_OF_MEMORY
from usl.data.endings import formats
from usl.data.picture_cost import Costly

if TYPE_CHECKING:
    from PIL import Image

CORES = 4
A_PIXEL = 24  # bytes that decoding takes, in any format


def main() -> None:
    """Decode until standard input ends."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # whatever a decoder may print
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it, also within a decoder
    _take_few_cores()
    formats()
    size = _address_space()
    while line := sys.stdin.buffer.readline():
        asked = json.loads(line)
        content = sys.stdin.buffer.read(asked.get("length", 0))
        _limit(size + asked["memory"] if size else 0, asked["seconds"])
        said, pixels = _answer(asked, content)
        _limit(0, 0)
        said = {"ready": True, "length": len(pixels), **said}
        answers.write(json.dumps(said).encode() + b"\n")
        answers.write(pixels)
        answers.flush()


def _answer(asked: dict[str, Any], content: bytes) -> tuple[dict[str, Any], bytes]:
    scaled: Counter[str] = Counter()
    try:
        image = decode_here(
            io.BytesIO(content) if "path" not in asked else asked["path"],
            asked["name"],
            limit=asked["limit"],
            scaled=scaled,
            side=asked["side"],
            window=asked.get("window", False),
            least=asked.get("least"),
            check=partial(_check, memory=asked["memory"] if asked["small"] else None),
        )
        found = {"mode": image.mode, "size": image.size, "scaled": next(iter(scaled), "")}
        return found, image.tobytes()
    except (Costly, MemoryError):
        return {"stopped": OUT_OF_MEMORY}, b""
    except DataError as error:
        short = isinstance(error.__cause__, MemoryError) or "memory" in str(error.__cause__)
        return ({"stopped": OUT_OF_MEMORY} if short else {"fault": str(error)}), b""


def _check(image: Image.Image, content: Any, whole: int, *, memory: int | None) -> None:
    """Leave a picture that will not fit to the larger bound, before it fails half-way."""
    if memory is not None and image.width * image.height * A_PIXEL > memory:
        raise Costly


def _take_few_cores() -> None:
    """Some of the cores: AVIF and HEIC start a thread for each, which costs addresses."""
    if hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(OSError):
            cores = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, random.sample(cores, min(CORES, len(cores))))


def _limit(memory: int, seconds: float) -> None:
    """Bound the memory, and the processor's time from now on; 0 lifts a bound."""
    try:
        import resource
    except ImportError:  # Windows
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = memory or hard
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    with contextlib.suppress(ValueError, OSError):  # macOS
        resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
    signal.setitimer(signal.ITIMER_PROF, seconds)  # its signal ends the process


def _address_space() -> int:
    """Bytes of addresses that this process has by now; 0 where that is not told."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
