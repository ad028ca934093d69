"""LRU cache of encoded pictures: the latest in memory, more on disk, both bounded."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections import OrderedDict
from pathlib import Path

MEMORY = 64 << 20  # bytes
DISK = 512 << 20
PRUNE_EVERY = 32 << 20  # bytes written between looks at the size of the folder


class PictureCache:
    """Byte strings by name.

    Parameters
    ----------
    folder : where they lie on disk, or None for memory alone. What is in it can be thrown away.
    memory, disk : at most so many bytes.
    """

    def __init__(self, folder: Path | None, *, memory: int = MEMORY, disk: int = DISK) -> None:
        self.folder, self.memory, self.disk = folder, memory, disk
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._written = 0
        self._lock = threading.Lock()

    def get(self, name: str) -> bytes | None:
        """What was put under a name, if it is still there."""
        with self._lock:
            if (content := self._kept.get(name)) is not None:
                self._kept.move_to_end(name)
                return content
        if self.folder is None:
            return None
        try:
            content = self._path(self.folder, name).read_bytes()
        except OSError:
            return None
        if not content:  # a power cut can leave an empty file
            return None
        self._remember(name, content)
        return content

    def put(self, name: str, content: bytes) -> None:
        """Keep something; a disk that is full or read-only is no fault."""
        self._remember(name, content)
        if self.folder is None:
            return
        path = self._path(self.folder, name)
        # Not flushed to disk: after a power cut the picture is made again.
        temporary = path.with_name(f".{secrets.token_hex(6)}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(content)
            os.replace(temporary, path)
        except OSError:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            return
        self._written += len(content)
        if self._written > PRUNE_EVERY:
            self._written = 0
            self.prune()

    def prune(self) -> None:
        """Remove the oldest files until the folder is within its bound."""
        if self.folder is None:
            return
        files = []
        for path in self.folder.glob("??/*"):
            with contextlib.suppress(OSError):
                state = path.stat()
                files.append((state.st_mtime, state.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files, key=lambda file: file[0]):
            if total <= self.disk:
                return
            with contextlib.suppress(OSError):
                path.unlink()
            total -= size

    def _remember(self, name: str, content: bytes) -> None:
        with self._lock:
            self._size += len(content) - len(self._kept.pop(name, b""))
            self._kept[name] = content
            while self._size > self.memory and len(self._kept) > 1:
                self._size -= len(self._kept.popitem(last=False)[1])

    @staticmethod
    def _path(folder: Path, name: str) -> Path:
        return folder / name[:2] / name
