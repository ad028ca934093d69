"""Copies of files that lie at an address, in the cache: tables and arrays are read from there.

A copy has the size of what it was made of, and its version for a time of modification; where
either differs, or the version is unknown, it is made anew. All of
``<cache>/addresses/`` can be thrown away.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from usl.core.errors import DataError, UslError
from usl.core.files import atomic_write, cache_dir
from usl.core.hashing import bytes_digest
from usl.data.address_listing import Entry, Place, is_file, is_plain, list_address
from usl.data.addresses import (
    WEB,
    address_of,
    check_address,
    local_path,
    open_filesystem,
    reaching,
    shown,
    version_of,
)
from usl.data.digests import is_settled

CHUNK = 1 << 23  # bytes copied at a time
SPARE = 1 << 28  # bytes that are left free in the cache


def local_file(given: str | os.PathLike[str]) -> Path:
    """The path of a file that is named by a path or an address; of the latter it is a copy.

    Raises :class:`DataError` naming an address that cannot be read.
    """
    address = address_of(given)
    if address is None:
        return local_path(given)
    filesystem, path = open_filesystem(address)
    with reaching(address):
        entry = Entry(*version_of(filesystem, path))
    folder, _, name = shown(address).rpartition("/")
    target = home_of(folder) / name
    _copy(filesystem, path, target, entry, address)
    return target


@contextmanager
def opened(given: str | os.PathLike[str]) -> Iterator[Path]:
    """A file or folder on the disk; of an address a copy, and errors within name the address."""
    address = address_of(given)
    if address is None:
        yield local_path(given)
    elif is_file(address):
        path = local_file(address)
        with named_by(shown(address).rpartition("/")[0], path.parent):
            yield path
    else:
        place = list_address(address)
        home = local_folder(place, [name for name in place.entries or {} if is_plain(name)])
        with named_by(place.address, home):
            yield home


def local_folder(place: Place, names: Iterable[str]) -> Path:
    """A folder in the cache with copies of some files of a place, and no others.

    Raises :class:`DataError` for a cache without room for them.
    """
    home, entries = home_of(place.source), dict(place.entries or {})
    wanted = {name: entries[name] for name in names}
    missing = {name: one for name, one in wanted.items() if not _is_copy(home / name, one)}
    _check_room(place.source, sum(one.size for one in missing.values()))
    filesystem, root = open_filesystem(place.address)
    for name, entry in missing.items():
        _copy(filesystem, f"{root}/{name}", home / name, entry, f"{place.address}/{name}")
    for file in [file for file in home.rglob("*") if file.is_file()]:
        if file.relative_to(home).as_posix() not in wanted and file.name[0] != ".":
            file.unlink()  # gone at the address
    return home


def home_of(address: str) -> Path:
    """Where copies of the files of a folder lie."""
    return cache_dir() / "addresses" / bytes_digest(shown(address).encode())


@contextmanager
def named_by(address: str, home: Path) -> Iterator[None]:
    """Within, errors about a copy below ``home`` name the address that it was made of."""
    try:
        yield
    except UslError as error:
        error.args = (str(error).replace(str(home), shown(address)), *error.args[1:])
        raise


def _is_copy(target: Path, entry: Entry) -> bool:
    try:
        known = target.stat()
    except OSError:
        return False
    return bool(entry.version) and (known.st_size, known.st_mtime_ns) == tuple(entry)


def _copy(filesystem: Any, path: str, target: Path, entry: Entry, address: str) -> None:
    """Make a copy, unless there is one."""
    if _is_copy(target, entry):
        return
    _check_room(shown(address), entry.size)
    asked_at = time.time_ns()
    try:
        _fetch(filesystem, path, target, entry, address)
        if is_settled(entry.version, asked_at):
            os.utime(target, ns=(entry.version, entry.version))
    except OSError as error:  # a name that is too long, or that of a folder, too
        raise DataError(
            f"{shown(address)}: cannot be copied to {target} ({error.strerror or error})."
        ) from error


def _fetch(filesystem: Any, path: str, target: Path, entry: Entry, address: str) -> None:
    with atomic_write(target) as handle, reaching(address):
        if filesystem.type_name.startswith("py"):
            filesystem.handler.fs.get_file(path, handle.name)
        else:
            with filesystem.open_input_stream(path) as stream:
                shutil.copyfileobj(stream, handle, CHUNK)
        handle.flush()
        size = os.stat(handle.name).st_size
        if size != entry.size and check_address(address) not in WEB:  # there, it may be packed
            raise DataError(
                f"{shown(address)}: {size:,} bytes, but {entry.size:,} when it was listed: it has "
                "changed since. Run the same command again."
            )


def _check_room(what: str, size: int) -> None:
    home = cache_dir()
    while not home.exists():
        home = home.parent
    free = shutil.disk_usage(home).free
    if size + SPARE > free:
        raise DataError(
            f"{what}: {size / 1e9:,.1f} GB are copied to {cache_dir()}, where {free / 1e9:,.1f} GB "
            "are free. Make room, or name another disk: USL_CACHE=FOLDER."
        )
