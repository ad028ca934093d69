"""Pictures below an address, read as they are needed; see :mod:`usl.data.addresses`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from copy import copy
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usl.core.errors import DataError
from usl.data.addresses import WEB, check_address, open_filesystem, reaching, read_bytes, shown
from usl.data.digests import DigestMemo
from usl.data.stored_bytes import StoredBytes

UNKNOWN = -1  # size of what was not listed


class AddressedImages(StoredBytes):
    """Image files below the address of a folder.

    Parameters
    ----------
    root : the address, without a slash at its end.
    names : what follows after the slash, one per row.
    states : int64 [n, 2], size in bytes (-1: unknown) and version (0: unknown) when they were
        listed; see :func:`usl.data.addresses.version_of`.
    max_pixels : of an image that is still decoded; None for Pillow's limit.
    """

    far = True

    def __init__(
        self,
        root: str,
        names: Sequence[str] | NDArray[Any],
        states: NDArray[np.int64],
        *,
        max_pixels: int | None = None,
    ) -> None:
        self.root = root
        self.names: NDArray[np.object_] = np.asarray(names, dtype=object)
        self.states = states
        self.max_pixels = max_pixels
        self.memo = DigestMemo.called(shown(root).encode())
        self.scaled: Counter[str] = Counter()
        self._opened: tuple[Any, str] | None = None
        self._on_web = check_address(root) in WEB

    def __getstate__(self) -> dict[str, Any]:
        """Pickled (for worker processes) without what is open."""
        return {**self.__dict__, "_opened": None}

    def __len__(self) -> int:
        """Number of images."""
        return len(self.names)

    def take(self, rows: ArrayLike) -> AddressedImages:
        """The same address restricted to ``rows``."""
        chosen = np.asarray(rows, dtype=np.int64)
        taken = copy(self)
        taken.names, taken.states = self.names[chosen], self.states[chosen]
        return taken

    def where(self, row: int) -> str:
        """The address of a row's file."""
        return f"{shown(self.root)}/{self.names[row]}"

    def content(self, row: int) -> bytes:
        """Read a row's file.

        Raises
        ------
        DataError
            naming the address: it is gone, or of another size than when it was listed.
        StoreError
            the store refuses, or cannot be reached.
        """
        if self._opened is None:
            self._opened = open_filesystem(self.root)
        filesystem, folder = self._opened
        name, size = str(self.names[row]), int(self.states[row, 0])
        with reaching(self.where(row)):
            path = f"{folder}/{quote(name, safe='/%') if self._on_web else name}"
            content = read_bytes(filesystem, path)
        if size not in (UNKNOWN, len(content)):
            raise DataError(
                f"{self.where(row)}: {len(content):,} bytes, but {size:,} when the folder was "
                "listed: it has changed since. Run the same command again."
            )
        return content

    def remembered_as(self, row: int) -> tuple[str, tuple[int, int]]:
        """Its name below the address; its size and version when it was listed."""
        return str(self.names[row]), (int(self.states[row, 0]), int(self.states[row, 1]))
