"""``usl predict``."""

from __future__ import annotations

from pathlib import Path

from usl.cli.shared import Flag, report_unreadable
from usl.console import bars, print_json, print_table, say


def predict(
    run: Path,
    source: str,
    /,
    *,
    out: Path,
    overwrite: Flag = False,
    json: Flag = False,
) -> None:
    """Label images that are not part of a run, with the model of that run.

    Parameters
    ----------
    run
        Run folder, trained.
    source
        The new images: anything select takes.
    out
        File to write, .csv or .parquet: a label and its probability for every image, the surest
        first.
    overwrite
        Replace that file.
    json
        Print the result as JSON.
    """
    from collections import Counter

    from usl.training.predict import predict as predict_source

    with bars() as progress:
        found = predict_source(run, source, out=out, overwrite=overwrite, progress=progress)
    report_unreadable(found.skipped)
    counts = dict(Counter(found.labels).most_common())
    if json:
        print_json({"out": str(out), "images": len(found.ids), "labels": counts})
        return
    print_table(["label", "images"], [[name, f"{count:,}"] for name, count in counts.items()])
    say(f"A label for each of {len(found.ids):,} images: {out}")
