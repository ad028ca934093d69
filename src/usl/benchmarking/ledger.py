"""Ledger of a benchmark: one JSON value per finished piece of work, so that it can resume.

Three kinds of lines: a *selection* (its picks, what it took), a *score* (a learner on it), and a
*round* of a learning curve (its picks, what they took, and the learner's score after it). Each has
a key, the hash of all it depends on; a changed parameter is another key. A line is written at once
and flushed to disk; what a kill leaves of a torn last line is dropped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from itertools import takewhile
from pathlib import Path
from typing import Any

from usl.core.errors import DataError

SELECTION, SCORE, ROUND = "selection", "score", "round"
FAILURE = "failure"  # of a line that is told but not kept
Line = dict[str, Any]


class Ledger:
    """The lines of one benchmark, in ``folder/rows.jsonl``."""

    def __init__(self, folder: Path) -> None:
        """Read what is there; :class:`DataError` for a file that is no ledger."""
        self.path = folder / "rows.jsonl"
        self.selections: dict[str, Line] = {}
        self.scores: dict[tuple[str, str], Line] = {}  # (selection, learner)
        self.curves: dict[str, dict[int, Line]] = {}  # curve -> number of the round
        whole = 0
        content = self.path.read_bytes() if self.path.exists() else b""
        for number, raw in enumerate(content.splitlines(keepends=True), 1):
            if not raw.endswith(b"\n"):
                break
            try:
                self._take(json.loads(raw))
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(
                    f"{self.path}, line {number}: not a row of a benchmark ({error}). Remove the "
                    "line, or give another folder with --out."
                ) from error
            whole += len(raw)
        if whole < len(content):
            with open(self.path, "r+b") as handle:
                handle.truncate(whole)

    def add(self, lines: Iterable[Line]) -> None:
        """Keep finished lines: on disk when this returns."""
        lines = list(lines)
        if not lines:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        with open(self.path, "a", encoding="utf-8") as handle:
            handle.write(text)
            handle.flush()
            os.fsync(handle.fileno())
        for line in lines:
            self._take(line)

    def curve(self, key: str) -> list[Line]:
        """The rounds of a curve, from the start to the first that is missing."""
        known = self.curves.get(key, {})
        return [known[number] for number in takewhile(known.__contains__, range(len(known)))]

    def _take(self, line: Line) -> None:
        if line["kind"] == SELECTION:
            self.selections[line["key"]] = line
        elif line["kind"] == SCORE:
            self.scores[line["key"], line["learner_key"]] = line
        elif line["kind"] == ROUND:
            self.curves.setdefault(line["key"], {})[line["round"]] = line
        else:
            raise ValueError(f"kind {line['kind']!r}")
