"""Write files atomically: to a temporary file beside the target, flushed, then renamed.

A reader never sees half a file, and an interrupted or failed write leaves the old file as it was.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

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
    temporary = target.parent / f".{target.name}.{secrets.token_hex(6)}.tmp"
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, mode, **text) as handle:  # type: ignore[call-overload]
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, target)
    except OSError as error:
        ours = (None, str(temporary), *map(str, target.parents))
        if error.errno not in UNWRITABLE or error.filename not in ours:
            raise
        raise DataError(
            f"{target} cannot be written: {UNWRITABLE[error.errno]}. What was there before is "
            "untouched. Then run the same command again (a training: with --resume)."
        ) from error
    finally:
        with suppress(OSError):  # on a read-only file system this fails, too
            temporary.unlink(missing_ok=True)
    sync_folder(target.parent)


@contextmanager
def new_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; when the block succeeds it becomes ``path``.

    On any exception, Ctrl-C included, it is removed. OSError where ``path`` holds files by then.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f".{target.name}.{secrets.token_hex(6)}.tmp"
    temporary.mkdir()
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    sync_folder(target.parent)


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
