"""``usl export``: a run's images, and what is known of them, for other tools.

The formats are the files of :mod:`usl.labeling.formats`. What is written is whole or not there at
all.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from usl.core.progress import Progress, silent
from usl.data.addresses import is_address, shown
from usl.labeling.answers.class_changes import Names
from usl.labeling.answers.store import Store, store_path
from usl.labeling.answers.sync import sync
from usl.labeling.exchange.contract import WRITERS, Export, format_module, format_names
from usl.labeling.exchange.outgoing import What, chosen_rows, classes_of, items_of, model_name
from usl.labeling.exchange.pictures import open_pictures
from usl.labeling.exchange.place import RECORD, check_place, new_place, place_of
from usl.run.folder import Run

EXPORTS = "exports"  # where exports go by default, in the run folder


@dataclass(frozen=True)
class Exported:
    """What was written: ``out`` and the ``paths`` in it, how many ``images``, how many labelled.

    ``next`` is what to do with it, one step each.
    """

    out: Path
    paths: list[Path]
    images: int
    labeled: int
    next: list[str]


def export_formats() -> list[str]:
    """Names of the formats that can be written."""
    return format_names(WRITERS)


def export_run(
    run: Run | str | os.PathLike[str],
    to: str = "csv",
    *,
    out: str | os.PathLike[str] | None = None,
    what: What = "requested",
    source: str | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
    **format_params: Any,
) -> Exported:
    """Write images of a run for another tool.

    Parameters
    ----------
    run : run folder.
    to : the format.
    out : file or folder to write, also at an address; the default is in the folder exports of the
        run.
    what : ``requested``: what waits for a label; labeled; all; or predicted: all, with the model's
        label where nobody gave one.
    source : where the images are now, if they have moved.
    overwrite : replace an earlier export; a folder only if nothing changed in it since.
    **format_params : the format's own parameters.

    Raises
    ------
    UsageError
        unknown format or parameter, a place that is taken.
    DataError
        nothing to export, no pictures where the format needs them, images that changed, a disk
        that is full.
    """
    module = format_module(to, WRITERS)
    WRITERS.check(to, module, format_params)
    run = run if isinstance(run, Run) else Run.open(run)
    name = Path(to).stem if to.endswith(".py") else to
    suffix = getattr(module, "SUFFIX", "")
    home = run.path / EXPORTS / (what + suffix if suffix else f"{name}-{what}")
    home = place_of(home if out is None else out)
    check_place(home, folder=not suffix, overwrite=overwrite)

    split = sync(run)
    rows = chosen_rows(split, what)
    pictures = None
    if getattr(module, "PICTURES", True):
        pictures, rows = open_pictures(run, split, rows, to=name, source=source)
    classes, names = _named_classes(run)
    items = items_of(run, split, rows, what, names)
    export = Export(
        run=run.path,
        items=items,
        classes=classes_of(run, split, classes, names),
        home=home,
        model=model_name(run),
        pictures=pictures,
        progress=progress,
    )
    about = {"to": name, "what": what}
    with new_place(home, folder=not suffix, about=about, run=run) as temporary:
        steps = module.write(export, temporary, **format_params)
    if suffix or is_address(home):
        paths = [home]
    else:
        paths = sorted(p for p in home.iterdir() if p.name != RECORD)
    steps = [step.replace(str(home), shown(home)) for step in steps]
    return Exported(home, paths, len(items), sum(item.label is not None for item in items), steps)


def _named_classes(run: Run) -> tuple[list[str], Names]:
    """The classes of the labelling page, in its order, and what others are called by now."""
    if not store_path(run.path).is_file():
        return [], Names([], ())
    with Store.open(run.path) as store:
        return [one.name for one in store.classes()], store.names()
