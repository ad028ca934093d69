"""Take over labels that another tool, or a person with a table, has written.

Images are matched by id, else by file name. A label that a person gave before is left as it is
unless --overwrite is given.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from usl.cli.options import verb
from usl.cli.shared import Json, note_some
from usl.console import bars, note, print_json, say
from usl.core.words import counted, quoted, verb_for
from usl.labeling.exchange.import_labels import import_file


@verb(import_file)
def import_(
    run: Path,
    path: Annotated[Path, Parameter(name="FILE")],
    /,
    *,
    json: Json = False,
    **options: Any,
) -> None:
    """Print how many labels are new, and name those that do not fit."""
    with bars() as progress:
        done = import_file(run, path, **options, progress=progress)
    if json:
        print_json(asdict(done))
        return
    say(
        f"{counted(done.added, 'new label')} ({done.format}), {done.changed:,} changed, "
        f"{done.unchanged:,} as before."
    )
    for reason, count in done.skipped.items():
        note(f"{counted(count, 'entry')} without an answer: {reason}")
    note_some(
        [str(one) for one in done.unknown],
        "entry is about no image of this run",
        "entries are about no image of this run",
    )
    note_some(
        [str(one) for one in done.conflicts if one.existing is not None],
        "image has another label already and keeps it (--overwrite takes the file's)",
        "images have another label already and keep it (--overwrite takes the file's)",
    )
    note_some(
        [str(one) for one in done.conflicts if one.existing is None],
        "image gets no label, for answers to it differ",
        "images get no label, for answers to them differ",
    )
    for text in done.notes:
        note(f"Note: {text}")
    if done.new_classes:
        noun = verb_for(len(done.new_classes), "class", "classes")
        note(f"New {noun}: {', '.join(done.new_classes)}")
    say(f"Next: usl train {quoted(run)}")
