"""Write the images of a run, and what is known of them, for another tool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from usl.cli.options import verb
from usl.cli.shared import Json
from usl.console import bars, print_json, say
from usl.core.words import counted
from usl.labeling.exchange.contract import WRITERS
from usl.labeling.exchange.export_images import export_run


@verb(export_run, choice="to", kinds=[WRITERS])
def export(run: Path, /, *, json: Json = False, **options: Any) -> None:
    """Print how many images were written, and what to do with them."""
    with bars() as progress:
        done = export_run(run, **options, progress=progress)
    if json:
        print_json(
            {
                "out": str(done.out),
                "paths": [str(path) for path in done.paths],
                "images": done.images,
                "labeled": done.labeled,
                "next": done.next,
            }
        )
        return
    say(f"{counted(done.images, 'image')}, {done.labeled:,} with a label: {done.out}")
    for step in done.next:
        say(step)
