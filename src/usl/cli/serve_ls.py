"""Serve a run to Label Studio as a machine-learning backend; needs usl[label].

Annotations become answers of the run; a model learns from each of them, suggests a class in every
task, and has the most telling task asked for next. With --url and --token the project is connected
and kept in order. Stop with Ctrl-C and go on whenever you like; usl train RUN finds the answers.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from usl.active.label_studio.serve import serve_label_studio
from usl.cli.options import verb


@verb(serve_label_studio)
def serve_ls(run: Path, /, **options: Any) -> None:
    """Serve until Ctrl-C.

    Parameters
    ----------
    token : an access token of its account page, legacy or personal. Better in the variable
        USL_SERVE_LS_TOKEN: other users of this machine can see command lines.
    """
    serve_label_studio(run, **options)
