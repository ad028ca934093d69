"""Renames, merges and removals of classes: answers follow them, and each is undone as one.

Entries are never changed. What a label is called now follows from the changes made after it was
given; of a class that was removed it counts as taken back. A rename is undone by the rename back,
so that what was labelled meanwhile follows too; a merge or a removal by letting it count no more.
"""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from usl.core.errors import UsageError

RENAME, MERGE, REMOVE, UNDO = "rename", "merge", "remove", "undo"
VERSION = 2  # of a file with changes: older programs would give the former names back

TABLE = """CREATE TABLE IF NOT EXISTS class_changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, after INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('rename', 'merge', 'remove', 'undo')),
    name TEXT NOT NULL, new_name TEXT, hotkey TEXT NOT NULL, place INTEGER NOT NULL,
    annotator TEXT NOT NULL, key TEXT UNIQUE,
    undoes INTEGER UNIQUE REFERENCES class_changes (id))"""
GUARDS = tuple(
    f"CREATE TRIGGER IF NOT EXISTS class_changes_are_not_{done} BEFORE {action} ON class_changes "
    f"BEGIN SELECT RAISE(ABORT, 'changes of classes are never {done}'); END"
    for action, done in (("UPDATE", "changed"), ("DELETE", "deleted"))
)
INSERT = """INSERT INTO class_changes
    (time, after, kind, name, new_name, hotkey, place, annotator, key, undoes)
    VALUES (?, (SELECT coalesce(max(id), 0) FROM entries), ?, ?, ?, ?, ?, ?, ?, ?)"""
SELECT = """SELECT id, after, kind, name, new_name, hotkey, place, annotator,
    coalesce(key, ''), coalesce(undoes, 0) FROM class_changes ORDER BY id"""


@dataclass(frozen=True)
class ClassChange:
    """One change: ``name`` became ``new_name``, or was removed (None).

    ``after`` is the id of the newest entry at that time; ``hotkey`` and ``place`` in the list are
    what the class had. ``undoes`` is the id of the change that one of kind ``undo`` takes back.
    """

    id: int
    after: int
    kind: str
    name: str
    new_name: str | None
    hotkey: str
    place: int
    annotator: str
    key: str
    undoes: int


class Names:
    """What labels are called now.

    Parameters
    ----------
    changes : all of them, in order.
    classes : names of the classes that there are now.
    """

    def __init__(self, changes: Sequence[ClassChange], classes: Iterable[str]) -> None:
        self.changes = changes
        self.undone = {one.undoes for one in changes if one.kind == UNDO}
        self._classes = set(classes)
        void = {one.id for one in changes if one.kind != RENAME and one.id in self.undone}
        self._steps = [
            one
            for one in changes
            if one.id not in void and (one.kind != UNDO or one.new_name is not None)
        ]

    @property
    def revision(self) -> int:
        """Number of the newest change; 0 before the first."""
        return self.changes[-1].id if self.changes else 0

    def of_entry(self, label: str, number: int) -> str | None:
        """What the label of entry ``number`` is called now; None if its class was removed."""
        now: str | None = label
        for one in self._steps:
            if one.after >= number and one.name == now:
                now = one.new_name
        return now

    def since(self, label: str, revision: int) -> str:
        """What a label is called now that was said when ``revision`` was the newest change.

        Of a class that was removed since it is what it was called last.
        """
        now = label
        for one in self._steps:
            if one.id > revision and one.name == now and one.new_name is not None:
                now = one.new_name
        return now

    def present(self, label: str) -> str:
        """What a class is called now, as far as can be told from any name that it ever had.

        A name of a class that is there means that one.
        """
        return label if label in self._classes else self.since(label, 0)

    def removed(self, label: str) -> bool:
        """Whether it names a class that was removed, and that nobody has named since."""
        return label not in self._classes and self.of_entry(label, 0) is None


def read_changes(connection: sqlite3.Connection) -> list[ClassChange]:
    """All changes, in order."""
    known = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'class_changes'"
    if connection.execute(known).fetchone() is None:
        return []
    return [ClassChange(*row) for row in connection.execute(SELECT)]


def add_change(connection: sqlite3.Connection, time: str, change: ClassChange) -> None:
    """Keep a change; its ``id`` and ``after`` are given here."""
    for statement in (TABLE, *GUARDS, f"PRAGMA user_version = {VERSION}"):
        connection.execute(statement)
    values = (change.kind, change.name, change.new_name, change.hotkey, change.place)
    more = (change.annotator, change.key or None, change.undoes or None)
    connection.execute(INSERT, (time, *values, *more))


def undoable(names: Names, key: str, annotator: str, classes: Iterable[str]) -> ClassChange | None:
    """The change with this key, if it can be undone; None if there is none, or it is undone.

    Raises :class:`UsageError` for another annotator's, and where others have gone on from it.
    """
    change = next((one for one in names.changes if key and one.key == key), None)
    if change is None or change.id in names.undone or change.kind == UNDO:
        return None
    if change.annotator != annotator:
        raise UsageError("undo: this change of the classes is another annotator's.")
    there = set(classes)
    if change.kind == RENAME and change.new_name not in there:
        raise UsageError(
            f"undo: {change.new_name!r} was renamed or removed since. Undo that first."
        )
    later = [one for one in names.changes if one.id > change.id and one.new_name == change.name]
    if change.name in there and (change.kind != REMOVE or later):
        raise UsageError(f"undo: there is another class {change.name!r} by now. Rename that first.")
    return change


def folded(name: str) -> str:
    """What is equal for names that differ in case, blanks or the form of their letters alone."""
    plain = unicodedata.normalize("NFKC", name).casefold()
    return re.sub(r"[\s_-]+", " ", plain).strip()


def like(name: str, known: Iterable[str]) -> str | None:
    """The class that a name means: itself, else the first that differs in case or blanks alone."""
    found = list(known)
    if name in found:
        return name
    wanted = folded(name)
    return next((one for one in found if wanted and folded(one) == wanted), None)
