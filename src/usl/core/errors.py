"""Errors with a message for the user and an exit code: usage, data, missing package, training.

Every message says what is wrong, where (file, row or parameter) and what to do about it. The
command line prints the message alone, without a traceback, and exits with ``exit_code``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

MOST_TEXT = 2000  # characters of a message
MOST_WORD = 300  # of a word that may be meant for another: longer ones take long to compare


def shortened(text: str) -> str:
    """The text in one line, without its middle where it is too long; the fix stands at the end."""
    text = " ".join(filter(None, map(str.strip, text.splitlines()))) if "\n" in text else text
    if len(text) <= MOST_TEXT:
        return text
    left = f" [... {len(text) - MOST_TEXT + 100:,} characters left out ...] "
    tail = MOST_TEXT // 3
    return text[: MOST_TEXT - tail - len(left)] + left + text[-tail:]


class UslError(Exception):
    """Base of every error this package raises on purpose; exit code 1."""

    exit_code = 1

    def __str__(self) -> str:
        """The message, of at most 2,000 characters."""
        return shortened(super().__str__())


class UsageError(UslError, ValueError):
    """A parameter that cannot be used as given; exit code 2."""

    exit_code = 2


class DataError(UslError, ValueError):
    """A file, a row or an array that cannot be used as it is."""


class StoreError(DataError):
    """A store beyond this machine that refuses, or cannot be reached: no fault of a picture.

    Work on many pictures stops there; the same command goes on once it is mended.
    """


class MissingDependencyError(UslError, ImportError):
    """An optional package is needed; the message holds the command that installs it."""


class TrainingFailedError(UslError):
    """Training stopped; ``history`` holds the figures recorded until then."""

    def __init__(self, message: str, history: list[dict[str, Any]]) -> None:
        """The message, and one dict per record."""
        super().__init__(message)
        self.history = history


class UslWarning(UserWarning):
    """Something was done differently from what was asked, and the result still stands."""

    def __str__(self) -> str:
        """The message, of at most 2,000 characters."""
        return shortened(super().__str__())


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``" Did you mean 'usl'?"`` for a near miss of a known word, else an empty string."""
    if len(word) > MOST_WORD:
        return ""
    near = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""


def missing_extra(package: str, extra: str, why: str) -> MissingDependencyError:
    """The error for an optional dependency that is not installed."""
    return MissingDependencyError(
        f"{why} needs {package}. Install it with: pip install 'usl[{extra}]'"
    )
