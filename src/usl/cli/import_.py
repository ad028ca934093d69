"""``usl import``; the file has an underscore because the word is taken."""

from __future__ import annotations

from pathlib import Path

from usl.cli.shared import Flag, note_some
from usl.console import bars, note, print_json, say


def import_labels(
    run: Path,
    file: Path,
    /,
    *,
    format: str | None = None,
    annotator: str | None = None,
    source: str | None = None,
    overwrite: Flag = False,
    json: Flag = False,
) -> None:
    """Take over labels that another tool, or a person with a table, has written.

    Images are matched by id, else by file name. A label that a person gave before is left as it is
    unless --overwrite is given.

    Parameters
    ----------
    run
        Run folder.
    file
        File or folder with labels; its format is told by its content.
    format
        Name of the format, where its content does not tell.
    annotator
        Who gave the answers; by default whom the file names.
    source
        Where the images are now, if they have moved.
    overwrite
        Let the file's labels replace others that a person gave.
    json
        Print the result as JSON.
    """
    from dataclasses import asdict

    from usl.labeling.exchange.import_labels import import_file

    with bars() as progress:
        done = import_file(
            run,
            file,
            format=format,
            annotator=annotator,
            source=source,
            overwrite=overwrite,
            progress=progress,
        )
    if json:
        print_json(asdict(done))
        return
    say(
        f"{done.added:,} new labels ({done.format}), {done.changed:,} changed, {done.unchanged:,} "
        "as before."
    )
    for reason, count in done.skipped.items():
        note(f"{count:,} entries without an answer: {reason}")
    note_some(
        [str(one) for one in done.unknown],
        "entries are about no image of this run",
    )
    note_some(
        [str(one) for one in done.conflicts if one.existing is not None],
        "images have another label already and keep it (--overwrite takes the file's)",
    )
    note_some(
        [str(one) for one in done.conflicts if one.existing is None],
        "images get no label, for answers to them differ",
    )
    for text in done.notes:
        note(f"Note: {text}")
    if done.new_classes:
        note(f"New classes: {', '.join(done.new_classes)}")
    say(f"Next: usl train {run}")
