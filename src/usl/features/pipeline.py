"""The work behind :func:`usl.features.embed.embed`: hash, decode ahead, encode, store in shards.

Threads read, hash, decode and resize; the one that asked runs the network on batches. A file whose
hash is not known yet is read once, for its hash and its pixels.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, StoreError, UslWarning
from usl.core.progress import Progress
from usl.data.collection import Collection
from usl.data.image_source import Images, StoredImages, threads_for
from usl.features.cache import Digests, FeatureCache, as_digests
from usl.features.contract import Encoder
from usl.numeric.blocks import thread_count

SHARD_IMAGES = 2000  # finished rows are stored after this many images,
SHARD_SECONDS = 30.0  # or after this long
HASH_BLOCK = 256  # images per task: a digest alone is too little work for one
MAX_WORKERS = 16  # decoding threads by default; more only wait for the interpreter lock
PIXELS = 100_000_000  # decoded at a time, of 4 bytes each; one picture may have more

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


@dataclass(frozen=True, eq=False)
class Hashes:
    """Content hashes of images.

    Attributes
    ----------
    digests : ``S`` [n]; empty where a picture cannot be read, or was not read yet.
    unread : bool [n], the latter.
    reasons : why the former cannot be read.
    """

    digests: Digests
    unread: NDArray[np.bool_]
    reasons: Reasons


def hash_images(
    images: Images,
    workers: int | None,
    on_corrupt: str,
    progress: Progress,
    *,
    every: bool = False,
) -> Hashes:
    """Content hash of every image, if it is known or need not be read again for the pixels.

    ``every`` : read those that are not known, too.
    """
    n = len(images)
    reasons: Reasons = {}
    known = isinstance(images, StoredImages) and not every
    find = images.known_digest if known else images.digest  # type: ignore[attr-defined]

    def hash_block(start: int) -> list[str | None]:
        found: list[str | None] = []
        for row in range(start, min(start + HASH_BLOCK, n)):
            try:
                found.append(find(row))
            except DataError as error:
                if on_corrupt == "fail" or isinstance(error, StoreError):
                    raise
                reasons[row] = str(error)
                found.append("")
        return found

    digests: list[Digests] = [np.empty(0, dtype="S32")]
    unread: list[NDArray[np.bool_]] = [np.empty(0, dtype=bool)]
    count = 0
    for block in ahead(
        hash_block, range(0, n, HASH_BLOCK), workers or threads_for(images), depth=64
    ):
        digests.append(as_digests([digest or "" for digest in block]))
        unread.append(np.array([digest is None for digest in block]))
        count += len(block)
        progress(count, n, "hash")
    return Hashes(np.concatenate(digests), np.concatenate(unread), reasons)


def twins(digests: Digests, done: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows that are not ``done`` and have the content of one that is, and for each such a row."""
    contents, same_as = np.unique(digests, return_inverse=True)
    maker = np.full(len(contents), -1)
    maker[same_as[done]] = np.flatnonzero(done)
    same = np.flatnonzero(~done & (maker[same_as] >= 0) & (digests != b""))
    return same, maker[same_as[same]]


class Room:
    """Room for so many pixels at a time; a picture of more is let in alone."""

    def __init__(self, pixels: int) -> None:
        self._free = self._all = pixels
        self._changed = threading.Condition()

    @contextmanager
    def place(self) -> Iterator[Callable[[int], None]]:
        """A place for one picture: what is yielded takes its pixels, and may wait for them."""
        taken = 0

        def take(pixels: int) -> None:
            nonlocal taken
            wanted = min(pixels, self._all) - taken
            with self._changed:
                self._changed.wait_for(lambda: wanted <= self._free)
                self._free -= wanted
                taken += wanted

        try:
            yield take
        finally:
            with self._changed:
                self._free += taken
                self._changed.notify_all()


class Turns:
    """Lets threads through one after the other, in the order of their numbers from 0."""

    def __init__(self) -> None:
        self._next = 0
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, number: int) -> Iterator[None]:
        """Wait for all lower numbers."""
        with self._changed:
            self._changed.wait_for(lambda: self._next == number)
            try:
                yield
            finally:
                self._next += 1
                self._changed.notify_all()


class Decoder:
    """Reads and prepares pictures, each content once, in several threads.

    Parameters
    ----------
    hashes : of all images; completed as they are read.
    known : contents that need not be decoded.
    """

    def __init__(
        self, images: Images, encoder: Encoder, hashes: Hashes, known: Callable[[bytes], bool]
    ) -> None:
        self._images, self._encoder, self._hashes, self._known = images, encoder, hashes, known
        self._seen = set(hashes.digests.tolist())
        self._turns, self._room = Turns(), Room(PIXELS)

    def __call__(self, place: tuple[int, int]) -> NDArray[Any] | DataError | None:
        """A row's picture, prepared; None if its content is known, or another row's.

        ``place``: the number of the call, from 0, and the row. Which of several rows with the same
        content is decoded follows from the numbers, not from the threads.
        """
        number, row = place
        stored = None
        try:
            try:
                if self._hashes.unread[row]:
                    stored = self._images.load(row)  # type: ignore[attr-defined]
            finally:
                with self._turns.turn(number):
                    new = stored is None or self._is_new(row, stored.digest.encode())
            if not new:
                return None
            with self._room.place() as take:
                return self._encoder.prepare(self._picture(row, stored, take))
        except DataError as error:
            return error

    def _is_new(self, row: int, digest: bytes) -> bool:
        self._hashes.digests[row] = digest
        if digest in self._seen or self._known(digest):
            return False
        self._seen.add(digest)
        return True

    def _picture(self, row: int, stored: Any, take: Callable[[int], None]) -> Any:
        least = self._encoder.least
        if stored is not None:
            return stored.decode(least, take)
        if isinstance(self._images, StoredImages):
            return self._images.read_scaled(row, least, take)
        return self._images.read(row)


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
    hashes: Hashes,
    *,
    known: Callable[[bytes], bool],
    out: NDArray[Any],
    store: FeatureCache | None,
    on_corrupt: str,
    batch_size: int,
    workers: int | None,
    progress: Progress,
) -> tuple[list[int], Reasons]:
    """Encode the images ``to_do`` (rows of the collection) into ``out``.

    Of those that were not read yet, ``hashes`` is completed, and only what is new is encoded:
    neither ``known`` nor the content of another row. Whatever ends the work early, an error or
    Ctrl-C, the finished rows are stored first.

    Returns
    -------
    The rows that were encoded, and why others failed.
    """
    images = collection.images
    assert images is not None
    reasons: Reasons = {}
    done: list[int] = []
    writer = ShardWriter(store)
    rows: list[int] = []
    prepared: list[NDArray[Any]] = []
    decoder = Decoder(images, encoder, hashes, known)
    total, count, told = len(to_do), 0, 0

    def encode_batch() -> None:
        if rows:
            features = encoder.forward(prepared)
            check_encoded(encoder, features, [str(collection.ids[row]) for row in rows])
            out[rows] = features
            writer.add(hashes.digests[rows], features)
            done.extend(rows)
            rows.clear()
            prepared.clear()

    try:
        places = list(enumerate(to_do.tolist()))
        with closing(
            ahead(decoder, places, workers or threads_for(images), depth=2 * batch_size)
        ) as queue:
            for (_, row), result in zip(places, queue, strict=True):
                if result is None:
                    total -= 1
                    continue
                count += 1
                if isinstance(result, DataError):
                    if on_corrupt == "fail" or isinstance(result, StoreError):
                        raise result
                    reasons[row] = str(result)
                else:
                    rows.append(row)
                    prepared.append(result)
                if len(rows) == batch_size:
                    encode_batch()
                    progress(count, total, "images")
                    told = count
        encode_batch()
        if count > told:
            progress(count, total, "images")
    finally:
        writer.flush()
    return done, reasons


def check_encoded(encoder: Encoder, features: NDArray[Any], ids: list[str]) -> None:
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
