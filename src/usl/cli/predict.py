"""Label images that are not part of a run, with the model of that run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Literal

import numpy as np

from usl.cli.options import verb
from usl.cli.shared import Json, in_shards, print_counts, report_unreadable, say_unlike
from usl.console import bars, print_json, say
from usl.core.words import each
from usl.data.addresses import address_of, shown
from usl.engine.cluster import check_engine
from usl.training.predict import predict as predict_source
from usl.training.predict_shards import predict_shards
from usl.training.unlike import LIMIT


@verb(predict_source)
def predict(
    run: Path,
    source: str,
    /,
    *,
    out: Path,
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
    json: Json = False,
    **options: Any,
) -> None:
    """Print how many images each label was given to.

    Parameters
    ----------
    source : the new images: anything that a selection can begin with, shards of features made by
        usl embed included.
    out : file to write, .csv or .parquet, also at an address: a label and its probability for every
        image, the surest first; columns as in predictions.csv. Or, without an ending, a folder or
        an address for Parquet shards of them, in the order of the images.
    overwrite : replace what lies at --out.
    engine : local for this machine; ray for a cluster, which writes shards.
    address : of a running Ray cluster; by default one of this machine's cores is started for the
        command.
    """
    check_engine(engine, address)
    if in_shards(out, engine):
        _in_shards(run, source, out, engine, address, as_json=json, **options)
        return
    with bars() as progress:
        found = predict_source(run, source, out=out, **options, progress=progress)
    report_unreadable(found.skipped)
    counts = dict(Counter(found.labels).most_common())
    unlike = int((found.unlike >= LIMIT).sum()) if np.isfinite(found.unlike).any() else None
    if json:
        told = {"out": shown(out), "images": len(found.ids), "labels": counts, "unlike": unlike}
        print_json(told)
        return
    print_counts(counts)
    say_unlike(unlike, f"column unlike of {out.name}, 1 or more")
    say(f"A label for {each(len(found.ids), 'image')}: {shown(out)}")


def _in_shards(
    run: Path,
    source: str,
    out: Path,
    engine: Literal["local", "ray"],
    address: str | None,
    *,
    as_json: bool,
    **options: Any,
) -> None:
    """The same with shards of predictions."""
    place = address_of(out) or out
    with bars() as progress:
        found = predict_shards(
            run, source, place, engine=engine, address=address, **options, progress=progress
        )
    report_unreadable(found.skipped, "features/_unread")
    counts = dict(found.counts)
    if as_json:
        told = {"out": shown(out), "images": found.rows, "labels": counts, "unlike": found.unlike}
        print_json(told)
        return
    print_counts(counts)
    say_unlike(found.unlike, "column unlike of the shards, 1 or more")
    say(f"A label for {each(found.rows, 'image')}: {shown(out)}")
