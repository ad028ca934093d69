"""``usl report``."""

from __future__ import annotations

from pathlib import Path

from usl.cli.shared import Flag
from usl.console import bars, print_json, say


def report(
    run: Path,
    /,
    *,
    source: str | None = None,
    out: Path | None = None,
    json: Flag = False,
) -> None:
    """Write one HTML page that shows the picks, the map, the classes and the figures of a run.

    Parameters
    ----------
    run
        Run folder.
    source
        Where the images are now, if they have moved.
    out
        File to write; the default is report.html in the run folder.
    json
        Print the result as JSON.
    """
    from usl.report.report import write_report

    with bars() as progress:
        path = write_report(run, source=source, out=out, progress=progress)
    if json:
        print_json({"report": str(path)})
    else:
        say(f"Report: {path}")
