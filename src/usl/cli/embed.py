"""Compute the features of all images of a source; they are kept in a cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from usl.cli.options import verb
from usl.cli.shared import DryRun, Json, in_shards, print_plan, report_unreadable
from usl.console import bars, print_json, say
from usl.core.words import counted
from usl.data.addresses import address_of, shown
from usl.data.collection import Collection
from usl.data.open import open_collection, tell
from usl.engine.cluster import check_engine
from usl.features.contract import PrecisionName
from usl.features.dry_run import plan_embedding
from usl.features.embed import Embedding
from usl.features.embed import embed as embed_collection
from usl.features.embed_shards import SHARD_IMAGES, EmbeddingInShards, embed_shards, places_of
from usl.features.export import check_target, write_features
from usl.features.head_encoder import LayerName, with_layer


@verb(embed_collection, python_only=["cache", "batch_size", "workers"])
def embed(
    source: str,
    /,
    *,
    model: str = "auto",
    layer: LayerName | None = None,
    precision: PrecisionName = "fp32",
    out: Path | None = None,
    overwrite: bool = False,
    as_: str | None = None,
    max_pixels: int | None = None,
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
    dtype: Literal["float16", "float32"] = "float16",
    shard_images: int = SHARD_IMAGES,
    json: Json = False,
    dry_run: DryRun = False,
    **options: Any,
) -> None:
    """Print how many images were encoded, and how fast.

    Parameters
    ----------
    source : folder, glob, manifest (CSV, JSONL, Parquet), arrays, tars, on the disk or at an
        address (s3://bucket/photos), or builtin:fashion_mnist.
    out : also write the raw features, with ids and subsets, to this .npz file, on the disk or at
        an address. Or, without an ending, to a folder or an address for Parquet shards, which goes
        on where it was stopped. Both are sources themselves.
    overwrite : replace what lies at --out.
    as_ : what a table with both paths and numbers is: embeddings or manifest.
    max_pixels : most pixels of an image that is still decoded; the default is Pillow's limit.
    engine : local for this machine; ray for a cluster, which writes shards.
    address : of a running Ray cluster; by default one of this machine's cores is started for the
        command.
    dtype : of the features in shards.
    shard_images : images per shard.
    """
    check_engine(engine, address)
    if dry_run:
        print_plan(
            plan_embedding(
                source,
                with_layer(model, layer),
                subset=None,
                precision=precision,
                as_=as_,
                max_pixels=max_pixels,
            ),
            as_json=json,
        )
        return
    sharded = in_shards(out, engine)
    if not sharded:
        check_target(out, overwrite=overwrite)
    with bars() as progress:
        collection = open_collection(source, as_=as_, max_pixels=max_pixels)
        tell(collection)
        if sharded:
            assert out is not None
            written = embed_shards(
                collection,
                address_of(out) or out,
                model,
                layer=layer,
                precision=precision,
                dtype=dtype,
                shard_images=shard_images,
                engine=engine,
                address=address,
                overwrite=overwrite,
                **options,
                progress=progress,
            )
        else:
            found = embed_collection(
                collection, model, layer=layer, precision=precision, **options, progress=progress
            )
    if sharded:
        _tell_of_shards(collection, written, out, as_json=json)
        return
    report_unreadable([*collection.skipped, *found.skipped])
    if out is not None:
        write_features(out, collection, found)
    if json:
        print_json(
            {
                "encoder": found.encoder.name,
                "supervision": found.encoder.supervision,
                "images": len(found.rows),
                "width": int(found.rows.shape[1]),
                "reused": found.reused,
                "computed": found.computed,
                "seconds": round(found.seconds, 3),
                "unreadable": [list(pair) for pair in found.skipped],
                "out": None if out is None else shown(out),
            }
        )
        return
    given = collection.features is not None
    say(
        f"{counted(len(found.rows), 'image')} as {found.rows.shape[1]} numbers each by "
        f"{found.encoder.name} (supervision: {found.encoder.supervision}): "
        f"{_computed(found)}, {found.reused:,} {'given' if given else 'from the cache'}."
    )
    if out is not None:
        say(f"Written to {shown(out)}.")


def _computed(found: Embedding | EmbeddingInShards) -> str:
    """How many images were encoded, and how fast."""
    speed = f" at {found.images_per_second:,.0f} images/s" if found.computed else ""
    return f"{found.computed:,} computed{speed}"


def _tell_of_shards(
    collection: Collection, found: EmbeddingInShards, out: Path | None, *, as_json: bool
) -> None:
    """Print what was written as shards."""
    rows, width, files = len(found.shards), found.shards.width, len(found.shards.parts)
    report_unreadable([*collection.skipped, *found.skipped], "_unread")
    if as_json:
        print_json(
            {
                "encoder": found.encoder.name,
                "supervision": found.encoder.supervision,
                "images": rows,
                "width": width,
                "shards": files,
                "reused": found.reused,
                "computed": found.computed,
                "seconds": round(found.seconds, 3),
                "unreadable": [list(pair) for pair in found.skipped],
                "out": shown(out),
            }
        )
        return
    say(
        f"{counted(rows, 'image')} as {width} numbers each by {found.encoder.name} (supervision: "
        f"{found.encoder.supervision}): {_computed(found)}, {found.reused:,} there before."
    )
    say(f"Written to {shown(out)}, {counted(files, 'shard')}.")
    assert collection.images is not None
    if places_of(collection.images.take(np.arange(1)))[0] is None:
        say(
            "Note: pictures of this kind of source have no address, so what is selected from the "
            "shards shows none. See Pictures in docs/scale.md."
        )
