"""From a collection's images to shards of features: on this machine or on a cluster, resumable."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UsageError
from usl.core.progress import Progress, silent
from usl.core.words import counted
from usl.data.addressed_images import AddressedImages
from usl.data.addresses import is_address
from usl.data.collection import Collection
from usl.data.image_source import Images
from usl.data.images import FileImages
from usl.data.parquet_images import ParquetImages
from usl.data.sinks import check_sink
from usl.data.tar_images import TarImages
from usl.engine.cluster import Cluster, check_engine, connect
from usl.engine.executor import OnRay, check_reached
from usl.engine.shards import Part, Shards, write_record
from usl.engine.store import Store
from usl.engine.streaming import stream
from usl.features.contract import Encoder, EncoderInfo, PrecisionName
from usl.features.head_encoder import LayerName, with_layer
from usl.features.open_encoder import file_of, open_encoder
from usl.features.pipeline import compute_rows, hash_images, twins
from usl.features.shard_pieces import (
    EncoderSource,
    Piece,
    Texts,
    decode_piece,
    encode_pieces,
    join_pieces,
    narrowed,
    told_why,
    write_part,
)
from usl.features.shard_plan import PLAN, ShardPlan, piece_name

SHARD_IMAGES = 16_384  # 40 MB of 1,280 numbers each
WAVE_IMAGES = 1 << 20  # that a cluster is given at a time: their names lie in its memory, too
LABEL = "images"


@dataclass(frozen=True, eq=False)
class EmbeddingInShards:
    """Features that were written as shards.

    Attributes
    ----------
    shards : the table, opened; nothing of it is read.
    skipped : ``(image_id, reason)`` of images that could not be read.
    encoder : what made the rows.
    computed, reused : images of this call, and of an earlier one that this one went on with.
    seconds : all of it.
    images_per_second : of those computed, decoding included; 0 if there were none.
    """

    shards: Shards
    skipped: tuple[tuple[str, str], ...]
    encoder: EncoderInfo
    computed: int
    reused: int
    seconds: float
    images_per_second: float


def embed_shards(
    collection: Collection,
    out: str | os.PathLike[str],
    model: str | Encoder = "auto",
    *,
    layer: LayerName | None = None,
    precision: PrecisionName = "fp32",
    on_corrupt: Literal["skip", "fail"] = "skip",
    dtype: Literal["float16", "float32"] = "float16",
    shard_images: int = SHARD_IMAGES,
    batch_size: int | None = None,
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> EmbeddingInShards:
    """Encode every image of a collection into shards, under a folder or an address.

    Memory holds the collection's list of images, and features of one shard. A call that was
    interrupted goes on with the shards, and on a cluster the pieces of shards, that are there. On
    a cluster all hosts must reach the images, ``out`` and the encoder's weights under the same
    names.

    Parameters
    ----------
    collection : what to encode.
    out : folder or address for the shards.
    model, layer, precision, on_corrupt, batch_size : as in :func:`usl.features.embed.embed`.
    dtype : of the features in the shards.
    shard_images : images per shard.
    engine : local for this machine, ray for a cluster.
    address : of the Ray cluster; default: one of this machine's cores, until the work is done.
    overwrite : replace another embedding under ``out``.
    progress : called with the images encoded so far and in all.

    Raises
    ------
    UsageError
        a parameter out of range, a collection of given features, or another embedding under
        ``out``.
    DataError
        an unreadable image if ``on_corrupt="fail"``, none that is readable, or features that
        ``dtype`` cannot hold.
    ClusterError
        no cluster at the address, or one that has lost its workers or is full.
    """
    began = time.perf_counter()
    check_engine(engine, address)
    _check(collection, on_corrupt, dtype, shard_images, batch_size)
    check_sink(out)
    store = Store(os.fspath(out) if is_address(out) else str(Path(out).expanduser().absolute()))
    encoder = open_encoder(with_layer(model, layer)) if isinstance(model, str) else model
    if precision != "fp32":  # an encoder that computes in another already keeps it
        encoder = encoder.in_precision(precision)
    encoder.check_weights()
    plan = ShardPlan.of(store, collection, encoder, shard_images, dtype)
    plan.begin(overwrite=overwrite)
    parts = plan.finished()
    ready = sum(len(plan.rows(shard)) for shard in parts)
    to_do = [shard for shard in range(plan.shards) if shard not in parts]
    working = time.perf_counter()
    computed = 0
    if engine == "ray" and to_do:
        name = encoder if isinstance(model, Encoder) else _everywhere(with_layer(model, layer))
        source = EncoderSource(name, encoder.precision, encoder.key)
        told = _Told(progress, ready, plan.n)
        with connect(address) as cluster:
            check_reached(cluster, store, PLAN)
            if first := _first_file(collection.images):  # else a host would miss them all
                folder, name = os.path.split(first)
                if Store(folder).has(name):  # not gone since it was listed
                    check_reached(cluster, Store(folder), name)
            work = _OnCluster(cluster, collection, plan, source, on_corrupt, batch_size, told)
            parts |= dict(work.run(to_do))
        computed = told.computed
    for shard in to_do if engine == "local" else ():
        parts[shard] = _one_shard(collection, encoder, plan, shard, on_corrupt, batch_size)
        computed += len(plan.rows(shard))
        progress(ready + computed, plan.n, LABEL)
    working = time.perf_counter() - working
    skipped = [pair for pairs in plan.unread().values() for pair in pairs]
    if len(skipped) == plan.n:
        raise DataError(
            f"{collection.source}: none of the {counted(plan.n, 'image')} could be read; the "
            f"first: {skipped[0][1]}"
        )
    done = [parts[shard] for shard in range(plan.shards)]
    plan.remove_pieces()
    shards = write_record(store.root, encoder.dim, done, plan.encoder)
    return EmbeddingInShards(
        shards=shards,
        skipped=tuple(skipped),
        encoder=encoder.info(),
        computed=computed,
        reused=plan.n - computed,
        seconds=time.perf_counter() - began,
        images_per_second=computed / working if computed else 0.0,
    )


def _check(
    collection: Collection, on_corrupt: str, dtype: str, shard_images: int, batch_size: int | None
) -> None:
    """Refuse parameters out of range, and a collection without pictures."""
    if on_corrupt not in ("skip", "fail"):
        raise UsageError(f"on_corrupt: {on_corrupt!r} given; use skip or fail.")
    if dtype not in ("float16", "float32"):
        raise UsageError(f"dtype: {dtype!r} given; use float16 or float32.")
    for name, number in (("shard_images", shard_images), ("batch_size", batch_size)):
        if number is not None and number < 1:
            raise UsageError(f"{name}: {number} given; use at least 1.")
    if collection.images is None:
        raise UsageError(
            f"{collection.source}: holds features, no images, so there is nothing to encode. Name "
            "the images."
        )


def _everywhere(name: str) -> str:
    """An encoder's name, with a file in it as a path that does not depend on where one stands."""
    file = file_of(name)
    return name.replace(file, os.path.abspath(file)) if os.path.exists(file) else name


def _one_shard(
    collection: Collection,
    encoder: Encoder,
    plan: ShardPlan,
    shard: int,
    on_corrupt: str,
    batch_size: int | None,
) -> Part:
    """Encode a shard in this process, with threads that decode ahead."""
    part = collection.take(plan.rows(shard))
    assert part.images is not None
    hashes = hash_images(part.images, None, on_corrupt, silent)
    reasons = dict(hashes.reasons)
    rows = np.empty((len(part), encoder.dim), encoder.dtype)
    done = np.zeros(len(part), dtype=bool)
    to_do = np.array([row for row in range(len(part)) if row not in reasons], dtype=np.int64)
    encoded, found = compute_rows(
        part,
        encoder,
        to_do,
        hashes,
        known=lambda digest: False,
        out=rows,
        store=None,
        on_corrupt=on_corrupt,
        batch_size=batch_size or encoder.batch_size,
        workers=None,
        progress=silent,
    )
    done[encoded] = True
    same, like = twins(hashes.digests, done)
    rows[same] = rows[like]
    done[same] = True
    kept = np.flatnonzero(done)
    paths, spans = places_of(part.images)
    return write_part(
        plan.store,
        shard,
        told_why(part.ids, hashes.digests, reasons | found, done),
        ids=part.ids[kept],
        digests=hashes.digests[kept],
        rows=narrowed(rows[kept], plan.dtype, part.ids[kept]),
        paths=None if paths is None else paths[kept],
        spans=None if spans is None else spans[kept],
    )


def places_of(images: Images) -> tuple[Texts | None, NDArray[np.int64] | None]:
    """Where each image lies, as far as it can be read again by itself.

    Returns paths or addresses, str [n]; and of members of tars offset and size, int64 [n, 2].
    """
    each = range(len(images))
    if isinstance(images, FileImages):
        return np.array([os.path.abspath(images.path(row)) for row in each]), None
    if isinstance(images, AddressedImages):
        return np.array([images.where(row) for row in each]), None
    if isinstance(images, TarImages):
        return np.array([images.address(row) for row in each]), images.places[:, 1:]
    return None, None


def _first_file(images: Images | None) -> str:
    """The path of the first file that images lie in on this machine's disks; "" without one."""
    if isinstance(images, FileImages):
        return os.path.abspath(images.path(0))
    if isinstance(images, TarImages) and not images.far:
        return os.path.abspath(images.shards[0])
    return os.path.abspath(images.files[0]) if isinstance(images, ParquetImages) else ""


@dataclass
class _Told:
    """Progress of images, of which ``ready`` were done before."""

    progress: Progress
    ready: int
    total: int
    computed: int = 0

    def skip(self, images: int) -> None:
        """Count images that turn out to be done."""
        self.ready += images

    def add(self, images: int) -> None:
        """Count images that were encoded now."""
        self.computed += images
        self.progress(self.ready + self.computed, self.total, LABEL)


@dataclass
class _OnCluster:
    """The work of a cluster: pieces are decoded and encoded, and those of a shard are joined."""

    cluster: Cluster
    collection: Collection
    plan: ShardPlan
    source: EncoderSource
    on_corrupt: str
    batch_size: int | None
    told: _Told

    def run(self, to_do: list[int]) -> Iterator[tuple[int, Part]]:
        """Make these shards, some at a time."""
        several = max(1, WAVE_IMAGES // self.plan.shard_images)
        there = self.plan.pieces_there()
        for first in range(0, len(to_do), several):
            yield from self._wave(to_do[first : first + several], there)

    def _wave(self, to_do: list[int], there: set[str]) -> Iterator[tuple[int, Part]]:
        plan, store = self.plan, self.plan.store
        missing: dict[int, int] = {}  # pieces of each shard that are still to come
        pieces: list[Piece] = []
        for shard in to_do:
            own = list(enumerate(plan.pieces(shard)))
            new = [(number, rows) for number, rows in own if piece_name(shard, number) not in there]
            missing[shard] = len(new)
            self.told.skip(sum(len(rows) for _, rows in own) - sum(len(rows) for _, rows in new))
            pieces += [self._piece(shard, number, rows) for number, rows in new]
        joins = OnRay(self.cluster)
        join = partial(joins.start, join_pieces, label=LABEL)
        joining = {s: join((store, s, len(plan.pieces(s)))) for s in to_do if not missing[s]}
        if pieces:
            decode = partial(decode_piece, source=self.source, on_corrupt=self.on_corrupt)
            make = partial(encode_pieces, self.source, store, plan.dtype, self.batch_size)
            for done in stream(self.cluster, pieces, decode, make, label=LABEL):
                missing[done.shard] -= 1
                if not missing[done.shard]:
                    count = len(plan.pieces(done.shard))
                    joining[done.shard] = join((store, done.shard, count))
                self.told.add(done.images)
        for shard, result in joining.items():
            yield shard, result()
        plan.remove_pieces()

    def _piece(self, shard: int, number: int, rows: NDArray[np.int64]) -> Piece:
        """A piece as it travels: without what only this process needs."""
        images: Any = self.collection.images
        part = images.take(rows)
        if getattr(part, "memo", None) is not None:  # would be read, and written, for each piece
            part.memo = None
        if isinstance(part, FileImages):
            part.root = Path(os.path.abspath(part.root))
        if isinstance(part, ParquetImages):
            part.files = [Path(os.path.abspath(file)) for file in part.files]
        return Piece(shard, number, self.collection.ids[rows], part, *places_of(part))
