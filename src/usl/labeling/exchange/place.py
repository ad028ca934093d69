"""The place of an export: written whole, and never over what somebody has changed.

A folder that an export wrote holds a hidden record of what was in it. Only such a folder is
replaced, and only while it is as it was: somebody may have sorted pictures in it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from usl.core.errors import DataError, UsageError
from usl.core.files import (
    beside,
    put_back,
    release,
    remove_rests,
    remove_unless_held,
    rests,
    sync_folder,
    take,
    temporary_beside,
    write_json,
)
from usl.data.addresses import address_of, is_address, shown
from usl.data.sinks import check_sink, exists, outgoing, send, send_folder
from usl.run.by_hand import RECORD, fingerprint, recorded
from usl.run.folder import Run
from usl.run.identity import writing

__all__ = ["RECORD", "check_place", "new_place", "place_of"]


def place_of(given: str | os.PathLike[str]) -> Path:
    """The absolute path of a place on the disk; an address as ``pathlib`` has it."""
    return Path(given) if is_address(given) else Path(os.path.abspath(given))


def check_place(home: Path, *, folder: bool, overwrite: bool) -> None:
    """Refuse a place that is taken before any work is done."""
    if is_address(home):
        return _check_address(home, folder=folder, overwrite=overwrite)
    put_back(home)
    remove_rests(home.parent, home.name)
    if os.path.lexists(home):  # the former one of a command that came to its end but for this
        for former in rests(home.parent, home.name, "old"):
            remove_unless_held(former)
    if home.is_symlink():
        raise UsageError(f"--out: {home} is a link. Name the place itself.")
    if not home.exists() or (folder and home.is_dir() and not any(home.iterdir())):
        return
    if folder != home.is_dir():
        kind = "a folder" if folder else "a file"
        raise UsageError(f"--out: {home} exists and is not {kind}; choose another place.")
    if folder and not (home / RECORD).is_file():
        raise UsageError(f"--out: {home} exists and is not an export; choose another place.")
    if not overwrite:
        raise UsageError(f"--out: {home} exists. Choose another, or replace it with --overwrite.")
    if folder and recorded(home) != fingerprint(home):
        raise UsageError(
            f"--out: {home} has been changed since it was exported. If there are labels in it, "
            "import them first; then remove it, or choose another place."
        )


def _check_address(home: Path, *, folder: bool, overwrite: bool) -> None:
    """Refuse an address where something lies that is not to be replaced."""
    check_sink(home)
    if not exists(home):
        return
    if folder and not exists(home / RECORD):
        raise UsageError(f"--out: {shown(home)} exists and is not an export; choose another place.")
    if not overwrite:
        raise UsageError(
            f"--out: {shown(home)} exists. Choose another, or replace it with --overwrite."
        )


@contextmanager
def new_place(
    home: Path, *, folder: bool, about: Mapping[str, str], run: Run | None = None
) -> Iterator[Path]:
    """Yield an empty folder or file beside ``home``; after the block it becomes ``home``.

    On an exception, Ctrl-C included, it is removed and ``home`` is left as it was. ``about`` goes
    into a folder's record. A full disk or a folder that cannot be written is a
    :class:`DataError`; where ``home`` lies in the folder of the ``run`` and another run has its
    place by now, a :class:`usl.run.identity.RunReplacedError`.
    """
    if (address := address_of(home)) is not None:
        with outgoing() as sent:
            made = sent / home.name
            (made.mkdir if folder else made.touch)()
            yield made
            if folder:
                write_json(made / RECORD, {**about, "content": fingerprint(made)})
                send_folder(made, address, RECORD)
            else:
                send(made, address)
        return
    inside = run is not None and home.is_relative_to(os.path.abspath(run.path))
    try:
        with _written_into(run if inside else None):
            home.parent.mkdir(parents=True, exist_ok=True)
        with temporary_beside(home, folder=folder) as temporary:
            yield temporary
            if folder:
                write_json(temporary / RECORD, {**about, "content": fingerprint(temporary)})
            with _written_into(run if inside else None):
                _rename(temporary, home)
    except OSError as error:
        raise DataError(
            f"{home} cannot be written ({error}). See that the folder can be written and the disk "
            "has space, or name another place: --out"
        ) from error


def _written_into(run: Run | None) -> AbstractContextManager[None]:
    return nullcontext() if run is None else writing(run.path, run.identity)


def _rename(temporary: Path, home: Path) -> None:
    """Put what was written in its place; a folder that was there goes when the new one has come."""
    old = beside(home, "old") if temporary.is_dir() and home.exists() else None
    lock = None if old is None else take(home)  # while it is moved aside, nobody puts it back
    try:
        if old is not None:
            os.replace(home, old)
        try:
            os.replace(temporary, home)
        except BaseException:
            if old is not None:
                os.replace(old, home)
            raise
        sync_folder(home.parent)
        if old is not None:
            rest = beside(home)  # killed from here on, it is not put back
            os.rename(old, rest)
            shutil.rmtree(rest)
    finally:
        release(lock)
