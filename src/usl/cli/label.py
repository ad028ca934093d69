"""Label the picks in the browser, on a page served by this machine; needs usl[label].

Every answer is on the disk before the page shows the next image. Stop with Ctrl-C and go on
whenever you like; usl train RUN finds the answers by itself. With --live a model learns along, and
what would teach it most is asked next.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from usl.active.live import check_live, label_live
from usl.cli.options import verb
from usl.core.errors import UsageError
from usl.labeling.page.serve import serve


@verb(serve, python_only=("whole",), groups={"With --live": [label_live]})
def label(
    run: Path,
    class_name: str | None = None,
    /,
    *,
    classes: str | None = None,
    sweep: bool = False,
    open_browser: Annotated[bool, Parameter(name="--browser")] = True,
    live: bool = False,
    **options: Any,
) -> None:
    """Serve until Ctrl-C; the page says the rest.

    Parameters
    ----------
    class_name : after --sweep: the class whose sheets come first.
    classes : names to choose from, separated by commas; more can be added on the page.
    password : for people on other machines, 8 characters or more. Better in the variable
        USL_LABEL_PASSWORD: other users of this machine can see command lines.
    live : let a model learn from every answer, and ask next what would teach it most.
    """
    names = None if classes is None else classes.split(",")
    check_live(live, options)
    if class_name is not None and not sweep:
        raise UsageError(f"{class_name}: a class to begin with goes with --sweep.")
    if live and sweep:
        raise UsageError("live, sweep: one at a time.")
    if live:
        label_live(run, classes=names, open_browser=open_browser, **options)
        return
    begin = class_name or sweep
    serve(run, classes=names, sweep=begin, open_browser=open_browser, **options)
