"""What workers do for an embedding in shards: decode a piece, encode it, join pieces to a shard.

A piece is written as a file once it is encoded, so that a worker that is lost costs pieces alone;
features never pass through the process that leads the work.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, StoreError
from usl.core.progress import silent
from usl.data.image_source import Images, threads_for
from usl.engine.shards import Part, write_shard
from usl.engine.store import Store
from usl.features.cache import Digests
from usl.features.contract import Encoder, PrecisionName
from usl.features.open_encoder import open_encoder
from usl.features.pipeline import Decoder, ahead, check_encoded, hash_images, twins
from usl.features.shard_plan import Skipped, piece_name, unread_name

Texts = NDArray[np.str_]


@dataclass(frozen=True)
class EncoderSource:
    """How every worker gets the encoder: by its name, or itself.

    ``key`` is the one that the process that leads the work has found under that name.
    """

    encoder: str | Encoder
    precision: PrecisionName
    key: str

    def open(self) -> Encoder:
        """The encoder, opened once in each process.

        Raises :class:`DataError` where its weights are not here, or are others.
        """
        return _opened(self.encoder, self.precision, self.key)


@lru_cache(1)
def _opened(name: str | Encoder, precision: PrecisionName, key: str) -> Encoder:
    encoder = open_encoder(name).in_precision(precision) if isinstance(name, str) else name
    if encoder.key != key:
        raise DataError(
            f"encoder {encoder.name!r}: a worker has other weights of it, or another version of "
            "its packages. Install the same on every host."
        )
    return encoder


@dataclass(frozen=True, eq=False)
class Piece:
    """Images of a shard that are decoded at a time, and where they lie, as far as that is known.

    ``paths``, ``spans`` : see :func:`usl.engine.shards.write_shard`.
    """

    shard: int
    number: int
    ids: Texts
    images: Images
    paths: Texts | None = None
    spans: NDArray[np.int64] | None = None


@dataclass(frozen=True, eq=False)
class Decoded:
    """A piece whose b different pictures are ``prepared`` for the encoder.

    ``kept`` int64 [r], the rows of the piece that could be read; ``places`` int64 [r], for each
    its picture; ``digests`` of all rows.
    """

    piece: Piece
    prepared: list[NDArray[Any]]
    kept: NDArray[np.int64]
    places: NDArray[np.int64]
    digests: Digests
    skipped: Skipped


@dataclass(frozen=True)
class PieceDone:
    """A piece that is written."""

    shard: int
    number: int
    images: int


def decode_piece(piece: Piece, *, source: EncoderSource, on_corrupt: str) -> Decoded:
    """Read, hash and prepare a piece, as :func:`usl.features.embed.embed` does.

    Raises :class:`DataError` at the first image that cannot be read if ``on_corrupt="fail"``, and
    :class:`StoreError` where a store refuses.
    """
    n = len(piece.ids)
    threads = threads_for(piece.images) or 1  # every core decodes a piece of its own
    hashes = hash_images(piece.images, threads, on_corrupt, silent)
    decode = Decoder(piece.images, source.open(), hashes, lambda digest: False)
    prepared: list[NDArray[Any]] = []
    reasons = dict(hashes.reasons)
    place = np.full(n, -1)
    places = list(enumerate(row for row in range(n) if row not in hashes.reasons))
    with closing(ahead(decode, places, threads, depth=2 * threads)) as results:
        for (_, row), result in zip(places, results, strict=True):
            if isinstance(result, DataError):
                if on_corrupt == "fail" or isinstance(result, StoreError):
                    raise result
                reasons[row] = str(result)
            elif result is not None:
                place[row] = len(prepared)
                prepared.append(result)
    same, like = twins(hashes.digests, place >= 0)
    place[same] = place[like]
    kept = np.flatnonzero(place >= 0)
    skipped = told_why(piece.ids, hashes.digests, reasons, place >= 0)
    return Decoded(piece, prepared, kept, place[kept], hashes.digests, skipped)


def told_why(
    ids: Texts, digests: Digests, reasons: dict[int, str], read: NDArray[np.bool_]
) -> Skipped:
    """Id and reason of the rows that were not ``read``; for a twin the reason of its content."""
    why = {digests[row]: reason for row, reason in reasons.items()}
    rows = np.flatnonzero(~read).tolist()
    return [(str(ids[row]), reasons.get(row) or why[digests[row]]) for row in rows]


def encode_pieces(
    source: EncoderSource, store: Store, dtype: str, batch_size: int | None
) -> Callable[[Decoded], PieceDone]:
    """Load the network; what encodes a piece and writes it to ``store``."""
    encoder = source.open()
    encoder.check_weights()
    size = batch_size or encoder.batch_size

    def encode(given: Decoded) -> PieceDone:
        piece, ids = given.piece, given.piece.ids
        features = np.empty((len(given.prepared), encoder.dim), encoder.dtype)
        made = ids[given.kept[np.unique(given.places, return_index=True)[1]]]  # one id of each
        for first in range(0, len(features), size):
            batch = encoder.forward(given.prepared[first : first + size])
            check_encoded(encoder, batch, made[first : first + size].tolist())
            features[first : first + size] = batch
        rows = narrowed(features, dtype, made)[given.places]
        written: dict[str, NDArray[Any]] = {
            "ids": ids[given.kept],
            "digests": given.digests[given.kept],
            "rows": rows,
        }
        for name, column in (("paths", piece.paths), ("spans", piece.spans)):
            if column is not None:
                written[name] = column[given.kept]
        skipped = np.array(given.skipped, dtype=np.str_).reshape(-1, 2)
        store.save(piece_name(piece.shard, piece.number), skipped=skipped, **written)
        return PieceDone(piece.shard, piece.number, len(ids))

    return encode


def narrowed(rows: NDArray[Any], dtype: str, ids: Texts) -> NDArray[Any]:
    """Rows in the type of a shard. DataError for an image whose features float16 cannot hold."""
    with np.errstate(over="ignore"):
        found = rows.astype(dtype)
    bad = np.flatnonzero(~np.isfinite(found).all(axis=1))
    if len(bad):
        raise DataError(
            f"{ids[bad[0]]}: its features are too large for {dtype}. Write them as float32: "
            "--dtype float32."
        )
    return found


def join_pieces(store: Store, shard: int, count: int) -> Part:
    """Make a shard of its ``count`` pieces, which stay, lest a lost worker leave half of them."""
    names = [piece_name(shard, number) for number in range(count)]
    parts = [store.load(name) for name in names]
    skipped = [(str(image), str(why)) for part in parts for image, why in part["skipped"]]
    together = {
        name: np.concatenate([part[name] for part in parts])
        for name in ("ids", "digests", "paths", "spans", "rows")
        if all(name in part for part in parts)
    }
    return write_part(store, shard, skipped, **together)


def write_part(
    store: Store,
    shard: int,
    skipped: Skipped,
    *,
    ids: Texts,
    digests: Digests,
    rows: NDArray[Any],
    paths: Texts | None = None,
    spans: NDArray[np.int64] | None = None,
) -> Part:
    """Write a shard; the list of what it lacks comes first, since the shard makes it finished."""
    if skipped:
        store.write(unread_name(shard), json.dumps(skipped, ensure_ascii=False).encode())
    else:  # of a call that was stopped before the shard was written
        store.remove([unread_name(shard)])
    return write_shard(
        store.root,
        shard,
        ids.tolist(),
        rows,
        digests=digests.astype(np.str_).tolist(),
        paths=_texts(paths),
        spans=spans,
    )


def _texts(found: Texts | None) -> Sequence[str] | None:
    return None if found is None else found.tolist()
