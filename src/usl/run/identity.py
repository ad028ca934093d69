"""Which run a folder holds: two runs of one name, one after the other, have two identities.

``id`` in ``run.json``, drawn at random when a run is made. A run made before there was one is known
by what it was made from and when.
"""

from __future__ import annotations

import glob
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from usl.core.errors import DataError
from usl.core.files import read_record, release, take
from usl.core.hashing import json_digest

KEY = "id"  # in run.json


class RunReplacedError(DataError):
    """The folder no longer holds the run that a command, or an open page, began with."""


def new_identity() -> str:
    """A new run's identity, 32 hexadecimal digits."""
    return secrets.token_hex(16)


def identity(info: dict[str, Any]) -> str:
    """The identity of a run, out of its ``run.json``."""
    own = info.get(KEY)
    if isinstance(own, str) and own:
        return own
    return json_digest([info.get("created"), info.get("selection")])


def check_identity(folder: Path, expected: str) -> None:
    """Check before writing that ``folder`` still holds the run of this identity.

    Raises
    ------
    RunReplacedError : another run has its place, or none; nothing is to be written.
    """
    try:
        found = identity(read_record(folder / "run.json"))
    except DataError as error:
        raise RunReplacedError(
            f"{folder} no longer holds the run this began with ({error}) Nothing was written."
        ) from error
    if found != expected:
        kept = kept_as(folder, expected)
        raise RunReplacedError(
            f"{folder} holds another run than when this began; it was replaced meanwhile"
            f"{f', and is kept as {kept}' if kept else ''}. Nothing was written into the new one. "
            "Begin again."
        )


def kept_as(folder: Path, expected: str) -> Path | None:
    """Where the run of this identity is now, if it was kept beside."""
    place = Path(os.path.abspath(folder))
    for path in sorted(place.parent.glob(f"{glob.escape(place.name)}.labeled-*")):
        with suppress(DataError):
            if identity(read_record(path / "run.json")) == expected:
                return path
    return None


@contextmanager
def writing(folder: Path, expected: str) -> Iterator[None]:
    """Hold the run while the block writes into it: no other can take its place meanwhile.

    Short, and never one inside the other: whoever replaces the run waits.

    Raises
    ------
    RunReplacedError : another run has its place, or none; nothing is to be written.
    """
    lock = hold(folder)
    try:
        check_identity(folder, expected)
        yield
    finally:
        release(lock)


def hold(folder: Path) -> int | None:
    """Take the lock of the folder that has this name now; None where there is none."""
    while (lock := take(folder)) is not None:
        try:
            if os.path.samestat(os.fstat(lock), os.stat(folder)):
                return lock
        except FileNotFoundError:
            pass
        release(lock)
    return None
