"""The store of answers, ``labels.sqlite``: append-only, nothing is ever changed.

An answer that was acknowledged is on the disk. Taking one back is an entry of its own. Any number
of threads, processes and browser tabs may write at the same time.

Labels are told by the names that their classes have now (:mod:`usl.labeling.answers.classes`). The
current answer of an annotator to an image of a round is the last entry that is not undone; what all
of them amount to is in :mod:`usl.labeling.answers.outcomes`. Whoever adds answers calls
:func:`usl.labeling.answers.sync.sync` before (hand edits of ``split.csv`` come first) and after.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from usl.core.errors import DataError, UsageError
from usl.labeling.answers.class_changes import Names, read_changes
from usl.labeling.answers.database import Database
from usl.labeling.answers.entries import (
    AUDIT,
    CHECK,
    KINDS,
    LIVE,
    SWEEP,
    UNDO,
    Answer,
    ClassName,
    Round,
    checked,
    tidy,
    with_hotkeys,
)
from usl.run.folder import ANSWERS as NAME

__all__ = ["KINDS", "NAME", "Answer", "ClassName", "Round", "Store", "store_path"]

INSERT = """INSERT INTO entries
    (time, kind, image_id, label, annotator, round, seconds, final, key, undoes, checksum)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
SELECT = """SELECT time, kind, image_id, label, annotator, round, seconds, final, key, undoes,
    checksum, id, EXISTS (SELECT 1 FROM entries AS undo WHERE undo.undoes = entries.id)
    FROM entries"""


def store_path(run_path: str | os.PathLike[str]) -> Path:
    """Where the store of a run folder is, or would be."""
    return Path(run_path) / NAME


class Store:
    """The answers, classes and rounds of one run. Close it, or use it in a ``with`` block."""

    def __init__(self, database: Database) -> None:
        """Wrap an open file; use :meth:`open`."""
        self._database = database

    @classmethod
    def open(cls, run_path: str | os.PathLike[str]) -> Self:
        """Open the store of a run folder, making it if there is none.

        It may be shared by the threads of a process; another process opens its own.

        Raises
        ------
        DataError
            no such folder; ``labels.sqlite`` is of a newer version, no database, damaged, or
            cannot be written.
        """
        return cls(Database(store_path(run_path)))

    @property
    def path(self) -> Path:
        """The file."""
        return self._database.path

    def check_place(self) -> None:
        """Check that the file is still where it was opened; else RunReplacedError."""
        self._database.check_place()

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> Self:
        """Return the store."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Make what is done in the block one transaction; others' writes wait meanwhile."""
        with self._database.transaction() as connection:
            yield connection

    # Answers

    def add(self, answers: Sequence[Answer]) -> list[int]:
        """Keep answers, all or none, in one transaction; their ids, ascending.

        An answer whose key is known is not added again: its old id is returned.

        Raises
        ------
        UsageError : a field that cannot be kept, or a key that another answer has.
        DataError : the disk is full, or the file cannot be written; nothing was added.
        """
        entries = [checked(answer) for answer in answers]
        with self.transaction() as connection:
            return [self._add(connection, entry) for entry in entries]

    def _add(self, connection: sqlite3.Connection, entry: Answer) -> int:
        if entry.key and (known := self._entry(connection, "key = ?", entry.key)):
            same = ("image_id", "kind", "label", "annotator", "round", "final")
            if any(getattr(known, name) != getattr(entry, name) for name in same):
                raise UsageError(
                    f"key: {entry.key!r} is that of another answer (number {known.id}, of "
                    f"{known.image_id!r}). Give each answer a key of its own."
                )
            return known.id
        return _insert(connection, entry)

    def undo(self, ids: Sequence[int], *, annotator: str = "", key: str = "") -> list[int]:
        """Take answers back, by entries of their own; the ids that were not undone before.

        What is undone already stays so, and a key that is known does nothing.

        Raises
        ------
        UsageError : no such answer, another annotator's, or a key that an answer has.
        """
        annotator, key = tidy("annotator", annotator, empty=True), tidy("key", key, empty=True)
        done: list[int] = []
        with self.transaction() as connection:
            if key and (known := self._entry(connection, "key = ?", key)):
                if known.kind != UNDO or known.annotator != annotator:
                    raise UsageError(f"key: {key!r} is that of another entry (number {known.id}).")
                return []
            for number in dict.fromkeys(ids):
                entry = self._entry(connection, "id = ?", number)
                if entry is None or entry.kind == UNDO:
                    raise UsageError(f"undo: there is no answer number {number}.")
                if entry.annotator != annotator:
                    raise UsageError(f"undo: answer number {number} is another annotator's.")
                known_undo = "SELECT 1 FROM entries WHERE undoes = ?"
                if connection.execute(known_undo, (number,)).fetchone() is None:
                    undo = replace(
                        entry, kind=UNDO, label=None, seconds=None, key=key if not done else ""
                    )
                    _insert(connection, replace(undo, undoes=number))
                    done.append(number)
        return done

    def history(
        self,
        *,
        round: str | None = None,
        annotator: str | None = None,
        after: int = 0,
        undos: bool = False,
    ) -> list[Answer]:
        """Answers in the order they were given, those taken back marked ``undone``.

        Parameters
        ----------
        round, annotator : only theirs.
        after : only entries with a higher id, for whoever follows along.
        undos : also the entries that took answers back, with kind ``undo`` and ``undoes``.
        """
        wanted: dict[str, Any] = {"id > ?": after}
        if round is not None:
            wanted["round = ?"] = round
        if annotator is not None:
            wanted["annotator = ?"] = annotator
        if not undos:
            wanted["kind != ?"] = UNDO
        query = f"{SELECT} WHERE {' AND '.join(wanted)} ORDER BY id"
        with self._database.reading() as connection:
            rows = connection.execute(query, list(wanted.values())).fetchall()
            names = self.names()
            return [_answer(row, self.path, names) for row in rows]

    def last_id(self) -> int:
        """Number of the newest entry, undos included; 0 if there is none."""
        with self._database.reading() as connection:
            return int(connection.execute("SELECT coalesce(max(id), 0) FROM entries").fetchone()[0])

    def _entry(self, connection: sqlite3.Connection, which: str, value: Any) -> Answer | None:
        row = connection.execute(f"{SELECT} WHERE {which}", (value,)).fetchone()
        return None if row is None else _answer(row, self.path, self.names())

    # Classes

    def names(self) -> Names:
        """What classes were called, and are called now."""
        with self._database.reading() as connection:
            changes = read_changes(connection)
            return Names(changes, [one.name for one in self.classes()] if changes else ())

    def classes(self) -> list[ClassName]:
        """The classes with their keys, in the order they are shown."""
        with self._database.reading() as connection:
            rows = connection.execute("SELECT name, hotkey FROM classes ORDER BY position")
            return [ClassName(*row) for row in rows]

    def set_classes(self, classes: Sequence[ClassName | str]) -> list[ClassName]:
        """Replace the list of classes; names alone get the first free digits. Answers stay.

        Raises :class:`UsageError` for an empty or repeated name, and for a key that is none or
        taken.
        """
        kept = with_hotkeys(classes)
        with self.transaction() as connection:
            connection.execute("DELETE FROM classes")
            connection.executemany(
                "INSERT INTO classes (name, hotkey) VALUES (?, ?)",
                [(c.name, c.hotkey) for c in kept],
            )
        return kept

    def add_class(self, name: str) -> ClassName:
        """Append a class with the first free digit; one that is there already is returned."""
        name = tidy("label", name)
        with self.transaction():
            known = self.classes()
            for one in known:
                if one.name == name:
                    return one
            return self.set_classes([*known, name])[-1]

    # Rounds

    def rounds(self) -> list[Round]:
        """The rounds that were begun, in order; the round ``labels`` is not stored."""
        query = "SELECT name, kind, images, seed, population, passed, time, settings FROM rounds"
        with self._database.reading() as connection:
            rows = connection.execute(f"{query} ORDER BY position").fetchall()
        return [
            Round(
                name=name,
                kind=kind,
                images=tuple(json.loads(images)),
                seed=seed,
                population=population,
                passed=tuple((image, position) for image, position in json.loads(passed)),
                time=time,
                settings=json.loads(settings or "{}"),
            )
            for name, kind, images, seed, population, passed, time, settings in rows
        ]

    def add_round(self, drawn: Round) -> Round:
        """Keep a round; with an empty name it gets the next of its kind, as in ``audit-2``.

        Raises :class:`UsageError` for an unknown kind, a name that does not fit it or is taken.
        """
        if drawn.kind not in (kinds := (AUDIT, CHECK, LIVE, SWEEP)):
            raise UsageError(f"kind: {drawn.kind!r} is no kind of round; use {', '.join(kinds)}.")
        with self.transaction() as connection:
            taken = {known.name for known in self.rounds()}
            count = sum(name.startswith(f"{drawn.kind}-") for name in taken)
            name = drawn.name or f"{drawn.kind}-{count + 1}"
            if name in taken or not name.startswith(f"{drawn.kind}-"):
                raise UsageError(f"round: {name!r} is taken, or no name for a round of this kind.")
            kept = replace(drawn, name=tidy("round", name), time=now())
            connection.execute(
                "INSERT INTO rounds "
                "(name, kind, images, seed, population, passed, time, settings) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    kept.name,
                    kept.kind,
                    json.dumps(kept.images),
                    kept.seed,
                    kept.population,
                    json.dumps(kept.passed),
                    kept.time,
                    json.dumps(kept.settings),
                ),
            )
        return kept


def _insert(connection: sqlite3.Connection, entry: Answer) -> int:
    values = (
        now(),
        entry.kind,
        entry.image_id,
        entry.label,
        entry.annotator,
        entry.round,
        None if entry.seconds is None else float(entry.seconds),  # as the file gives it back
        int(entry.final),
        entry.key or None,
        entry.undoes or None,
    )
    return int(connection.execute(INSERT, (*values, _checksum(values))).lastrowid or 0)


def _checksum(values: tuple[Any, ...]) -> int:
    """Of an entry as it is kept, in the order of its columns."""
    return zlib.crc32(ascii(values).encode())


def _answer(row: tuple[Any, ...], path: Path, names: Names) -> Answer:
    """An entry as its class is called now; one of a class that was removed is ``undone``.

    Raises :class:`DataError` where a bit of it has flipped since it was given.
    """
    *values, told, number, undone = row
    if told is not None and told != _checksum(tuple(values)):
        raise DataError(
            f"{path} is damaged: answer number {number} is not as it was given (its checksum is "
            "another). Restore the file from a copy; or move it away and go on with the labels "
            "that split.csv holds."
        )
    time, kind, image, label, annotator, name, seconds, final, key, undoes = values
    if label is not None and (called := names.of_entry(label, number)) != label:
        label, undone = called or label, undone or called is None
    return Answer(
        image,
        kind,
        label,
        annotator,
        name,
        seconds,
        bool(final),
        key or "",
        number,
        time,
        bool(undone),
        undoes or 0,
    )


def now() -> str:
    """The time as the store keeps it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
