"""Label images that are not part of a run, with the model of that run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from usl.cli.options import verb
from usl.cli.shared import Json, print_counts, report_unreadable, say_unlike
from usl.console import bars, print_json, say
from usl.core.words import each
from usl.data.addresses import shown
from usl.training.predict import predict as predict_source
from usl.training.unlike import LIMIT


@verb(predict_source)
def predict(run: Path, source: str, /, *, out: Path, json: Json = False, **options: Any) -> None:
    """Print how many images each label was given to."""
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
