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
from usl.labeling.page.serve import serve


@verb(serve, python_only=("whole",), groups={"With --live": [label_live]})
def label(
    run: Path,
    /,
    *,
    classes: str | None = None,
    open_browser: Annotated[bool, Parameter(name="--browser")] = True,
    live: bool = False,
    **options: Any,
) -> None:
    """Serve until Ctrl-C; the page says the rest.

    Parameters
    ----------
    classes : names to choose from, separated by commas; more can be added on the page.
    password : for people on other machines, 8 characters or more. Better in the variable
        USL_LABEL_PASSWORD: other users of this machine can see command lines.
    live : let a model learn from every answer, and ask next what would teach it most.
    """
    names = None if classes is None else classes.split(",")
    check_live(live, options)
    start = label_live if live else serve
    start(run, classes=names, open_browser=open_browser, **options)
