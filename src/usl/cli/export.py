"""``usl export``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from usl.cli.shared import Flag
from usl.console import bars, print_json, say

What = Literal["requested", "labeled", "all", "predicted"]


def export(
    run: Path,
    /,
    *,
    to: str = "csv",
    what: What = "requested",
    out: Path | None = None,
    source: str | None = None,
    overwrite: Flag = False,
    json: Flag = False,
    **format_params: Any,
) -> None:
    """Write the images of a run, and what is known of them, for another tool.

    Parameters
    ----------
    run
        Run folder.
    to
        The format. {methods}
    what
        requested: what waits for a label; labeled; all; or predicted: all, with the model's label
        where nobody gave one.
    out
        File or folder to write; the default is in the folder exports of the run.
    source
        Where the images are now, if they have moved.
    overwrite
        Replace an earlier export.
    json
        Print the result as JSON.
    """
    from usl.labeling.exchange.export_images import export_run

    with bars() as progress:
        done = export_run(
            run,
            to,
            out=out,
            what=what,
            source=source,
            overwrite=overwrite,
            progress=progress,
            **format_params,
        )
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
    say(f"{done.images:,} images, {done.labeled:,} with a label: {done.out}")
    for step in done.next:
        say(step)
