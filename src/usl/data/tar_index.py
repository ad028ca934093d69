"""What lies where in a tar file, so that single members can be read of it; also at an address.

Only the headers are read. The index of a file at an address is kept in the cache, by its size and
version: ``<cache>/tars/``, which can be thrown away.
"""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from usl.core.errors import DataError
from usl.core.files import atomic_write, cache_dir
from usl.core.hashing import bytes_digest
from usl.data.addresses import is_address, open_filesystem, reaching, shown, version_of
from usl.data.digests import is_settled
from usl.data.parquet_files import read_columns

BLOCK = 512  # bytes of a header
AHEAD = 1 << 18  # bytes read at once
MOST_TEXT = 1 << 16  # bytes of a text that is kept


@dataclass
class TarIndex:
    """The regular files of a tar, in order.

    Attributes
    ----------
    where : its path or address.
    state : its size in bytes and its version, as of :func:`usl.data.addresses.version_of`.
    names, offsets, sizes : of its members; bytes.
    texts : the content of those of the endings that were asked for, by their place; None of one
        that is too long, or not UTF-8.
    """

    where: str
    state: tuple[int, int]
    names: list[str] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    texts: dict[int, str | None] = field(default_factory=dict)


def index_tar(where: str, texts: Sequence[str]) -> TarIndex:
    """Index a tar at a path or address; the content of members ending in ``texts`` is kept.

    Raises :class:`DataError` naming one that is missing, damaged, cut short or compressed.
    """
    filesystem, path = open_filesystem(where)
    asked_at = time.time_ns()
    with reaching(where):
        index = TarIndex(where, version_of(filesystem, path))
    kept = None
    if is_address(where) and is_settled(index.state[1], asked_at):
        key = bytes_digest(f"{shown(where)} {index.state} {sorted(texts)}".encode())
        kept = cache_dir() / "tars" / f"{key}.parquet"
        if _fetched(index, kept):
            return index
    with reaching(where), filesystem.open_input_file(path) as handle:
        try:
            _read_headers(index, io.BufferedReader(handle, AHEAD), tuple(texts))
        except tarfile.TarError as error:
            raise DataError(
                f"{shown(where)}: not a readable tar ({error}). Copy or write it again; one that "
                "is compressed is to be written without compression."
            ) from error
    if kept is not None:
        _keep(index, kept)
    return index


def _read_headers(index: TarIndex, handle: Any, texts: tuple[str, ...]) -> None:
    with tarfile.open(fileobj=handle, mode="r:") as tar:
        while (member := tar.next()) is not None:
            if member.offset_data + member.size > index.state[0]:
                raise tarfile.ReadError("unexpected end of data")
            tar.members = []  # type: ignore[attr-defined]  # of a million, they take a gigabyte
            if not member.isreg():
                continue
            if member.name.lower().endswith(texts):
                index.texts[len(index.names)] = _text(tar, member)
            index.names.append(member.name.removeprefix("./"))
            index.offsets.append(member.offset_data)
            index.sizes.append(member.size)
        end = tar.offset
    handle.seek(end)
    while rest := handle.read(AHEAD):  # where tarfile stops in silence
        if rest.strip(b"\0"):
            raise tarfile.ReadError(f"damaged at byte {end:,}")
        end += len(rest)


def _text(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str | None:
    content = tar.extractfile(member) if member.size <= MOST_TEXT else None
    with suppress(UnicodeDecodeError):
        return content.read().decode("utf-8-sig") if content is not None else None
    return None


def _fetched(index: TarIndex, path: Path) -> bool:
    """Fill an index from the cache; whether it was there."""
    if not path.is_file():
        return False
    with suppress(DataError, OSError, KeyError):
        table = read_columns(path)
        index.names, index.offsets, index.sizes = (
            table[name].to_pylist() for name in ("name", "offset", "size")
        )
        asked, texts = table["asked"].to_pylist(), table["text"].to_pylist()
        index.texts = {row: texts[row] for row, is_text in enumerate(asked) if is_text}
        return True
    return False


def _keep(index: TarIndex, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = range(len(index.names))
    table = pa.table(
        {
            "name": pa.array(index.names, pa.string()),
            "offset": pa.array(index.offsets, pa.int64()),
            "size": pa.array(index.sizes, pa.int64()),
            "asked": pa.array([row in index.texts for row in rows], pa.bool_()),
            "text": pa.array([index.texts.get(row) for row in rows], pa.string()),
        }
    )
    with suppress(OSError, DataError), atomic_write(path) as handle:  # it costs time, no more
        pq.write_table(table, handle, write_page_checksum=True)
