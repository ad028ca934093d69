"""From a collection's images to raw feature rows: cached by content, resumable, corrupt-proof."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UsageError, UslWarning
from usl.core.progress import Progress, expect, silent
from usl.core.words import counted
from usl.data.collection import Collection
from usl.data.image_source import Images
from usl.features.cache import FeatureCache, encoder_cache
from usl.features.contract import Encoder, EncoderInfo, PrecisionName
from usl.features.head_encoder import LayerName, with_layer
from usl.features.open_encoder import open_encoder
from usl.features.pipeline import Hashes, compute_rows, hash_images, twins
from usl.features.stages import embedding_stages, images_stage
from usl.numeric.lazy_table import LazyTable, taken
from usl.numeric.workspace import Workspace

GIVEN = "given"  # name of the encoder of a collection that brings its own features


@dataclass(frozen=True, eq=False)
class Embedding:
    """Raw feature rows of a collection.

    Attributes
    ----------
    rows : [r, dim], the encoder's raw output (uint8 or float32), or the features as given: an
        array, or a :class:`usl.numeric.lazy_table.LazyTable` of what lies in files.
    kept : int64 [r], their rows in the collection, ascending.
    skipped : ``(image_id, reason)`` of images that could not be read.
    encoder : what made the rows.
    computed : images that went through the encoder.
    reused : kept images that did not have to: from the cache, identical to another, or given.
    seconds : all of it, hashing included.
    images_per_second : of those computed, decoding included; 0 if there were none.
    """

    rows: Any
    kept: NDArray[np.int64]
    skipped: tuple[tuple[str, str], ...]
    encoder: EncoderInfo
    computed: int
    reused: int
    seconds: float
    images_per_second: float


def embed(
    collection: Collection,
    model: str | Encoder = "auto",
    *,
    layer: LayerName | None = None,
    precision: PrecisionName = "fp32",
    cache: bool | str | Path | None = True,
    on_corrupt: Literal["skip", "fail"] = "skip",
    batch_size: int | None = None,
    workers: int | None = None,
    workspace: Workspace | None = None,
    progress: Progress = silent,
) -> Embedding:
    """Encode every image of a collection, or take the features it brings.

    Images whose content was encoded before come from the cache, identical images are encoded
    once. Finished rows are stored as the work goes on, so an interrupted run loses half a minute
    at most, and Ctrl-C nothing.

    Parameters
    ----------
    collection : what to encode.
    model : encoder: pixels, efficientnet_lite1, efficientnet_lite0, cifar-cld-small, a folder made
        by usl pretrain, a timm model, or ARCH@FILE_OR_URL; auto takes the best that is installed.
    layer : trunk or head of an encoder whose checkpoint has both, for a ``model`` by name; the
        default is the trunk.
    precision : of the network: bf16 and fp16 are faster, where the processor or GPU has them, and
        change the features a little.
    cache : True for the user's cache folder, a path for another one, False or None for no cache.
    on_corrupt : what to do with an image that cannot be read: leave it out and list it in the
        result, or fail at the first.
    batch_size : images per forward pass; default: what suits the encoder. Rows do not depend on
        it, but for rounding (about 1e-5 for timm models, nothing for the others).
    workers : threads that read and decode ahead of the encoder; default: by the number of cores.
    workspace : where the rows lie; default: in memory.
    progress : called with the images encoded so far and in all, cached ones not counted.

    Raises
    ------
    UsageError
        a parameter out of range, a ``precision`` that this machine or the encoder has not, or a
        ``model`` for a collection of given features.
    DataError
        an unreadable image if ``on_corrupt="fail"``; an encoder that gives NaN or infinity.
    """
    began = time.perf_counter()
    if on_corrupt not in ("skip", "fail"):
        raise UsageError(f"on_corrupt: {on_corrupt!r} given; use skip or fail.")
    for name, number in (("batch_size", batch_size), ("workers", workers)):
        if number is not None and number < 1:
            raise UsageError(f"{name}: {number} given; use at least 1.")
    if collection.features is not None:
        return _given(collection, collection.features, model, precision)
    assert collection.images is not None  # a collection has images or features
    encoder = open_encoder(with_layer(model, layer)) if isinstance(model, str) else model
    if precision != "fp32":  # an encoder that computes in another already keeps it
        encoder = encoder.in_precision(precision)
    images, n = collection.images, len(collection)
    store = _open_cache(cache, encoder, images)
    expect(progress, *embedding_stages(n, encoder))
    every = not _has_weights(encoder)  # only then the cache must answer for all of them
    hashes = hash_images(images, workers, on_corrupt, progress, every=every)
    digests = hashes.digests  # completed by what is read on the way
    rows = (workspace or Workspace()).empty((n, encoder.dim), encoder.dtype)
    done = np.zeros(n, dtype=bool)
    leaders = np.sort(np.unique(digests, return_index=True)[1])  # the first of each known content
    leaders = leaders[digests[leaders] != b""]
    if store is not None:
        done[leaders] = store.fetch(digests[leaders], rows, leaders)
    to_do = np.union1d(leaders[~done[leaders]], np.flatnonzero(hashes.unread))
    expect(progress, images_stage(images, to_do, encoder))
    if len(to_do):
        encoder.check_weights()
    working = time.perf_counter()
    reasons, computed = dict(hashes.reasons), 0
    in_cache = store.holds() if store is not None else lambda digest: False
    while len(to_do):
        encoded, found = compute_rows(
            collection,
            encoder,
            to_do,
            hashes,
            known=in_cache,
            out=rows,
            store=store,
            on_corrupt=on_corrupt,
            batch_size=batch_size or encoder.batch_size,
            workers=workers,
            progress=progress,
        )
        reasons |= found
        computed += len(encoded)
        done[encoded] = True
        hashes.unread[to_do] = False
        to_do, in_cache = _fetched(store, hashes, rows, done, reasons), lambda digest: False
    working = time.perf_counter() - working
    _tell_of_greys(collection)

    same, like = twins(digests, done)
    rows[same] = rows[like]
    done[same] = True
    why = {digests[row]: reason for row, reason in reasons.items()}
    kept = np.flatnonzero(done)
    return Embedding(
        rows=taken(rows, kept),
        kept=kept,
        skipped=tuple(
            (str(collection.ids[row]), reasons.get(row) or why[digests[row]])
            for row in np.flatnonzero(~done).tolist()
        ),
        encoder=encoder.info(),
        computed=computed,
        reused=len(kept) - computed,
        seconds=time.perf_counter() - began,
        images_per_second=computed / working if computed else 0.0,
    )


def _has_weights(encoder: Encoder) -> bool:
    """Whether the encoder can encode, or its rows in the cache are all there is."""
    try:
        encoder.check_weights()
    except DataError:
        return False
    return True


def _fetched(
    store: FeatureCache | None,
    hashes: Hashes,
    rows: Any,
    done: NDArray[np.bool_],
    reasons: Mapping[int, str],
) -> NDArray[np.int64]:
    """Fetch what turned out to be in the cache; the rows that still have to be encoded.

    That is, what a damaged shard did not give after all.
    """
    digests = hashes.digests
    contents, first, same_as = np.unique(digests, return_index=True, return_inverse=True)
    left = np.ones(len(contents), dtype=bool)
    left[same_as[done]] = False
    left[same_as[list(reasons)]] = False
    left[contents == b""] = False
    missing = first[left]
    if store is None or not len(missing):
        return missing[:0]
    found = store.fetch(digests[missing], rows, missing)
    done[missing[found]] = True
    return np.sort(missing[~found])


def _tell_of_greys(collection: Collection) -> None:
    """Say that greys were scaled by what the pictures hold, once for all of them."""
    scaled = getattr(collection.images, "scaled", None)
    if scaled:
        count = sum(scaled.values())
        ways = ", ".join(f"{number} x {how}" for how, number in scaled.most_common())
        pictures = counted(count, "picture")
        warnings.warn(
            f"{collection.source}: the greys of {pictures} were scaled by what each holds, so that "
            f"they can be told apart ({ways}).",
            UslWarning,
            stacklevel=3,
        )


def _open_cache(
    cache: bool | str | Path | None, encoder: Encoder, images: Images
) -> FeatureCache | None:
    if cache is None or cache is False:
        return None
    return encoder_cache(encoder, images, None if cache is True else cache)


def given_encoder(made_by: Mapping[str, Any] | None, width: int) -> EncoderInfo:
    """The encoder of given features, as it is recorded; without a record, rows stay as they are."""
    if made_by is not None:
        return EncoderInfo.of(made_by)
    defaults = {"center": False, "standardize": False, "pca": None}
    return EncoderInfo(GIVEN, GIVEN, width, "unknown", defaults)


def _given(
    collection: Collection,
    features: NDArray[Any] | LazyTable,
    model: str | Encoder,
    precision: PrecisionName,
) -> Embedding:
    """The features a collection brings, as they are."""
    if precision != "fp32":
        raise UsageError(
            f"precision: {precision} given, but {collection.source} holds features, which no "
            "network computes. Leave --precision out."
        )
    if model not in ("auto", GIVEN):
        name = model if isinstance(model, str) else model.name
        raise UsageError(
            f"{collection.source}: holds features, no images, so the encoder {name!r} has nothing "
            "to encode. Leave the encoder out to use the features, or name the images."
        )
    if features.ndim != 2:
        raise DataError(
            f"{collection.source}: features must be a table [n, d], these are "
            f"{list(features.shape)}."
        )
    return Embedding(
        rows=features,
        kept=np.arange(len(features)),
        skipped=(),
        encoder=given_encoder(collection.made_by, int(features.shape[1])),
        computed=0,
        reused=len(features),
        seconds=0.0,
        images_per_second=0.0,
    )
