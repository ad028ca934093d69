"""Die at the n-th change of the file system, as a process does that is killed: for good."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

CHANGES = ("mkdir", "rename", "replace", "unlink", "rmdir", "link", "fsync", "utime")


class Killed(BaseException):
    """The process is dead; nothing it still tries has an effect."""


@contextmanager
def killed_at(monkeypatch, number):
    """Let the block die at its ``number``-th change, counted from 1; yields the count so far."""
    done = [0]

    def dying(real):
        def change(*args, **named):
            done[0] += 1
            if done[0] >= number:
                raise Killed
            return real(*args, **named)

        return change

    with monkeypatch.context() as patch:
        for name in CHANGES:
            patch.setattr(os, name, dying(getattr(os, name)))
        yield done


def kill_everywhere(monkeypatch, prepare, act, check, first=1, every=1):
    """``act(prepare(n))``, killed at its n-th change; after each ``check(n)``.

    For n = ``first``, ``first + every``..., until ``act`` comes to its end; the last n.
    """
    number = first
    while True:
        ready = prepare(number)
        try:
            with killed_at(monkeypatch, number):
                act(ready)
            return number - every
        except Killed:
            check(number)
        number += every


def all_names(folder):
    """Every name below a folder, hidden ones too."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@contextmanager
def quick_folder(folder):
    """A folder in memory where there is one: flushing a busy disk takes most of the time."""
    shared = Path("/dev/shm")
    if not os.access(shared, os.W_OK):
        yield folder
        return
    with tempfile.TemporaryDirectory(dir=shared) as made:
        yield Path(made)
