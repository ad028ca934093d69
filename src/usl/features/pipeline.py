"""The work behind :func:`usl.features.embed.embed`: hash, decode ahead, encode, store in shards."""

from __future__ import annotations

import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UslWarning
from usl.core.progress import Progress
from usl.data.collection import Collection, Images
from usl.features.cache import Digests, FeatureCache, as_digests
from usl.features.contract import Encoder
from usl.numeric.blocks import thread_count

SHARD_IMAGES = 2000  # finished rows are stored after this many images,
SHARD_SECONDS = 30.0  # or after this long
HASH_BLOCK = 256  # images per task: a digest alone is too little work for one
MAX_WORKERS = 8  # decoding threads by default; more only wait for the interpreter lock

Reasons = dict[int, str]  # row of the collection -> why its image cannot be used


def ahead(
    function: Callable[[Any], Any], items: Sequence[Any], workers: int | None, depth: int
) -> Generator[Any, None, None]:
    """Yield ``function(item)`` in order, computed by threads at most ``depth`` items ahead.

    Memory is bounded by ``depth`` results. When the consumer stops, so do the threads, after the
    item in hand.
    """
    with ThreadPoolExecutor(workers or min(MAX_WORKERS, thread_count())) as pool:
        waiting: deque[Future[Any]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def hash_images(
    images: Images, workers: int | None, on_corrupt: str, progress: Progress
) -> tuple[Digests, Reasons]:
    """Content hash of every image, ``S`` [n], empty where it cannot be read, and why not."""
    n = len(images)
    reasons: Reasons = {}

    def hash_block(start: int) -> list[str]:
        found = []
        for row in range(start, min(start + HASH_BLOCK, n)):
            try:
                found.append(images.digest(row))
            except DataError as error:
                if on_corrupt == "fail":
                    raise
                reasons[row] = str(error)
                found.append("")
        return found

    digests: list[Digests] = [np.empty(0, dtype="S1")]
    count = 0
    for block in ahead(hash_block, range(0, n, HASH_BLOCK), workers, depth=64):
        digests.append(as_digests(block))
        count += len(block)
        progress(count, n, "hash")
    return np.concatenate(digests), reasons


class ShardWriter:
    """Collects finished rows and stores them now and then; a cache it cannot write it gives up."""

    def __init__(self, store: FeatureCache | None) -> None:
        self._store = store
        self._digests: list[Digests] = []
        self._rows: list[NDArray[Any]] = []
        self._since = time.monotonic()

    def add(self, digests: Digests, rows: NDArray[Any]) -> None:
        """Take the finished rows [b, dim] of a batch."""
        if self._store is None or len(rows) == 0:
            return
        self._digests.append(digests)
        self._rows.append(rows)
        waiting = sum(len(part) for part in self._rows)
        if waiting >= SHARD_IMAGES or time.monotonic() - self._since >= SHARD_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Store what is waiting."""
        if self._store is not None and self._rows:
            try:
                self._store.add(np.concatenate(self._digests), np.concatenate(self._rows))
            except (OSError, DataError) as error:  # a full disk is the latter
                why = error.__cause__ or error
                warnings.warn(
                    f"cache: {self._store.folder} cannot be written ({why}); features are "
                    "computed without a cache. Point USL_CACHE to a folder with space.",
                    UslWarning,
                    stacklevel=4,
                )
                self._store = None
        self._digests, self._rows = [], []
        self._since = time.monotonic()


def compute_rows(
    collection: Collection,
    encoder: Encoder,
    to_do: NDArray[np.int64],
    digests: Digests,
    *,
    out: NDArray[Any],
    store: FeatureCache | None,
    on_corrupt: str,
    batch_size: int,
    workers: int | None,
    progress: Progress,
) -> Reasons:
    """Encode the images ``to_do`` (rows of the collection) into ``out``; return the failures.

    Whatever ends the work early, an error or Ctrl-C, the finished rows are stored first.
    """
    images = collection.images
    assert images is not None
    reasons: Reasons = {}
    writer = ShardWriter(store)
    rows: list[int] = []
    prepared: list[NDArray[Any]] = []

    def read(row: int) -> NDArray[Any] | DataError:
        try:
            return encoder.prepare(images.read(row))
        except DataError as error:
            return error

    def encode_batch() -> None:
        if rows:
            features = encoder.forward(prepared)
            _check(encoder, features, [str(collection.ids[row]) for row in rows])
            out[rows] = features
            writer.add(digests[rows], features)
            rows.clear()
            prepared.clear()

    try:
        with closing(ahead(read, to_do.tolist(), workers, depth=2 * batch_size)) as queue:
            for count, (row, result) in enumerate(zip(to_do.tolist(), queue, strict=True), 1):
                if isinstance(result, DataError):
                    if on_corrupt == "fail":
                        raise result
                    reasons[row] = str(result)
                else:
                    rows.append(row)
                    prepared.append(result)
                if len(rows) == batch_size or count == len(to_do):
                    encode_batch()
                    progress(count, len(to_do), "images")
    finally:
        writer.flush()
    return reasons


def _check(encoder: Encoder, features: NDArray[Any], ids: list[str]) -> None:
    """Refuse what must never reach the cache: wrong shapes, NaN, infinity."""
    if features.shape != (len(ids), encoder.dim) or features.dtype != encoder.dtype:
        raise DataError(
            f"encoder {encoder.name!r} gave {features.dtype} {list(features.shape)} for "
            f"{len(ids)} images, not {encoder.dtype} {[len(ids), encoder.dim]}."
        )
    if features.dtype.kind == "f":
        bad = np.flatnonzero(~np.isfinite(features).all(axis=1))
        if len(bad):
            raise DataError(
                f"encoder {encoder.name!r} gave NaN or infinity for {ids[bad[0]]}: its weights "
                "are damaged, or do not belong to this architecture."
            )
