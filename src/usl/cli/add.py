"""Add more images to a run; its picks, labels, rounds and models stay.

Name another source, or the run's own folder once more when there are new files in it. Only what is
new is encoded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from usl.active.add_images import add_images
from usl.cli.options import verb
from usl.cli.shared import Json, report_unreadable
from usl.console import bars, print_json, say
from usl.core.words import counted, quoted, verb_for


@verb(add_images)
def add(run: Path, source: str, /, *, json: Json = False, **options: Any) -> None:
    """Print how many images are new."""
    with bars() as progress:
        added = add_images(run, source, progress=progress, **options)
    report_unreadable(added.skipped)
    if json:
        found = {"added": len(added.ids), "there": added.there, "computed": added.computed}
        skipped = [list(pair) for pair in added.skipped]
        print_json({"run": str(run), **found, "unreadable": skipped, "images": added.ids})
        return
    for place in added.replaces:
        say(f"What was in {place} is looked for in {source} from now on.")
    if not added.ids:
        has = f"; {run} has {counted(added.there, 'image')} of it already" if added.there else ""
        say(f"Nothing is new{has}.")
        return
    before = f"; {counted(added.there, 'image')} of it {verb_for(added.there, 'was', 'were')} there"
    say(f"Added {counted(len(added.ids), 'image')} to {run}{before if added.there else ''}.")
    name = quoted(run)
    say(f"Next: usl next {name} --budget 40   (or without more labels: usl train {name})")
