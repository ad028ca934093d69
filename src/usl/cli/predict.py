"""Label images that are not part of a run, with the model of that run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from usl.cli.options import verb
from usl.cli.shared import Json, print_counts, report_unreadable
from usl.console import bars, print_json, say
from usl.core.words import each
from usl.training.predict import predict as predict_source


@verb(predict_source)
def predict(run: Path, source: str, /, *, out: Path, json: Json = False, **options: Any) -> None:
    """Print how many images each label was given to."""
    with bars() as progress:
        found = predict_source(run, source, out=out, **options, progress=progress)
    report_unreadable(found.skipped)
    counts = dict(Counter(found.labels).most_common())
    if json:
        print_json({"out": str(out), "images": len(found.ids), "labels": counts})
        return
    print_counts(counts)
    say(f"A label for {each(len(found.ids), 'image')}: {out}")
