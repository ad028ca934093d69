"""Files of the engine under a folder or an address: written whole, read whole or in part.

Every worker must reach them under the same name: a folder that all hosts share, or an address.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError
from usl.core.files import atomic_write
from usl.data.addresses import is_address, open_filesystem, reaching, shown

HEADER = 256  # bytes that hold the header of an array: it is padded to 64, and takes 128 mostly


@dataclass(frozen=True)
class Store:
    """A folder or an address with files in it; only ``root`` travels between workers."""

    root: str

    def __getstate__(self) -> dict[str, Any]:
        return {"root": self.root}

    @cached_property
    def _place(self) -> tuple[Any, str]:
        return open_filesystem(self.root)

    def where(self, name: str) -> str:
        """The address of a file, as it is shown."""
        return f"{shown(self.root).rstrip('/')}/{name}"

    def sizes(self, folder: str = "") -> dict[str, int]:
        """Names and bytes of the files in a folder, without those below it; {} without one."""
        return {name: size for name, (size, _) in self.states(folder).items()}

    def states(self, folder: str = "") -> dict[str, tuple[int, int]]:
        """As :meth:`sizes`, with when each was written, in ns; 0 where nobody knows."""
        from pyarrow import fs

        filesystem, root = self._place
        with reaching(self.where(folder)):
            wanted = fs.FileSelector(f"{root}/{folder}".rstrip("/"), allow_not_found=True)
            found = filesystem.get_file_info(wanted)
        return {one.base_name: _state(one) for one in found if one.is_file}

    def state(self, name: str) -> tuple[int, int] | None:
        """Bytes of a file, and when it was written; None without one."""
        filesystem, root = self._place
        with reaching(self.where(name)):
            found = filesystem.get_file_info(f"{root}/{name}")
        return _state(found) if found.is_file else None

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        return self.state(name) is not None

    def write(self, name: str, content: bytes | memoryview) -> None:
        """Write a file whole: nobody ever sees half of it."""
        filesystem, root = self._place
        if not is_address(self.root):
            with atomic_write(Path(root) / name) as handle:
                handle.write(content)
            return
        with reaching(self.where(name)), filesystem.open_output_stream(f"{root}/{name}") as handle:
            handle.write(content)

    def open(self, name: str) -> Any:
        """A file to read at random, a ``pyarrow.NativeFile``.

        Raises :class:`DataError` naming what is not there.
        """
        filesystem, root = self._place
        with reaching(self.where(name)):
            return filesystem.open_input_file(f"{root}/{name}")

    def remove(self, names: Iterable[str]) -> None:
        """Remove files; what is gone already does not matter."""
        filesystem, root = self._place
        for name in names:
            with reaching(self.where(name)), suppress(FileNotFoundError):
                filesystem.delete_file(f"{root}/{name}")

    def remove_folder(self, folder: str) -> None:
        """Remove a folder and all below it; in a bucket, its files a thousand at a time."""
        filesystem, root = self._place
        with reaching(self.where(folder)), suppress(FileNotFoundError):
            filesystem.delete_dir(f"{root}/{folder}")

    def save(self, name: str, **arrays: NDArray[Any]) -> None:
        """Write arrays as ``name``, an ``.npz`` without compression."""
        content = io.BytesIO()
        np.savez(content, **cast(Any, arrays))
        self.write(name, content.getbuffer())

    def load(self, name: str) -> dict[str, NDArray[Any]]:
        """Read what :meth:`save` has written."""
        with self.open(name) as handle, reaching(self.where(name)):
            content = handle.read()
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                return dict(file)
        except (ValueError, OSError, EOFError, KeyError) as error:
            raise self._broken(name) from error

    def save_rows(self, name: str, rows: NDArray[Any]) -> None:
        """Write one array as ``name``, an ``.npy``, of which :meth:`rows` reads parts."""
        content = io.BytesIO()
        np.save(content, rows)
        self.write(name, content.getbuffer())

    def rows(
        self, name: str, spans: Iterable[tuple[int, int]] | None = None, *, cut: bool = False
    ) -> list[NDArray[Any]]:
        """The rows ``first`` to ``stop`` of :meth:`save_rows`, for each of some spans; or all.

        ``cut`` : a span may end after the last row.
        """
        with self.open(name) as handle, reaching(self.where(name)):
            head = handle.read(None if spans is None else HEADER)  # as few requests as can be
            try:
                shape, dtype, begin = _header(io.BytesIO(head))
            except (ValueError, EOFError) as error:
                raise self._broken(name) from error
            width = int(np.prod(shape[1:], dtype=np.int64))
            found = []
            for first, stop in [(0, shape[0])] if spans is None else spans:
                stop = min(stop, shape[0]) if cut else stop
                low, high = (begin + row * width * dtype.itemsize for row in (first, stop))
                if spans is not None:
                    handle.seek(low)
                part = memoryview(head)[low:high] if spans is None else handle.read(high - low)
                if len(part) != high - low:
                    raise self._broken(name)
                found.append(np.frombuffer(part, dtype).reshape(stop - first, *shape[1:]))
            return found

    def _broken(self, name: str) -> DataError:
        return DataError(
            f"{self.where(name)}: broken or cut off. Remove it, and run the same command again."
        )


def _header(handle: io.BytesIO) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Shape, type and where the values begin of an ``.npy`` file."""
    version = np.lib.format.read_magic(handle)
    shape, _, dtype = getattr(np.lib.format, f"read_array_header_{version[0]}_{version[1]}")(handle)
    return shape, dtype, handle.tell()


def _state(found: Any) -> tuple[int, int]:
    return int(found.size), int(found.mtime_ns or 0)
