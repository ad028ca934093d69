"""What an embedding in shards is to make, and what of it is there already.

===================== ============================================================================
part-00000.parquet    a finished shard, see :mod:`usl.engine.shards`
_unread/00000.json    images of a shard that could not be read: ``[[image_id, reason], ...]``
_pieces/00000-000.npz rows of a shard that is not finished
_embedding.json       what is made here: encoder, images, and how they are dealt to shards
_features.json        the record, last of all
===================== ============================================================================
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from posixpath import basename
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UsageError
from usl.core.hashing import array_digest
from usl.data.collection import Collection
from usl.engine.shards import RECORD, Part, shard_name
from usl.engine.store import Store
from usl.features.contract import Encoder

PLAN, PIECES, UNREAD = "_embedding.json", "_pieces", "_unread"
PIECE_IMAGES = 256  # that go through the object store at a time: 150 MB of float32 at 224 x 224

Skipped = list[tuple[str, str]]  # (image_id, reason)


@dataclass(frozen=True)
class ShardPlan:
    """An embedding of ``n`` images into shards of ``shard_images`` at ``store``.

    ``encoder`` is the record of what makes the rows, ``ids`` a hash of the collection's ids,
    ``dtype`` that of the rows.
    """

    store: Store
    n: int
    shard_images: int
    encoder: Mapping[str, Any]
    ids: str
    dtype: str

    @classmethod
    def of(
        cls, store: Store, collection: Collection, encoder: Encoder, shard_images: int, dtype: str
    ) -> ShardPlan:
        """The plan for all images of a collection."""
        record, ids = encoder.info().record(), array_digest(collection.ids)
        return cls(store, len(collection), shard_images, record, ids, dtype)

    @property
    def shards(self) -> int:
        """How many shards there will be."""
        return -(-self.n // self.shard_images)

    def rows(self, shard: int) -> NDArray[np.int64]:
        """The rows of the collection in a shard."""
        first = shard * self.shard_images
        return np.arange(first, min(first + self.shard_images, self.n))

    def pieces(self, shard: int) -> list[NDArray[np.int64]]:
        """The same, as the pieces that a worker encodes at a time."""
        rows = self.rows(shard)
        return [rows[at : at + PIECE_IMAGES] for at in range(0, len(rows), PIECE_IMAGES)]

    def begin(self, *, overwrite: bool) -> None:
        """Claim the place; what the same embedding has left there stays.

        Raises :class:`UsageError` where another one, or anything else, lies.
        """
        there, here = self._there(), self._record()
        if there == here and not overwrite:
            return
        where = self.store.where("").rstrip("/")
        claimed = set(self.store.sizes()) <= {PLAN} and not self.pieces_there()  # and no more
        if not overwrite and not claimed:
            what = "files" if there is None else _differences(there, here)
            raise UsageError(
                f"{where}: holds {what}. Name an empty place, or replace what is there: "
                "--overwrite."
            )
        if overwrite:
            self._clear()
        self.store.write(PLAN, json.dumps(here, indent=1, ensure_ascii=False).encode())

    def finished(self) -> dict[int, Part]:
        """The shards that are there, by number."""
        sizes, unread = self.store.sizes(), self.unread()
        found = {}
        for shard in range(self.shards):
            size = sizes.get(name := shard_name(shard))
            if size is not None:
                skipped = len(unread.get(shard, ()))
                found[shard] = Part(name, len(self.rows(shard)) - skipped, size)
        return found

    def unread(self) -> dict[int, Skipped]:
        """The images that could not be read, by shard, in its order; of those that lack any."""
        there = self.store.sizes(UNREAD)
        names = {shard: unread_name(shard) for shard in range(self.shards)}
        lacking = {shard: name for shard, name in names.items() if basename(name) in there}
        return {shard: self._unread(name) for shard, name in lacking.items()}

    def _unread(self, name: str) -> Skipped:
        with self.store.open(name) as handle:
            content = handle.read()
        try:
            return [(str(image), str(reason)) for image, reason in json.loads(content)]
        except (ValueError, TypeError) as error:
            raise DataError(
                f"{self.store.where(name)}: broken. Embed again: --overwrite."
            ) from error

    def pieces_there(self) -> set[str]:
        """Names of the pieces that are there."""
        return {f"{PIECES}/{name}" for name in self.store.sizes(PIECES)}

    def remove_pieces(self) -> None:
        """Remove all pieces: the shards that they belong to are finished."""
        self.store.remove_folder(PIECES)

    def _record(self) -> dict[str, Any]:
        return {
            "encoder": dict(self.encoder),
            "images": self.n,
            "ids": self.ids,
            "shard_images": self.shard_images,
            "piece_images": PIECE_IMAGES,
            "dtype": self.dtype,
        }

    def _there(self) -> dict[str, Any] | None:
        """The record of what is made at the place; None where there is none."""
        if not self.store.has(PLAN):
            return None
        with self.store.open(PLAN) as handle:
            try:
                found: dict[str, Any] = json.loads(handle.read())
            except ValueError:
                found = {}
        return found

    def _clear(self) -> None:
        """Remove an older embedding, its record first."""
        shards = [n for n in self.store.sizes() if n.startswith("part-") and n.endswith(".parquet")]
        self.store.remove([RECORD, PLAN, *shards])
        for folder in (PIECES, UNREAD):
            self.store.remove_folder(folder)


def piece_name(shard: int, number: int) -> str:
    """The file of a piece."""
    return f"{PIECES}/{shard:05d}-{number:03d}.npz"


def unread_name(shard: int) -> str:
    """The file of a shard's images that could not be read."""
    return f"{UNREAD}/{shard:05d}.json"


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """What tells the embedding at a place from the one that is asked for."""
    words: Sequence[tuple[str, str]] = (
        ("encoder", "by another encoder"),
        ("ids", "of other images"),
        ("images", "of other images"),
        ("dtype", "of another dtype"),
        ("shard_images", "in shards of another size"),
        ("piece_images", "of another version of usl"),
    )
    found = [word for name, word in words if there.get(name) != here[name]]
    return f"an embedding {', '.join(dict.fromkeys(found))}"
