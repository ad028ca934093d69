"""Pictures in tar files, each read by itself from where it lies.

One has an address as fsspec chains them, ``tar://MEMBER::TAR``: TAR is an absolute path or an
address, and MEMBER the name in it (``tar://000123.jpg::s3://bucket/photos-0003.tar``).
"""

from __future__ import annotations

import re
import threading
from collections import Counter, OrderedDict
from collections.abc import Sequence
from copy import copy
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usl.core.errors import DataError
from usl.data.addresses import is_address, open_filesystem, reaching, read_range, shown
from usl.data.digests import DigestMemo
from usl.data.stored_bytes import StoredBytes

OPEN = 64  # tars that are open at a time
CHAINED = re.compile(r"tar://(.+)::(/.*|[A-Za-z]:[/\\].*|[A-Za-z][A-Za-z0-9+.-]*://.*)", re.S)


def member_of(address: str) -> tuple[str, str] | None:
    """The member's name and the tar that an address stands for; None where it stands for none."""
    found = CHAINED.fullmatch(address)
    return None if found is None else (found[1], found[2])


class TarImages(StoredBytes):
    """Members of several tars.

    Parameters
    ----------
    shards : paths or addresses.
    versions : of each, as of :func:`usl.data.addresses.version_of`.
    names : str [n], the members.
    places : int64 [n, 3]: the number of the shard, the member's first byte and its size in bytes.
    called : what the shards are called in messages, and in the memo; None for their paths.
    memo : where digests are remembered between runs.
    max_pixels : of an image that is still decoded; None for Pillow's limit.
    """

    CHANGED = "cut short, or changed since it was listed. Run the same command again."

    def __init__(
        self,
        shards: Sequence[str],
        versions: Sequence[int],
        names: Sequence[str] | NDArray[Any],
        places: NDArray[np.int64],
        *,
        called: Sequence[str] | None = None,
        memo: DigestMemo | None = None,
        max_pixels: int | None = None,
    ) -> None:
        self.shards, self.versions = list(shards), list(versions)
        self.called = list(map(shown, shards) if called is None else called)
        self.names: NDArray[np.object_] = np.asarray(names, dtype=object)
        self.places = places
        self.far = any(map(is_address, shards))
        self.memo = memo
        self.max_pixels = max_pixels
        self.scaled: Counter[str] = Counter()
        self._close()

    def _close(self) -> None:
        self._lock = threading.Lock()
        self._open: OrderedDict[int, tuple[Any, str, Any]] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        """Pickled (for worker processes) without what is open."""
        return {
            name: held for name, held in self.__dict__.items() if name not in ("_lock", "_open")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """With nothing open."""
        self.__dict__.update(state)
        self._close()

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.names)

    def take(self, rows: ArrayLike) -> TarImages:
        """The members at ``rows``, and the shards that hold them: a few travel light."""
        chosen = np.asarray(rows, dtype=np.int64)
        taken = copy(self)
        taken.names, taken.places = self.names[chosen], self.places[chosen]
        used = np.zeros(len(self.shards), dtype=bool)
        used[taken.places[:, 0]] = True
        taken.places[:, 0] = (np.cumsum(used) - 1)[taken.places[:, 0]]
        for name in ("shards", "versions", "called"):
            setattr(taken, name, list(compress(getattr(self, name), used)))
        return taken

    def where(self, row: int) -> str:
        """The shard, and the member's name."""
        return f"{self.called[self.places[row, 0]]}, {self.names[row]}"

    def address(self, row: int) -> str:
        """The member's address, in which no secret is."""
        return f"tar://{self.names[row]}::{self.called[self.places[row, 0]]}"

    def content(self, row: int) -> bytes:
        """Read a member's bytes.

        Raises
        ------
        DataError
            naming the shard and the member: gone, or other than it was.
        StoreError
            its store refuses, or cannot be reached.
        """
        shard, start, size = map(int, self.places[row])
        with reaching(self.where(row)):
            filesystem, path, handle = self._opened(shard)
            content = read_range(filesystem, path, start, size, handle)
        if not self.is_same(row, content):
            raise DataError(f"{self.where(row)}: {self.CHANGED}")
        return content

    def is_same(self, row: int, content: bytes) -> bool:
        """Whether what was read can be the member, and not what a tar has there now."""
        return len(content) == int(self.places[row, 2])

    def remembered_as(self, row: int) -> tuple[str, tuple[int, int]]:
        """Its shard and name; its size, and the shard's version."""
        shard, _, size = map(int, self.places[row])
        return f"{self.called[shard]}:{self.names[row]}", (size, self.versions[shard])

    def _opened(self, shard: int) -> tuple[Any, str, Any]:
        with self._lock:
            if shard not in self._open:
                filesystem, path = open_filesystem(self.shards[shard])
                fsspec = filesystem.type_name.startswith("py")
                handle = None if fsspec else filesystem.open_input_file(path)
                self._open[shard] = filesystem, path, handle
                while len(self._open) > OPEN:
                    self._open.popitem(last=False)
            self._open.move_to_end(shard)
            return self._open[shard]
