"""Cache of file hashes by name, size and modification time, so that files are read once.

The idea is git's index: a file whose name, size and modification time are unchanged is taken to
be unchanged. Like git's, the memo keeps no file that was modified within the last two seconds
before it was read, because a second write could then leave the same time stamp.

On disk: one Parquet file per image folder, ``<cache>/digests/<hash of the folder's path>.parquet``,
with columns ``name, size, mtime_ns, digest``, and a checksum of each page. It is only ever an
optimisation: a memo that is damaged is rebuilt, one that cannot be written is forgotten.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path

from usl.core.errors import DataError, UslWarning
from usl.core.files import atomic_write, cache_dir
from usl.core.hashing import bytes_digest
from usl.data.parquet_files import read_columns

RACY_NS = 2_000_000_000  # coarsest common time stamp (FAT): a rewrite may be invisible within it
SAVE_AFTER = 10_000  # new digests between saves, so that an interrupted run loses little
COLUMNS = ("name", "size", "mtime_ns", "digest")
HEX = re.compile(r"[0-9a-f]{32}")

Entries = dict[str, tuple[int, int, str]]  # name -> size in bytes, mtime_ns, hex digest


def file_digest(path: Path) -> str:
    """Hex BLAKE2b-128 of a file's bytes."""
    return bytes_digest(path.read_bytes())


def is_settled(version: int, asked_at: int) -> bool:
    """Whether whatever is written after ``asked_at`` (ns) has another version; 0 is none."""
    return version != 0 and asked_at - version > RACY_NS


class DigestMemo:
    """Digests of the files below one folder, remembered across runs.

    Loaded at the first question; saved every so often, by :meth:`flush`, and when the object goes
    away or the interpreter exits. Processes sharing a memo merge what they learned: the last
    writer may drop another's newest entries, which then are computed once more.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._saved: Entries | None = None
        self._new: Entries = {}
        self._lock = threading.Lock()
        weakref.finalize(self, _merge_into, path, self._new)

    @classmethod
    def for_folder(cls, root: Path) -> DigestMemo:
        """The memo of ``root``, in the user's cache folder."""
        return cls.called(os.fsencode(root.resolve()))

    @classmethod
    def called(cls, name: bytes) -> DigestMemo:
        """The memo of what a name stands for, a folder or an address, in the user's cache."""
        return cls(cache_dir() / "digests" / f"{bytes_digest(name)}.parquet")

    def __reduce__(self) -> tuple[type[DigestMemo], tuple[Path]]:
        """Pickled (for worker processes) as a fresh memo of the same file."""
        return type(self), (self.path,)

    def digest(self, path: Path, name: str) -> str:
        """Digest of the file ``path``, remembered as ``name``; OSError if it cannot be read."""
        return self.known(path, name) or self._remembered(path, name, lambda: file_digest(path))

    def known(self, path: Path, name: str) -> str | None:
        """The digest if the file is unchanged since it was read, else None; OSError as above."""
        if self._entry(name) is None:
            return None
        now = path.stat()
        return self.known_in(name, (now.st_size, now.st_mtime_ns))

    def known_in(self, name: str, state: tuple[int, int]) -> str | None:
        """The digest of what is called ``name`` if its size and version are as they were."""
        known = self._entry(name)
        return known[2] if known is not None and known[:2] == state else None

    def remember(self, name: str, state: tuple[int, int], digest: str, asked_at: int) -> None:
        """Keep a digest, unless one more write at ``asked_at`` (ns) might not show in the state."""
        if is_settled(state[1], asked_at):
            self._new[name] = (*state, digest)
            if len(self._new) >= SAVE_AFTER + len(self._load()) // 2:
                self.flush()

    def _entry(self, name: str) -> tuple[int, int, str] | None:
        return self._new.get(name) or self._load().get(name)

    def read(self, path: Path, name: str) -> tuple[bytes, str]:
        """Content of a file and the digest of it, which is remembered; OSError as above."""
        content = b""

        def digest() -> str:
            nonlocal content
            content = path.read_bytes()
            return bytes_digest(content)

        found = self._remembered(path, name, digest)
        return content, found

    def _remembered(self, path: Path, name: str, digest: Callable[[], str]) -> str:
        """What ``digest`` says of a file, remembered unless the file changes meanwhile."""
        asked_at = time.time_ns()
        before = path.stat()
        state = (before.st_size, before.st_mtime_ns)
        found = digest()
        after = path.stat()
        if state == (after.st_size, after.st_mtime_ns):
            self.remember(name, state, found, asked_at)
        return found

    def flush(self) -> None:
        """Save what was learned since the last save."""
        with self._lock:
            if self._new:
                self._saved = _merge_into(self.path, self._new)
                self._new.clear()  # the same object: the finaliser holds it

    def _load(self) -> Entries:
        if self._saved is None:
            with self._lock:
                self._saved = _read(self.path)
        return self._saved


def _read(path: Path) -> Entries:
    """Read a memo's entries; none if there is no memo, or one that is damaged, which is said."""
    # Here, too, for what is saved when the interpreter exits: it starts no threads any more.
    import concurrent.futures.thread  # noqa: F401

    import pyarrow.parquet  # noqa: F401

    try:
        if not path.exists():
            return {}
        names, sizes, times, digests = (
            column.to_pylist() for column in read_columns(path, list(COLUMNS)).columns
        )
        if not all(isinstance(word, str) and HEX.fullmatch(word) for word in digests):
            raise ValueError("a digest is none")
        found = dict(zip(names, zip(sizes, times, digests, strict=True), strict=True))
    except (OSError, ValueError, KeyError, TypeError) as error:  # a DataError is a ValueError
        warnings.warn(
            f"cache: {path} cannot be used ({error}); the images are read again.",
            UslWarning,
            stacklevel=2,
        )
        with contextlib.suppress(OSError):
            path.unlink()
        return {}
    return found


def _merge_into(path: Path, new: Entries) -> Entries:
    """Add ``new`` to the memo on disk; return all of its entries. Failing to write is no error."""
    if not new:
        return {}
    import pyarrow as pa
    import pyarrow.parquet as pq

    entries = _read(path) | new
    sizes, times, digests = zip(*entries.values(), strict=True)
    table = pa.table(
        {
            "name": pa.array(list(entries), pa.string()),
            "size": pa.array(sizes, pa.int64()),
            "mtime_ns": pa.array(times, pa.int64()),
            "digest": pa.array(digests, pa.string()),
        }
    )
    try:
        with atomic_write(path) as handle:
            pq.write_table(table, handle, write_page_checksum=True)
    except (OSError, DataError):
        pass  # a full or read-only cache folder costs time, never the result
    return entries
