"""Compute the features of all images of a source; they are kept in a cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from usl.cli.options import verb
from usl.cli.shared import DryRun, Json, print_plan, report_unreadable
from usl.console import bars, print_json, say
from usl.core.words import counted
from usl.data.addresses import shown
from usl.data.open import open_collection, tell
from usl.features.contract import PrecisionName
from usl.features.dry_run import plan_embedding
from usl.features.embed import embed as embed_collection
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
        an address: a source itself.
    overwrite : replace the file of --out.
    as_ : what a table with both paths and numbers is: embeddings or manifest.
    max_pixels : most pixels of an image that is still decoded; the default is Pillow's limit.
    """
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
    check_target(out, overwrite=overwrite)
    with bars() as progress:
        collection = open_collection(source, as_=as_, max_pixels=max_pixels)
        tell(collection)
        found = embed_collection(
            collection, model, layer=layer, precision=precision, **options, progress=progress
        )
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
    say(
        f"{counted(len(found.rows), 'image')} as {found.rows.shape[1]} numbers each by "
        f"{found.encoder.name} (supervision: {found.encoder.supervision}): {found.computed:,} "
        f"computed at {found.images_per_second:,.0f} images/s, {found.reused:,} from the cache."
    )
    if out is not None:
        say(f"Written to {shown(out)}.")
