"""Open ``labels.sqlite`` safely, and say its errors in plain words.

Write-ahead log and ``synchronous=FULL``: a transaction that returned is on the disk and survives a
power cut, one that did not leaves no trace. Entries can be added only; the file itself refuses to
change or delete one. While a program has it open, ``labels.sqlite-wal`` and ``-shm`` lie beside it;
after a crash they hold answers, and the next opening takes them in. What is written while the file
is not in its place any more, as after its folder was replaced, is never called kept.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from usl.core.errors import DataError, UsageError
from usl.core.files import sync_folder
from usl.labeling.answers.class_changes import VERSION as NEWEST
from usl.run.identity import RunReplacedError

VERSION = 1  # of a new file
APPLICATION = 0x75736C31  # "usl1"
PATIENCE = 30.0  # seconds to wait for another program's transaction

SCHEMA = (
    """CREATE TABLE entries (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        time TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('label', 'unsure', 'bad', 'skip', 'undo')),
        image_id TEXT NOT NULL,
        label TEXT CHECK ((label IS NOT NULL) = (kind = 'label')),
        annotator TEXT NOT NULL,
        round TEXT NOT NULL,
        seconds REAL,
        final INTEGER NOT NULL,
        key TEXT UNIQUE,
        undoes INTEGER UNIQUE REFERENCES entries (id),
        checksum INTEGER,
        CHECK ((undoes IS NOT NULL) = (kind = 'undo')))""",
    """CREATE TRIGGER entries_are_not_changed BEFORE UPDATE ON entries
        BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END""",
    """CREATE TRIGGER entries_are_not_deleted BEFORE DELETE ON entries
        BEGIN SELECT RAISE(ABORT, 'entries are never deleted'); END""",
    """CREATE TABLE classes (
        position INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, hotkey TEXT NOT NULL)""",
    """CREATE TABLE rounds (
        position INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,
        images TEXT NOT NULL, seed INTEGER NOT NULL, population INTEGER NOT NULL,
        passed TEXT NOT NULL, time TEXT NOT NULL, settings TEXT)""",
    # What sync() last wrote into split.csv, and what it is about to write (see sync_state.py).
    """CREATE TABLE written (
        image_id TEXT PRIMARY KEY, before TEXT NOT NULL, state TEXT NOT NULL, label TEXT,
        next_state TEXT, next_label TEXT)""",
    f"PRAGMA application_id = {APPLICATION}",
    f"PRAGMA user_version = {VERSION}",
)


class Database:
    """One connection, shared by the threads of one process, a transaction at a time."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it. Raises :class:`DataError` for one that cannot be used."""
        self.path = path
        self._lock = threading.RLock()
        self._depth = 0
        self._process = os.getpid()
        if not path.parent.is_dir():
            raise DataError(f"{path.parent}: no such run folder. Make one: usl select.")
        with plain_errors(path):
            self._connection = sqlite3.connect(
                path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare()
                self._place = path.absolute()
                self._file = _which_file(self._place)
            except BaseException:
                self._connection.close()
                raise

    def _prepare(self) -> None:
        """Check whose file it is, make the tables of a new one, and set how it is written."""
        execute = self._connection.execute
        if not self._known():
            _set_write_ahead_log(self._connection)
            execute("BEGIN IMMEDIATE")  # of two programs that find it empty, one makes it
            try:
                if not self._known():
                    for statement in SCHEMA:
                        execute(statement)
                execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    execute("ROLLBACK")
                raise
            sync_folder(self.path.parent)
        self._add_column("entries", "checksum INTEGER")  # older entries keep none
        self._add_column("rounds", "settings TEXT")
        damage = execute("PRAGMA integrity_check(1)").fetchone()[0]
        if damage != "ok":  # an index that lies would hide an answer, or an undo
            raise DataError(f"{self.path}{_advice(sqlite3.SQLITE_CORRUPT)} (SQLite: {damage}).")
        execute("PRAGMA synchronous = FULL")
        execute("PRAGMA fullfsync = ON")  # a Mac's fsync alone does not reach the disk
        execute("PRAGMA foreign_keys = ON")

    def _add_column(self, table: str, column: str) -> None:
        """Give a file of an older version a column that it lacks."""
        names = [row[1] for row in self._connection.execute(f"PRAGMA table_info({table})")]
        if column.split()[0] in names:
            return
        try:
            self._connection.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
        except sqlite3.OperationalError as error:
            if "duplicate column" not in str(error):  # which another program was quicker to add
                raise

    def _known(self) -> bool:
        """Whether the tables are there; DataError if the file is another program's, or newer."""
        execute = self._connection.execute
        # In this order: another program may make the tables meanwhile, and whoever sees them has to
        # see whose they are.
        tables = execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        application = execute("PRAGMA application_id").fetchone()[0]
        version = execute("PRAGMA user_version").fetchone()[0]
        if application == APPLICATION and version > NEWEST:
            raise DataError(
                f"{self.path}: made by a newer version of usl (format {version}; this one reads up "
                f"to {NEWEST}). Upgrade: pip install --upgrade usl."
            )
        if tables and application != APPLICATION:
            raise DataError(
                f"{self.path} is a database of another program. Move it out of the run folder."
            )
        return bool(tables)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection; on success all is kept, on an exception nothing.

        Inside another transaction of the same thread it is a part of that one.
        """
        with self.reading() as connection:
            if self._depth:
                yield connection
                return
            self.check_place()
            connection.execute("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                yield connection
                connection.execute("COMMIT")
                self.check_place()
            except BaseException:
                if connection.in_transaction:  # a full disk may have ended it already
                    connection.execute("ROLLBACK")
                raise
            finally:
                self._depth = 0

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yield the connection to this thread alone; errors of SQLite become DataErrors."""
        if os.getpid() != self._process:
            raise UsageError(f"{self.path}: opened before a fork. Open it in each process anew.")
        with self._lock, plain_errors(self.path):
            yield self._connection

    def check_place(self) -> None:
        """Check that the path still leads to the file that is open.

        Raises
        ------
        RunReplacedError : it was deleted, moved or replaced, by itself or with its folder.
        """
        try:
            there = _which_file(self._place) == self._file
        except OSError:
            there = False
        if not there:
            raise RunReplacedError(
                f"{self.path} was deleted, moved or replaced while it was open; no answer is kept "
                "there any more. Begin again with the run that is to be labelled."
            )

    def close(self) -> None:
        """Close the file. The last program to do so leaves ``labels.sqlite`` alone on the disk."""
        if os.getpid() == self._process:
            with self._lock:
                self._connection.close()


def _which_file(path: Path) -> tuple[int, int]:
    """What tells a file from another of its name."""
    state = os.stat(path)
    return state.st_dev, state.st_ino


def _set_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log; SQLite does not wait here for others who do the same.

    Where the file system has none (network folders), the file keeps its rollback journal.
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            if not busy or time.monotonic() > end:
                raise
            time.sleep(0.01)


@contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite says into a :class:`DataError` that names the file and the fix."""
    try:
        yield
    except UnicodeDecodeError as error:  # in the text of an error, or in a damaged answer
        raise DataError(f"{path}{_advice(sqlite3.SQLITE_CORRUPT)} ({error}).") from error
    except sqlite3.Error as error:
        # No code: the module's own complaint, as of a closed connection.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
        raise DataError(f"{path}{_advice(code)} (SQLite: {error}).") from error


def _advice(code: int) -> str:
    """What to do about a SQLite result code."""
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return (
            " is damaged, or no database. Restore it from a copy, together with the files beside "
            "it whose names begin the same; or move it away and go on with the labels that "
            "split.csv holds"
        )
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return (
            ": answers cannot be kept here. Allow writing to the file and to its folder, or work "
            "on a copy of the run folder"
        )
    if code == sqlite3.SQLITE_FULL:
        return ": the disk is full; this answer was not kept. Free some space, then go on"
    if code == sqlite3.SQLITE_IOERR:
        return ": the disk refused to read or write. See that it is there, has space and is sound"
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f": another program has kept it busy for {PATIENCE:.0f} seconds. Close that one"
    return ": cannot be used"
