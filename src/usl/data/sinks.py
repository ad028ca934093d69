"""Write to a place on the disk or at an address: whole, or not at all.

What goes to an address is first written to the cache, then sent by one upload, which a store shows
only when it has come to its end. A folder is sent file by file, and the one that tells that it is
whole comes last.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from usl.core.errors import DataError, UsageError
from usl.core.files import atomic_write, cache_dir
from usl.data.addresses import (
    WEB,
    address_of,
    check_address,
    open_filesystem,
    reaching,
    read_range,
    shown,
    version_of,
)

CHUNK = 1 << 23  # bytes sent at a time


def check_sink(target: str | os.PathLike[str]) -> None:
    """Refuse an address that nothing can be written to."""
    address = address_of(target)
    if address is not None and check_address(address) in WEB:
        raise UsageError(
            f"{shown(address)}: nothing is written to the web. Name a file, or a bucket."
        )


def exists(target: str | os.PathLike[str]) -> bool:
    """Whether a file or folder is at a place.

    Raises :class:`StoreError` where that cannot be told.
    """
    address = address_of(target)
    if address is None:
        return os.path.lexists(target)
    filesystem, path = open_filesystem(address)
    with reaching(address):
        if filesystem.type_name.startswith("py"):
            return bool(filesystem.handler.fs.exists(path))
        return bool(filesystem.get_file_info(path).type.name != "NotFound")


def beginning(target: str | os.PathLike[str], size: int) -> bytes:
    """The first bytes of a file."""
    filesystem, path = open_filesystem(target)
    with reaching(address_of(target) or os.fspath(target)):
        handle = None if filesystem.type_name.startswith("py") else filesystem.open_input_file(path)
        return read_range(filesystem, path, 0, size, handle)


@contextmanager
def write_to(target: str | os.PathLike[str], mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary file; on success it becomes what lies at a path or an address.

    As :func:`usl.core.files.atomic_write`. Raises :class:`StoreError` where a store refuses.
    """
    address = address_of(target)
    if address is None:
        with atomic_write(target, mode) as handle:
            yield handle
        return
    check_sink(address)
    with outgoing() as folder:
        made = folder / "file"
        text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": ""}
        with open(made, mode, **text) as handle:
            yield handle
        send(made, address)


@contextmanager
def outgoing() -> Iterator[Path]:
    """An empty folder for what is to be sent; it is gone after the block."""
    home = cache_dir() / "outgoing"
    home.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=home) as folder:
        yield Path(folder)


def send_folder(folder: Path, address: str, last: str) -> None:
    """Send all files of a folder; the one called ``last`` comes last."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    for file in sorted(files, key=lambda file: file.relative_to(folder).as_posix() == last):
        send(file, f"{address.rstrip('/')}/{file.relative_to(folder).as_posix()}")


def send(file: Path, address: str) -> None:
    """Send a file by one upload, which Ctrl-C does not cut: a store would show what it has.

    Raises
    ------
    DataError
        there is no such bucket, or another size has arrived.
    StoreError
        the store refuses, or cannot be reached.
    """
    with ThreadPoolExecutor(1) as apart:
        apart.submit(_send, file, address).result()


def _send(file: Path, address: str) -> None:
    filesystem, path = open_filesystem(address)
    with reaching(address):
        if filesystem.type_name.startswith("py"):
            filesystem.handler.fs.put_file(str(file), path)
        else:
            with open(file, "rb") as handle, filesystem.open_output_stream(path) as stream:
                while content := handle.read(CHUNK):
                    stream.write(content)
        arrived = version_of(filesystem, path)[0]
    if arrived != file.stat().st_size:
        raise DataError(
            f"{shown(address)}: {arrived:,} bytes have arrived of {file.stat().st_size:,}. Run the "
            "same command again, with --overwrite."
        )
