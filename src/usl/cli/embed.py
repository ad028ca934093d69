"""``usl embed``."""

from __future__ import annotations

from pathlib import Path

from usl.cli.shared import Corrupt, Flag, print_plan, report_unreadable
from usl.console import bars, print_json, say


def embed(
    source: str,
    /,
    *,
    model: str = "auto",
    out: Path | None = None,
    on_corrupt: Corrupt = "skip",
    overwrite: Flag = False,
    json: Flag = False,
    dry_run: Flag = False,
) -> None:
    """Compute the features of all images of a source; they are kept in a cache.

    Parameters
    ----------
    source
        Folder, glob, manifest (CSV, JSONL, Parquet), arrays, or builtin:fashion_mnist.
    model
        Encoder: pixels, efficientnet_lite1, efficientnet_lite0, cifar-cld-small, a folder made by
        usl pretrain, a timm model, or ARCH@FILE_OR_URL; auto takes the best that is installed.
    out
        Also write the raw features, with ids and subsets, to this .npz file: a source itself.
    on_corrupt
        What to do with an image that cannot be read.
    overwrite
        Replace the file of --out.
    json
        Print the result as JSON.
    dry_run
        Say what would be done, and do nothing.
    """
    from usl.features.dry_run import plan_embedding
    from usl.features.export import check_target, write_features

    if dry_run:
        print_plan(plan_embedding(source, model, subset=None), as_json=json)
        return
    check_target(out, overwrite=overwrite)
    from usl.data.open import open_collection, tell
    from usl.features.embed import embed as embed_collection

    with bars() as progress:
        collection = open_collection(source)
        tell(collection)
        found = embed_collection(collection, model, on_corrupt=on_corrupt, progress=progress)
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
                "out": None if out is None else str(out),
            }
        )
        return
    say(
        f"{len(found.rows):,} images as {found.rows.shape[1]} numbers each by "
        f"{found.encoder.name} (supervision: {found.encoder.supervision}): {found.computed:,} "
        f"computed at {found.images_per_second:,.0f} images/s, {found.reused:,} from the cache."
    )
    if out is not None:
        say(f"Written to {out}.")
