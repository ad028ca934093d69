"""Write one HTML page that shows the picks, the map, the classes and the figures of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from usl.cli.options import verb
from usl.cli.shared import Json
from usl.console import bars, print_json, say
from usl.data.addresses import shown
from usl.report.report import write_report


@verb(write_report, python_only=["points"])
def report(run: Path, /, *, json: Json = False, **options: Any) -> None:
    """Print where the page is."""
    with bars() as progress:
        path = write_report(run, **options, progress=progress)
    if json:
        print_json({"report": shown(path)})
    else:
        say(f"Report: {shown(path)}")
