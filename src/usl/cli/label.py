"""Label the picks in the browser, on a page served by this machine; needs usl[label].

Every answer is on the disk before the page shows the next image. Stop with Ctrl-C and go on
whenever you like; usl train RUN finds the answers by itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from usl.cli.options import verb
from usl.labeling.page.serve import serve


@verb(serve, python_only=("whole",))
def label(
    run: Path,
    /,
    *,
    classes: str | None = None,
    open_browser: Annotated[bool, Parameter(name="--browser")] = True,
    **options: Any,
) -> None:
    """Serve until Ctrl-C; the page says the rest.

    Parameters
    ----------
    classes : names to choose from, separated by commas; more can be added on the page.
    password : for people on other machines, 8 characters or more. Better in the variable
        USL_LABEL_PASSWORD: other users of this machine can see command lines.
    """
    names = None if classes is None else classes.split(",")
    serve(run, classes=names, open_browser=open_browser, **options)
