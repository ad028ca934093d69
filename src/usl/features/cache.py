"""Raw feature rows by image content, on disk: ``<cache>/features/<key>-d2/*.shard`` (or ``d3``).

A shard is never changed once written. It holds, one after the other, two ``.npy`` arrays: the
digests (``S`` [r], sorted) and their rows (``[r, dim]``, the encoder's dtype, so that a cached row
is the computed row to the bit); the file's name is the hash of its bytes. Processes may share a
cache: each writes shards of its own, and an image computed twice is merely stored twice.
"""

from __future__ import annotations

import contextlib
import io
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.format import read_array, write_array
from numpy.typing import ArrayLike, NDArray

from usl.core.errors import DataError, UslWarning
from usl.core.files import atomic_write, cache_dir
from usl.core.hashing import bytes_digest

if TYPE_CHECKING:
    from usl.data.image_source import Images
    from usl.features.contract import Encoder

ENDING = ".shard"
DECODING = "d2"  # changes when pictures are decoded otherwise than before
AT_SCALE = "d3"  # in its place for pictures of files that may have been read at a scale

Digests = NDArray[np.bytes_]


@dataclass(frozen=True, eq=False)
class Index:
    """Where every cached row is: sorted unique ``digests``, with ``shard`` and ``row`` of each."""

    paths: tuple[Path, ...]
    digests: Digests
    shard: NDArray[np.int32]
    row: NDArray[np.int64]

    def find(self, digests: Digests) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Positions in the index [n] (arbitrary where not found) and which were found [n]."""
        if len(self.digests) == 0:
            return np.zeros(len(digests), dtype=np.int64), np.zeros(len(digests), dtype=bool)
        at = np.searchsorted(self.digests, digests)
        at = np.minimum(at, len(self.digests) - 1)
        return at, self.digests[at] == digests


class FeatureCache:
    """The cached rows of one encoder.

    Parameters
    ----------
    folder : where the shards lie; made at the first write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._damaged: set[Path] = set()

    @classmethod
    def open(
        cls,
        key: str,
        root: str | os.PathLike[str] | None = None,
        *,
        at_scale: bool = False,
    ) -> FeatureCache:
        """The cache of the encoder ``key`` below ``root`` (default: the user's cache folder).

        ``at_scale``: of pictures that were read at a scale, where their files could be.

        :class:`DataError` for a key that is no folder name; it may come out of anybody's run.
        """
        if Path(key).name != key or "\\" in key:
            raise DataError(f"encoder: {key!r} is no key of an encoder; the run has been changed.")
        decoding = AT_SCALE if at_scale else DECODING
        return cls((cache_dir() if root is None else Path(root)) / "features" / f"{key}-{decoding}")

    def contains(self, digests: ArrayLike) -> NDArray[np.bool_]:
        """Which of the hex ``digests`` [n] have a row, bool [n]. Reads and checks no rows."""
        return self._index().find(as_digests(digests))[1]

    def holds(self) -> Callable[[bytes], bool]:
        """Tells of a digest whether it has a row now. Reads and checks no rows."""
        index = self._index()
        return lambda digest: bool(index.find(np.array([digest]))[1][0])

    def fetch(
        self, digests: ArrayLike, out: NDArray[Any], into: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Copy the rows of ``digests`` [n] to ``out[into]`` and tell which were found, bool [n].

        Parameters
        ----------
        out : array [m, dim] of the encoder's dtype.
        into : rows of ``out``, int64 [n].

        A damaged shard is removed, with a :class:`UslWarning`: its images count as not found, and
        can be computed again.
        """
        wanted = as_digests(digests)
        index = self._index()
        at, found = index.find(wanted)
        hits = np.flatnonzero(found)
        shards = index.shard[at[hits]]
        for number in np.unique(shards):
            part = hits[shards == number]
            rows = self._rows(index.paths[number], out)
            if rows is None:  # look again without this shard: its rows may lie in another one
                return self.fetch(digests, out, into)
            out[into[part]] = rows[index.row[at[part]]]
        return found

    def add(self, digests: ArrayLike, rows: NDArray[Any]) -> None:
        """Store ``rows`` [r, dim] under their ``digests`` [r], as one new shard, or not at all."""
        keys = as_digests(digests)
        order = np.argsort(keys, kind="stable")
        content = io.BytesIO()
        write_array(content, keys[order], allow_pickle=False)
        write_array(content, np.ascontiguousarray(rows[order]), allow_pickle=False)
        name = bytes_digest(content.getbuffer())
        path = self.folder / f"{name}{ENDING}"
        with atomic_write(path) as handle:
            handle.write(content.getbuffer())
        self._damaged.discard(path)

    def _index(self) -> Index:
        """Read all shards' digests. Of an image stored twice, the first shard by name counts."""
        paths, keys = [], []
        try:
            shards = set(self.folder.glob(f"*{ENDING}"))
        except OSError:  # a cache that cannot be listed holds nothing
            shards = set()
        for path in sorted(shards - self._damaged):
            try:
                with open(path, "rb") as handle:
                    digests = read_array(handle, allow_pickle=False)
                if digests.dtype.kind != "S" or digests.ndim != 1:
                    raise ValueError("no digests")
            except Exception as error:  # a broken header can raise nearly anything
                self._drop(path, error)
                continue
            paths.append(path)
            keys.append(digests)
        if not keys:
            return Index((), np.empty(0, "S1"), np.empty(0, np.int32), np.empty(0, np.int64))
        sizes = [len(digests) for digests in keys]
        # np.unique's indices are those of first occurrences
        digests, first = np.unique(np.concatenate(keys), return_index=True)
        shard = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)[first]
        row = np.concatenate([np.arange(size, dtype=np.int64) for size in sizes])[first]
        return Index(tuple(paths), digests, shard, row)

    def _rows(self, path: Path, like: NDArray[Any]) -> NDArray[Any] | None:
        """A shard's rows after checking every byte, or None (with a warning) if it is damaged."""
        try:
            content = path.read_bytes()
            if bytes_digest(content) != path.stem:
                raise ValueError("its content does not match its name")
            stream = io.BytesIO(content)
            read_array(stream, allow_pickle=False)
            rows: NDArray[Any] = read_array(stream, allow_pickle=False)
            if rows.shape[1:] != like.shape[1:] or rows.dtype != like.dtype:
                raise ValueError(f"rows are {rows.dtype} {list(rows.shape)}")
        except Exception as error:  # a broken header can raise nearly anything
            self._drop(path, error)
            return None
        return rows

    def _drop(self, path: Path, error: Exception) -> None:
        """Pass over a shard from now on; remove it if its content is the trouble."""
        self._damaged.add(path)
        if isinstance(error, FileNotFoundError):  # somebody is clearing the cache
            return
        if not isinstance(error, OSError):
            with contextlib.suppress(OSError):
                path.unlink()
        warnings.warn(
            f"cache: {path} cannot be used ({error}); its images are computed again.",
            UslWarning,
            stacklevel=5,
        )


def encoder_cache(
    encoder: Encoder, images: Images, root: str | os.PathLike[str] | None = None
) -> FeatureCache:
    """The cache of an encoder's rows of these images, which may be read at a scale or not."""
    at_scale = encoder.least is not None and getattr(images, "scales", False)
    return FeatureCache.open(encoder.key, root, at_scale=at_scale)


def as_digests(digests: ArrayLike) -> Digests:
    """Hex digests as fixed-width bytes: a quarter of the memory of ``str``, and quick to sort."""
    return np.asarray(digests).astype("S")
