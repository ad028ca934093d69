"""Break file operations of commands: the preloaded library, and processes that run under it."""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
COUNT, KILL, KILL_HALFWAY, FAIL_ONCE, FAIL_FROM = range(5)
LIMIT = 120.0  # seconds that a command may take on a busy machine


class Plan(ctypes.Structure):
    """``struct plan`` of faults.c."""

    _fields_ = (
        ("armed", ctypes.c_int),
        ("mode", ctypes.c_int),
        ("error", ctypes.c_int),
        ("at", ctypes.c_int),
        ("count", ctypes.c_int),
        ("fired", ctypes.c_int),
        ("root", ctypes.c_char * 512),
        ("what", ctypes.c_char * 512),
        ("kinds", ctypes.c_char * 65536),
        ("said", ctypes.c_int),
        ("log", ctypes.c_char * (1 << 22)),
    )


@dataclass(frozen=True)
class Fault:
    """What is to happen at the operation number ``at``."""

    mode: int
    at: int
    error: int = 0

    def __str__(self):
        kind = ("count", "kill", "kill halfway", "once", "from then on")[self.mode]
        name = f"{errno.errorcode[self.error]} {kind}" if self.error else kind
        return f"{name} at {self.at}"

    @property
    def kills(self):
        """Whether the process is killed."""
        return self.mode in (KILL, KILL_HALFWAY)


@dataclass(frozen=True)
class Ended:
    """How a command ended; ``code`` is negative for a signal, None if it was still at work."""

    code: int | None
    out: str
    err: str
    what: str = ""  # the operation that was broken, if it came to that


def missing():
    """Why faults cannot be made here; None if they can."""
    if not sys.platform.startswith("linux"):
        return "file operations are broken on Linux only"
    if shutil.which("cc") is None:
        return "there is no C compiler (cc) to build the library that breaks file operations"
    return None


def build_library(folder):
    """Compile the library; its path."""
    path = folder / "faults.so"
    source = HERE / "faults.c"
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["cc", *flags, "-o", path, source, "-ldl"], check=True)
    return path


class Bench:
    """Runs commands on what lies in ``world``, whole or broken at one operation."""

    def __init__(self, folder, world):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.world = folder, world
        path = folder / "plan"
        with open(path, "wb") as handle:
            handle.truncate(ctypes.sizeof(Plan))
        with open(path, "r+b") as handle:
            self._map = mmap.mmap(handle.fileno(), ctypes.sizeof(Plan))
        self.plan = Plan.from_buffer(self._map)
        self.environment = {
            **os.environ,
            "LD_PRELOAD": str(build_library(folder)),
            "USL_FAULTS": str(path),
            "USL_TORTURE_MODULES": str(folder / "modules"),
            "USL_CACHE": str(world / "cache"),
            "HOME": str(world / "home"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "COLUMNS": "100",
            **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
        }
        for name in ("XDG_CACHE_HOME", "PYTEST_CURRENT_TEST"):
            self.environment.pop(name, None)
        self._errors = open(folder / "server.txt", "w")  # noqa: SIM115
        self._server = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", HERE / "fork_server.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=self.environment,
            cwd=folder,
            text=True,
        )

    def close(self):
        """End the server."""
        self._server.stdin.close()
        self._server.wait()
        self._errors.close()

    def arm(self, fault):
        """From now on count the operations of what is started, and break the one that is named."""
        plan = self.plan
        ctypes.memset(ctypes.addressof(plan), 0, ctypes.sizeof(Plan))
        plan.mode, plan.at, plan.error = fault.mode, fault.at, fault.error
        plan.root = os.fsencode(self.world)
        plan.armed = 1

    def disarm(self):
        """From now on break nothing; the operation that was broken."""
        self.plan.armed = 0
        return self.plan.what.decode(errors="replace")

    def start(self, tokens, *, learn=False):
        """Begin a command; its process number."""
        (self.folder / "stderr").write_text("")  # who waits for a line reads no former one
        return self._ask(
            tokens=[str(token) for token in tokens],
            stdout=str(self.folder / "stdout"),
            stderr=str(self.folder / "stderr"),
            learn=learn,
        )

    def wait(self, child, limit=LIMIT):
        """How a command ended; where it hangs, what it says tells where (faulthandler)."""
        code = self._ask(wait=child, limit=limit)
        if code is None:
            os.kill(child, signal.SIGABRT)
            self._ask(wait=child, limit=limit)
        said = ((self.folder / name).read_text(errors="replace") for name in ("stdout", "stderr"))
        return Ended(code, *said)

    def stop(self, child):
        """Kill a command, and what it has started."""
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)

    def run(self, tokens, fault=None, *, learn=False):
        """Run a command to its end."""
        if fault is not None:
            self.arm(fault)
        child = self.start(tokens, learn=learn)
        ended = self.wait(child)
        self.stop(child)
        what = self.disarm() if fault is not None else ""
        return Ended(ended.code, ended.out, ended.err, what)

    def operations(self):
        """The letters of the operations that were counted, and a line for each."""
        count = self.plan.count
        text = bytes(self.plan.log[: self.plan.said]).decode(errors="replace")
        kinds = ctypes.string_at(ctypes.addressof(self.plan) + Plan.kinds.offset, count)
        return kinds.decode(), text.splitlines()

    def _ask(self, **order):
        print(json.dumps(order), file=self._server.stdin, flush=True)
        line = self._server.stdout.readline()
        if not line:
            raise RuntimeError((self.folder / "server.txt").read_text() or "the server has ended")
        return json.loads(line)
