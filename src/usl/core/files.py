"""Write files atomically: to a temporary file beside the target, flushed, then renamed.

A reader never sees half a file, and an interrupted or failed write leaves the old file as it was.
What a killed command leaves behind, ``.NAME.HEX.tmp``, is known by its name, and by its lock: the
one who writes it holds a lock on it, which ends with the process (see :func:`remove_rests`).
"""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # Windows, where nobody can remove a file that another process has open
    LOCKS = False
else:
    LOCKS = True

from usl.core.errors import DataError

UNWRITABLE = {
    errno.ENOSPC: "the disk is full; make room",
    errno.EDQUOT: "your quota is used up; make room",
    errno.EROFS: "the file system is read-only; choose another place",
    errno.EACCES: "you may not write there; choose another place or change the permissions",
    errno.EPERM: "you may not write there; choose another place or change the permissions",
}


@contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary file in the target's folder; on success it becomes ``path``.

    Text is written as UTF-8 with the line ends it is given. On any exception, Ctrl-C included,
    the temporary file is removed and ``path`` is left untouched.

    Raises
    ------
    DataError
        a disk that is full or a place that may not be written to; names ``path``.
    """
    target = Path(path)
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    _make_folder(target.parent, target)
    with temporary_beside(target, folder=False) as temporary:
        try:
            with open(temporary, mode, **text) as handle:  # type: ignore[call-overload]
                yield handle
                handle.flush()
                os.fsync(handle.fileno())
            os.replace(temporary, target)
        except OSError as error:
            if error.errno not in UNWRITABLE or error.filename not in (None, str(temporary)):
                raise
            raise unwritable(target, error) from error
    remove_rests(target.parent, target.name)
    sync_folder(target.parent)


def _make_folder(folder: Path, target: Path) -> None:
    """Make a folder for ``target``, with those above it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise unwritable(target, error) from error


def why_unwritable(error: OSError) -> str:
    """Why a place cannot be written to, and what to do about it where that is known."""
    return UNWRITABLE.get(error.errno or 0, str(error.strerror or error))


def unwritable(target: Path, error: OSError) -> DataError:
    """What is said of a place that cannot be written to."""
    return DataError(
        f"{target} cannot be written: {why_unwritable(error)}. What was there before is "
        "untouched. Then run the same command again (a training: with --resume)."
    )


@contextmanager
def new_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; when the block succeeds it becomes ``path``.

    On any exception, Ctrl-C included, it is removed. OSError where ``path`` holds files by then.
    """
    target = Path(path)
    _make_folder(target.parent, target)
    with temporary_beside(target, folder=True) as temporary:
        yield temporary
        os.replace(temporary, target)
    sync_folder(target.parent)


@contextmanager
def temporary_beside(target: Path, *, folder: bool) -> Iterator[Path]:
    """Yield an empty file or folder beside ``target``, which is removed unless it was renamed."""
    temporary, lock = _new_rest(target, folder=folder)
    try:
        yield temporary
    finally:
        try:
            if folder:
                shutil.rmtree(temporary, ignore_errors=True)
            else:
                with suppress(OSError):  # it would hide the error
                    temporary.unlink(missing_ok=True)
        finally:
            release(lock)


def _new_rest(target: Path, *, folder: bool) -> tuple[Path, int | None]:
    """Make an empty temporary file or folder beside ``target``, and take its lock."""
    while True:
        temporary = beside(target)
        try:
            if folder:
                temporary.mkdir()
            else:
                os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            raise unwritable(target, error) from error
        lock = take(temporary)
        if not LOCKS or temporary.exists():  # between the two somebody may have cleaned up
            return temporary, lock
        release(lock)


# Rests of kills

UNFINISHED = 86_400  # seconds after which it is one, where there are no locks
REST = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{12}\.(?P<kind>tmp|old)", re.DOTALL)


def beside(target: Path, kind: str = "tmp") -> Path:
    """A new hidden name beside ``target``, by which the rest of a kill is known."""
    return target.with_name(f".{_fitting(target.name)}.{secrets.token_hex(6)}.{kind}")


def _fitting(name: str) -> str:
    """A name that leaves room for more in the 255 bytes that a name may have."""
    return name if len(os.fsencode(name)) < 230 else name[:50]


def rests(folder: Path, name: str | None = None, kind: str = "tmp") -> list[Path]:
    """What killed commands may have left in a folder: of the target ``name``, or of any."""
    found, name = [], name and _fitting(name)
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            rest = REST.fullmatch(entry.name)
            if rest and rest["kind"] == kind and name in (None, rest["name"]):
                found.append(Path(entry.path))
    return sorted(found)


def remove_rests(folder: Path, name: str | None = None) -> None:
    """Remove what killed commands have left in a folder, but nothing a process still works on."""
    for rest in rests(folder, name):
        remove_unless_held(rest)


def remove_unless_held(path: Path) -> bool:
    """Remove a file or folder, unless a process holds its lock; whether it is gone."""
    with suppress(OSError):
        lock = take(path, wait=False)
        if lock is None and (LOCKS or time.time() - path.stat().st_mtime < UNFINISHED):
            return False
        try:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        finally:
            release(lock)
    return not path.exists()


def put_back(target: Path) -> bool:
    """Put back what a killed command had moved aside to replace it; whether there was anything.

    Waits for one that is replacing it at this moment.
    """
    aside = [] if os.path.lexists(target) else rests(target.parent, target.name, "old")
    if len(aside) != 1:
        return False
    lock = take(aside[0])
    try:
        if os.path.lexists(target) or not aside[0].exists():
            return False
        os.rename(aside[0], target)
        sync_folder(target.parent)
    finally:
        release(lock)
    return True


def take(path: Path, *, wait: bool = True) -> int | None:
    """Take the lock of a file or folder, which ends with the process at the latest.

    None where another holds it and ``wait`` is not wished, and where there are no locks.
    """
    if not LOCKS:
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:  # held, or a file system without locks: nothing is removed there
        os.close(descriptor)
        return None
    return descriptor


def release(lock: int | None) -> None:
    """Give back what :func:`take` has taken."""
    if lock is not None:
        os.close(lock)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries, so that a rename survives a power cut (POSIX only)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write ``value`` as indented JSON (keys in the order given) with a final newline."""
    with atomic_write(path, "w") as handle:
        json.dump(value, handle, indent=2, ensure_ascii=False)
        handle.write("\n")


def write_json_lines(path: str | os.PathLike[str], records: Iterable[Any]) -> None:
    """Write one JSON value per line."""
    with atomic_write(path, "w") as handle:
        for record in records:
            handle.write(json.dumps(record, ensure_ascii=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read JSON; a broken file is a :class:`DataError` naming the file and the line."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # no UTF-8, and a number too long to be read
        raise DataError(f"{path} is not valid JSON ({error}).") from error


def read_record(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a JSON object; DataError naming a file that is missing, broken or something else."""
    try:
        record = read_json(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror or error}).") from error
    if not isinstance(record, dict):
        raise DataError(f"{path}: not a record of this program. Delete it, and make it again.")
    return record


def cache_dir() -> Path:
    """The folder of everything that can be thrown away and made again; not created here.

    ``$USL_CACHE`` if set, else ``$XDG_CACHE_HOME/usl``, else ``~/.cache/usl``. Relative values of
    ``XDG_CACHE_HOME`` are ignored, as the XDG specification asks.
    """
    if own := os.environ.get("USL_CACHE"):
        return Path(own).expanduser()
    shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (shared if shared.is_absolute() else Path.home() / ".cache") / "usl"
