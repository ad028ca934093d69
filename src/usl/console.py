"""Terminal output: results on stdout; progress, notes and warnings on stderr."""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from usl.core.errors import UslWarning, shortened


def say(text: str = "") -> None:
    """A result, on stdout."""
    _print(text, sys.stdout)


def note(text: str) -> None:
    """Anything that is not the result, on stderr; lost where there is none, or it is full."""
    with suppress(OSError):
        _print(shortened(text), sys.stderr)


def print_json(value: Any) -> None:
    """A result for programs, on stdout."""
    _print(json.dumps(value, indent=2, ensure_ascii=False), sys.stdout)


def _print(text: str, stream: TextIO | None) -> None:
    """Print a line; what the stream's encoding lacks is escaped, not a reason to stop.

    A stream that was closed is None, and ``print`` would take stdout for it.
    """
    if stream is None:
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        text = text.encode(encoding, "backslashreplace").decode(encoding)
    print(text, file=stream)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """An aligned table on stdout: the first column to the left, figures to the right."""
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in range(len(header))]
    for row in [header, *rows]:
        cells = [str(row[0]).ljust(widths[0])]
        cells += [str(cell).rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        say("  " + "  ".join(cells).rstrip())


class Bars:
    """A :class:`usl.core.progress.Progress` that draws bars on a terminal and else is silent.

    Shows units per second and the time left. Rich is imported when the first bar is drawn.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        """Draw on ``stream`` (default: stderr) if it is a terminal."""
        self._stream = stream or sys.stderr
        self._live = self._stream is not None and self._stream.isatty()
        self._progress: Any = None
        self._tasks: dict[str, Any] = {}
        self._began: dict[str, float] = {}

    def __call__(self, done: int, total: int, label: str) -> None:
        """Draw or move the bar of one step."""
        if not self._live:
            return
        if self._progress is None:
            self._progress = self._start()
        if label not in self._tasks:
            self._tasks[label] = self._progress.add_task(label, total=total, rate="")
            self._began[label] = time.monotonic()
        elapsed = time.monotonic() - self._began[label]
        rate = f"{done / elapsed:,.0f}/s" if elapsed > 0.5 else ""
        self._progress.update(self._tasks[label], completed=done, total=total, rate=rate)

    def _start(self) -> Any:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        progress = Progress(
            TextColumn("{task.description:<12}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(file=self._stream),
            transient=True,
        )
        progress.start()
        return progress

    def close(self) -> None:
        """Take the bars off the screen."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


@contextmanager
def bars() -> Iterator[Bars]:
    """Progress bars for the length of a block; they are gone when it ends, however it ends."""
    shown = Bars()
    try:
        yield shown
    finally:
        shown.close()


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Show this package's warnings as notes, each once, without file names and source lines."""
    original = warnings.showwarning
    shown: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *details: Any, **more: Any) -> None:
        if issubclass(category, UslWarning):
            if (text := f"Note: {message}") not in shown:  # one for each group would be the same
                note(text)
            shown.add(text)
        else:
            original(message, category, *details, **more)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UslWarning)
        warnings.showwarning = show
        yield


def per_cent(fraction: float) -> str:
    """A fraction as per cent with one decimal."""
    return f"{100 * fraction:.1f}"
