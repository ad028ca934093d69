"""Label the picks in the browser, on a page served by this machine; needs usl[label].

Every answer is on the disk before the page shows the next image. Stop with Ctrl-C and go on
whenever you like; usl train RUN finds the answers by itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from usl.cli.options import verb
from usl.core.errors import UsageError
from usl.labeling.page.serve import serve


@verb(serve, python_only=("whole",))
def label(
    run: Path,
    class_name: str | None = None,
    /,
    *,
    classes: str | None = None,
    sweep: bool = False,
    open_browser: Annotated[bool, Parameter(name="--browser")] = True,
    **options: Any,
) -> None:
    """Serve until Ctrl-C; the page says the rest.

    Parameters
    ----------
    class_name : after --sweep: the class whose sheets come first.
    classes : names to choose from, separated by commas; more can be added on the page.
    password : for people on other machines, 8 characters or more. Better in the variable
        USL_LABEL_PASSWORD: other users of this machine can see command lines.
    """
    names = None if classes is None else classes.split(",")
    if class_name is not None and not sweep:
        raise UsageError(f"{class_name}: a class to begin with goes with --sweep.")
    begin = class_name or sweep
    serve(run, classes=names, sweep=begin, open_browser=open_browser, **options)
