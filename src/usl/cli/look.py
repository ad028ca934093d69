"""Look through the whole collection in the browser, by predicted class; needs usl[label].

Filter by class, confidence, source or file name; see what is like an image; correct what is wrong:
a correction becomes a label. Stop with Ctrl-C and go on whenever you like.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from usl.cli.options import verb
from usl.labeling.page.serve import serve


@verb(serve, python_only=("audit", "below", "check", "sweep", "whole"))
def look(
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
        USL_LOOK_PASSWORD: other users of this machine can see command lines.
    """
    names = None if classes is None else classes.split(",")
    serve(run, classes=names, whole=True, open_browser=open_browser, **options)
