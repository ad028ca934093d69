"""``usl label``."""

from __future__ import annotations

from pathlib import Path


def label(
    run: Path,
    /,
    *,
    classes: str | None = None,
    annotator: str | None = None,
    audit: int | None = None,
    check: int | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
    password: str | None = None,
    browser: bool = True,
    source: str | None = None,
) -> None:
    """Label the picks in the browser, on a page served by this machine; needs usl[label].

    Every answer is on the disk before the page shows the next image. Stop with Ctrl-C and go on
    whenever you like; usl train RUN finds the answers by itself.

    Parameters
    ----------
    run
        Run folder.
    classes
        Names to choose from, separated by commas; more can be added on the page.
    annotator
        Your name, where several people label: each sees only their own answers.
    audit
        Judge so many predictions, drawn at random and unseen: tells how right all of them are.
    check
        Look at so many of the most doubtful predictions; the answers become labels.
    host
        Where to listen. Beyond this machine only with a password.
    port
        0 for the one of last time, or any that is free.
    password
        For people on other machines, 8 characters or more. Better in the variable
        USL_LABEL_PASSWORD: other users of this machine can see command lines.
    browser
        Open the page.
    source
        Where the images are now, if they have moved.
    """
    from usl.labeling.page.serve import serve

    serve(
        run,
        classes=None if classes is None else classes.split(","),
        annotator=annotator,
        audit=audit,
        check=check,
        host=host,
        port=port,
        password=password,
        open_browser=browser,
        source=source,
    )
