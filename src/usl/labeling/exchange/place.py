"""The place of an export: written whole, and never over what somebody has changed.

A folder that an export wrote holds a hidden record of what was in it. Only such a folder is
replaced, and only while it is as it was: somebody may have sorted pictures in it.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from usl.core.errors import DataError, UsageError
from usl.core.files import sync_folder, write_json
from usl.run.by_hand import RECORD, fingerprint, recorded

__all__ = ["RECORD", "check_place", "new_place"]


def check_place(home: Path, *, folder: bool, overwrite: bool) -> None:
    """Refuse a place that is taken before any work is done."""
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


@contextmanager
def new_place(home: Path, *, folder: bool, about: Mapping[str, str]) -> Iterator[Path]:
    """Yield a path beside ``home``, a new folder or none yet; after the block it becomes ``home``.

    On an exception, Ctrl-C included, it is removed and ``home`` is left as it was. ``about`` goes
    into a folder's record. A full disk or a folder that cannot be written is a
    :class:`DataError`.
    """
    temporary = home.parent / f".{home.name[:100]}.{secrets.token_hex(6)}.tmp"
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        if folder:
            temporary.mkdir()
        yield temporary
        if folder:
            write_json(temporary / RECORD, {**about, "content": fingerprint(temporary)})
        _rename(temporary, home)
    except OSError as error:
        raise DataError(
            f"{home} cannot be written ({error}). See that the folder can be written and the disk "
            "has space, or name another place: --out"
        ) from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


def _rename(temporary: Path, home: Path) -> None:
    """Put what was written in its place; a folder that was there goes when the new one has come."""
    old = None
    if temporary.is_dir() and home.exists():
        old = home.parent / f".{home.name[:100]}.{secrets.token_hex(6)}.old"
        os.replace(home, old)
    try:
        os.replace(temporary, home)
    except BaseException:
        if old is not None:
            os.replace(old, home)
        raise
    if old is not None:
        shutil.rmtree(old)
    sync_folder(home.parent)
