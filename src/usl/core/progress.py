"""The progress callback that long work reports to.

Library functions take ``progress: Progress``; the default is silent. The command line passes one
that draws a bar on stderr when that is a terminal, and stays quiet otherwise.
"""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called as ``progress(done, total, label)``; cheap enough to call once per block."""

    def __call__(self, done: int, total: int, label: str) -> None:
        """Report that ``done`` of ``total`` units of the step ``label`` are finished."""


def silent(done: int, total: int, label: str) -> None:
    """Report nothing."""
