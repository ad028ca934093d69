"""Terminal output: results on stdout; progress, notes and warnings on stderr."""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TextIO

from usl.core.errors import UslWarning, shortened
from usl.core.progress import Forecast, Stage

LOOK = 0.1  # seconds between looks at what is left
FIRST_LINE, BETWEEN_LINES = 2.0, 30.0  # seconds, of progress where there is no terminal
_QUIET: ContextVar[bool] = ContextVar("quiet", default=False)


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
    """An aligned table on stdout: the first column and words to the left, figures to the right."""
    columns = range(len(header))
    widths = [max(len(str(row[i])) for row in [header, *rows]) for i in columns]
    words = [i == 0 or (bool(rows) and all(str(r[i])[:1].isalpha() for r in rows)) for i in columns]
    for row in [header, *rows]:
        cells = [
            str(cell).ljust(width) if left else str(cell).rjust(width)
            for cell, width, left in zip(row, widths, words, strict=True)
        ]
        say("  " + "  ".join(cells).rstrip())


class Shown:
    """A :class:`usl.core.progress.Progress` with the time left of all work, on stderr.

    On a terminal there are bars, which are gone in the end. Elsewhere there are plain lines: one
    for every tenth of the work or after half a minute, whichever comes first, and none in the first
    seconds, which most work does not outlast. Nothing where ``--quiet`` is given.
    """

    def __init__(
        self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Show it on ``stream`` (default: stderr)."""
        self._stream = stream or sys.stderr
        self._forecast = Forecast(clock)
        self._way: _Bars | _Lines | None = None
        if self._stream is not None and not _QUIET.get():
            self._way = (_Bars if self._stream.isatty() else _Lines)(self._stream)
        self._looked = -LOOK

    def expect(self, *stages: Stage) -> None:
        """Take note of what is to come."""
        self._forecast.expect(*stages)

    def __call__(self, done: int, total: int, label: str) -> None:
        """Show how far one step is, and all the work."""
        if self._way is None:
            return
        self._forecast(done, total, label)
        elapsed = self._forecast.elapsed()
        if elapsed - self._looked >= LOOK or done >= total:
            self._looked = elapsed
            step = Step(label, done, total, elapsed, self._forecast.left())
            with suppress(OSError):
                self._way.show(step)

    def close(self) -> None:
        """Take the bars off the screen."""
        if self._way is not None:
            self._way.close()
            self._way = None


@dataclass(frozen=True)
class Step:
    """A step that is reported, the seconds since the beginning and those ``left`` of all."""

    label: str
    done: int
    total: int
    elapsed: float
    left: float | None

    @property
    def share(self) -> float:
        """How much of all work is done, by time; 0 where that is not known."""
        if self.left is None or self.elapsed <= 0:
            return 0.0
        return self.elapsed / (self.elapsed + self.left)


class _Lines:
    """Plain lines, few of them."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last = 0.0  # when there was a line, and how far the work was
        self._share = 0.0

    def show(self, step: Step) -> None:
        if step.elapsed < FIRST_LINE:
            return
        further = int(10 * step.share) > int(10 * self._share)
        if not further and step.elapsed - self._last < BETWEEN_LINES:
            return
        self._last, self._share = step.elapsed, max(self._share, step.share)
        parts = [f"{step.label}: {step.done:,} of {step.total:,}"]
        if step.left:
            parts += [f"{min(99, 100 * step.share):.0f}% of all", f"{in_words(step.left)} left"]
        _print(", ".join(parts), self._stream)

    def close(self) -> None:
        pass


class _Bars:
    """A bar for each step, with its units per second; Rich is imported with the first one."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._progress: Any = None
        self._tasks: dict[str, Any] = {}
        self._began: dict[str, tuple[float, int]] = {}

    def show(self, step: Step) -> None:
        if self._progress is None:
            self._progress = self._start()
        label = step.label
        if label not in self._tasks:
            self._tasks[label] = self._progress.add_task(label, total=step.total, rate="", left="")
            self._began[label] = step.elapsed, step.done
        since, before = self._began[label]
        if step.done < before:  # once more
            self._began[label] = step.elapsed, step.done
        spent = step.elapsed - since
        rate = f"{(step.done - before) / spent:,.0f}/s" if spent > 0.5 else ""
        left = "" if step.left is None else f"{in_words(step.left)} left"
        for one in self._tasks.values():
            self._progress.update(one, left="")
        self._progress.update(
            self._tasks[label], completed=step.done, total=step.total, rate=rate, left=left
        )

    def _start(self) -> Any:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        progress = Progress(
            TextColumn("{task.description:<12}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[left]}"),
            console=Console(file=self._stream),
            transient=True,
        )
        progress.start()
        return progress

    def close(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def in_words(seconds: float) -> str:
    """A span of time as people say it: ``90 s``, ``3 min``, ``2 h 10 min``."""
    if seconds < 120:
        return f"{max(1, round(seconds)):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


@contextmanager
def bars() -> Iterator[Shown]:
    """Progress for the length of a block; bars are gone when it ends, however it ends."""
    shown = Shown()
    try:
        yield shown
    finally:
        shown.close()


@contextmanager
def quiet(wanted: bool = True) -> Iterator[None]:
    """No progress within the block, if that is ``wanted``; results, notes and errors stay."""
    before = _QUIET.set(wanted)
    try:
        yield
    finally:
        _QUIET.reset(before)


def note_step(text: str) -> None:
    """What is being done now, on stderr; a part of the progress."""
    if not _QUIET.get():
        note(text)


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
