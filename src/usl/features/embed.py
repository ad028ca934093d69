"""From a collection's images to raw feature rows: cached by content, resumable, corrupt-proof."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UsageError, UslWarning
from usl.core.progress import Progress, expect, silent
from usl.core.words import counted
from usl.data.collection import Collection
from usl.features.cache import FeatureCache
from usl.features.contract import Encoder, EncoderInfo
from usl.features.head_encoder import LayerName, with_layer
from usl.features.open_encoder import open_encoder
from usl.features.pipeline import compute_rows, hash_images
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
        a parameter out of range, or a ``model`` for a collection of given features.
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
        return _given(collection, collection.features, model)
    assert collection.images is not None  # a collection has images or features
    encoder = open_encoder(with_layer(model, layer)) if isinstance(model, str) else model
    store = _open_cache(cache, encoder.key)

    expect(progress, *embedding_stages(len(collection), encoder))
    digests, reasons = hash_images(collection.images, workers, on_corrupt, progress)
    _, first, same_as = np.unique(digests, return_index=True, return_inverse=True)
    leaders = np.sort(first)  # the first image of each content, in the collection's order
    leaders = leaders[digests[leaders] != b""]
    rows = (workspace or Workspace()).empty((len(collection), encoder.dim), encoder.dtype)
    done = np.zeros(len(collection), dtype=bool)
    if store is not None:
        done[leaders] = store.fetch(digests[leaders], rows, leaders)
    to_do = leaders[~done[leaders]]
    expect(progress, images_stage(collection.images, to_do, encoder))
    if len(to_do):
        encoder.check_weights()
    working = time.perf_counter()
    found = compute_rows(
        collection,
        encoder,
        to_do,
        digests,
        out=rows,
        store=store,
        on_corrupt=on_corrupt,
        batch_size=batch_size or encoder.batch_size,
        workers=workers,
        progress=progress,
    )
    working = time.perf_counter() - working
    done[to_do] = True
    done[list(found)] = False
    computed = len(to_do) - len(found)
    _tell_of_greys(collection)

    leader_of = first[same_as]
    twins = np.flatnonzero(done[leader_of] & (leader_of != np.arange(len(rows))))
    rows[twins] = rows[leader_of[twins]]
    done[twins] = True
    reasons = {**reasons, **found}
    kept = np.flatnonzero(done)
    return Embedding(
        rows=taken(rows, kept),
        kept=kept,
        skipped=tuple(
            (str(collection.ids[row]), reasons.get(row) or reasons[int(leader_of[row])])
            for row in np.flatnonzero(~done).tolist()
        ),
        encoder=encoder.info(),
        computed=computed,
        reused=len(kept) - computed,
        seconds=time.perf_counter() - began,
        images_per_second=computed / working if computed else 0.0,
    )


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


def _open_cache(cache: bool | str | Path | None, key: str) -> FeatureCache | None:
    if cache is None or cache is False:
        return None
    return FeatureCache.open(key, None if cache is True else cache)


def _given(
    collection: Collection, features: NDArray[Any] | LazyTable, model: str | Encoder
) -> Embedding:
    """The features a collection brings, as they are."""
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
    defaults = {"center": False, "standardize": False, "pca": None}
    return Embedding(
        rows=features,
        kept=np.arange(len(features)),
        skipped=(),
        encoder=EncoderInfo(GIVEN, GIVEN, int(features.shape[1]), "unknown", defaults),
        computed=0,
        reused=len(features),
        seconds=0.0,
        images_per_second=0.0,
    )
