"""Write the images of a run, and what is known of them, for another tool; or its model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from usl.cli.options import verb
from usl.cli.shared import Json
from usl.console import bars, print_json, say
from usl.core.errors import UsageError
from usl.core.words import counted
from usl.data.addresses import shown
from usl.labeling.exchange.contract import WRITERS
from usl.labeling.exchange.export_images import export_run
from usl.training.export_model import WRITERS as MODEL_WRITERS
from usl.training.export_model import export_model

OF_IMAGES = ("what", "source")  # options that mean nothing to a model


@verb(export_run, choice="to", kinds=[WRITERS, MODEL_WRITERS])
def export(run: Path, /, *, json: Json = False, **options: Any) -> None:
    """Print how many images were written, and what to do with them."""
    if options.get("to") in MODEL_WRITERS.built_in():
        return write_model(run, options, as_json=json)
    with bars() as progress:
        done = export_run(run, **options, progress=progress)
    if json:
        print_json(
            {
                "out": shown(done.out),
                "paths": [shown(path) for path in done.paths],
                "images": done.images,
                "labeled": done.labeled,
                "next": done.next,
            }
        )
        return
    say(f"{counted(done.images, 'image')}, {done.labeled:,} with a label: {shown(done.out)}")
    for step in done.next:
        say(step)


def write_model(run: Path, options: dict[str, Any], *, as_json: bool) -> None:
    """Write the model of the run, and say where it is."""
    for name in OF_IMAGES:
        if options.get(name) is not None:
            raise UsageError(f"--{name} chooses images; --to {options['to']} writes the model.")
    with bars() as progress:
        done = export_model(run, **options, progress=progress)
    if as_json:
        paths = [shown(path) for path in done.paths]
        return print_json({"out": shown(done.out), "paths": paths, "next": done.next})
    say(f"The model: {shown(done.out)}")
    for step in done.next:
        say(step)
