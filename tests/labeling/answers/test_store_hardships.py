"""The store in parallel, killed, and on files and disks that fail it."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from contextlib import closing, suppress
from multiprocessing import get_context
from pathlib import Path

import pytest

from usl.core.errors import DataError
from usl.labeling.answers.database import SCHEMA, Database
from usl.labeling.answers.entries import Answer
from usl.labeling.answers.store import Store, store_path

PARALLEL, EACH = 8, 1_250


def cat(image="a.jpg", **fields):
    return Answer(image, "label", "cat", **fields)


def sound(path):
    with sqlite3.connect(path) as connection:
        return connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def annotate(folder, name, barrier):
    """What one process does: open the store, and answer one image at a time."""
    barrier.wait()  # all open a store that is not there yet
    with Store.open(folder) as store:
        for number in range(EACH):
            answer = cat(f"{number}.jpg", annotator=name, key=f"{name}-{number}")
            (added,) = store.add([answer])
            if number % 100 == 0:
                assert store.add([answer]) == [added]  # sent twice
            if number % 250 == 0:
                store.undo([added], annotator=name)


def test_ten_thousand_answers_from_eight_processes(quick_folder):
    context = get_context("spawn")
    barrier = context.Barrier(PARALLEL)
    workers = [
        context.Process(target=annotate, args=(quick_folder, f"annotator {i}", barrier))
        for i in range(PARALLEL)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * PARALLEL
    check_all_there(quick_folder, PARALLEL * EACH // 250)


def test_ten_thousand_answers_from_eight_threads_and_one_store(quick_folder):
    with Store.open(quick_folder) as store:
        failures = []

        def work(name):
            try:
                for number in range(EACH):
                    store.add([cat(f"{number}.jpg", annotator=name, key=f"{name}-{number}")])
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(f"annotator {i}",)) for i in range(PARALLEL)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
    check_all_there(quick_folder, 0)


def check_all_there(folder, undone):
    with Store.open(folder) as store:
        history = store.history(undos=True)
    answers = [answer for answer in history if answer.kind == "label"]
    told = {(answer.annotator, answer.image_id) for answer in answers}
    assert len(answers) == len(told) == PARALLEL * EACH
    assert told == {
        (f"annotator {i}", f"{number}.jpg") for i in range(PARALLEL) for number in range(EACH)
    }
    assert len(history) - len(answers) == sum(answer.undone for answer in answers) == undone
    assert [answer.id for answer in history] == list(range(1, len(history) + 1))
    for i in range(PARALLEL):  # everybody's own order is kept
        own = [a.image_id for a in answers if a.annotator == f"annotator {i}"]
        assert own == [f"{number}.jpg" for number in range(EACH)]
    assert sound(store_path(folder))


WRITER = """
import sys
from usl.labeling.answers.store import Answer, Store
store = Store.open(sys.argv[1])
for number in range(int(sys.argv[2]), 1_000_000):
    (told,) = store.add([Answer(f"{number}.jpg", "label", "cat", key=f"k{number}")])
    print(number, told, flush=True)
"""


def test_killed_in_the_middle_nothing_that_was_acknowledged_is_lost(tmp_path):
    acknowledged = {}
    for _ in range(4):
        start = max(acknowledged, default=-1) + 1
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(start)],
            stdout=subprocess.PIPE,
            text=True,
        ) as writer:
            for line in writer.stdout:
                number, told = map(int, line.split())
                acknowledged[number] = told
                if number >= start + 40:
                    break
            writer.send_signal(signal.SIGKILL)
            for line in writer.stdout:  # written between our decision and its end
                if len(line.split()) == 2 and line.endswith("\n"):
                    acknowledged.update([map(int, line.split())])
        with Store.open(tmp_path) as store:
            history = store.history()
        kept = {int(answer.key[1:]): answer.id for answer in history}
        assert len(kept) == len(history)  # none doubled, though each start sends one once more
        assert acknowledged.items() <= kept.items()
        assert len(kept) - len(acknowledged) <= 1  # in the file, but not yet acknowledged
        acknowledged = dict(kept)
        acknowledged.pop(max(kept))  # the client does not know, and sends it again
    assert sound(store_path(tmp_path))


def test_a_newer_version(tmp_path):
    Store.open(tmp_path).close()
    connection = sqlite3.connect(store_path(tmp_path))
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(DataError, match=r"labels\.sqlite: made by a newer version.*pip install"):
        Store.open(tmp_path)


@pytest.mark.parametrize("content", [b"no database at all" * 400, b"SQLite format 3\x00" * 400])
def test_a_file_that_is_no_database(tmp_path, content):
    store_path(tmp_path).write_bytes(content)
    with pytest.raises(DataError, match=r"labels\.sqlite is damaged, or no database.*split\.csv"):
        Store.open(tmp_path)
    assert store_path(tmp_path).read_bytes() == content


def test_a_database_that_was_cut(tmp_path):
    with Store.open(tmp_path) as store:
        store.add([cat(f"{number}.jpg") for number in range(2_000)])
    whole = store_path(tmp_path).read_bytes()
    store_path(tmp_path).write_bytes(whole[: len(whole) // 3])
    with pytest.raises(DataError, match="is damaged"), Store.open(tmp_path) as store:
        store.history()


def test_a_database_of_another_program(tmp_path):
    connection = sqlite3.connect(store_path(tmp_path))
    connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()
    with pytest.raises(DataError, match="a database of another program"):
        Store.open(tmp_path)


@pytest.mark.parametrize("made_before", [1, 2, 3])
def test_another_program_makes_the_file_while_this_one_looks(tmp_path, made_before):
    class Interrupted:
        """A connection; before one of its statements the other program is done."""

        def __init__(self, connection):
            self.connection, self.statements = connection, 0

        def execute(self, statement):
            self.statements += 1
            if self.statements == made_before:
                Store.open(tmp_path).close()
            return self.connection.execute(statement)

    with closing(sqlite3.connect(store_path(tmp_path))) as connection:
        database = Database.__new__(Database)
        database.path, database._connection = store_path(tmp_path), Interrupted(connection)
        assert database._known() == (made_before == 1)
        assert database._known()


def test_no_run_folder(tmp_path):
    with pytest.raises(DataError, match="no such run folder"):
        Store.open(tmp_path / "none")


def test_a_full_disk(tmp_path):
    with Store.open(tmp_path) as store:
        store.add([cat()])
        with store.transaction() as connection:
            pages = connection.execute("PRAGMA page_count").fetchone()[0]
        store._database._connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(DataError, match=r"labels\.sqlite: the disk is full; this"):
            store.add([cat(f"{number}.jpg") for number in range(5_000)])
        assert len(store.history()) == 1
        store._database._connection.execute("PRAGMA max_page_count = 100000")
        assert store.add([cat("b.jpg")]) == [2]  # goes on when there is space


READ_ONLY = """
import os, sys
from usl.core.errors import DataError
from usl.labeling.answers.store import Answer, Store
if os.getuid() == 0:  # may write anywhere: become nobody
    os.setgroups([])
    os.setuid(65534)
try:
    with Store.open(sys.argv[1]) as store:
        store.add([Answer("a.jpg", "bad")])
except DataError as error:
    print(error)
"""


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX")
@pytest.mark.parametrize("there", [False, True])
def test_a_folder_that_cannot_be_written(there):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "run"
        folder.mkdir()
        if there:
            Store.open(folder).close()
        folder.chmod(0o555)
        Path(name).chmod(0o755)
        done = subprocess.run(
            [sys.executable, "-c", READ_ONLY, str(folder)], capture_output=True, text=True
        )
        folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert "labels.sqlite: answers cannot be kept here. Allow writing" in done.stdout


def test_a_store_that_another_program_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("usl.labeling.answers.database.PATIENCE", 0.1)
    with Store.open(tmp_path) as store:
        blocker = sqlite3.connect(store_path(tmp_path), isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        assert store.history() == []  # reading goes on
        with pytest.raises(DataError, match="another program has kept it busy"):
            store.add([cat()])
        blocker.execute("ROLLBACK")
        assert store.add([cat()]) == [1]
        blocker.close()


def test_a_closed_store(tmp_path):
    store = Store.open(tmp_path)
    store.close()
    with pytest.raises(DataError, match=r"labels\.sqlite: cannot be used .*closed"):
        store.add([cat()])


def test_no_flipped_bit_gives_another_answer(tmp_path):
    """Every answer is as it was given, or the file is said to be damaged."""
    with Store.open(tmp_path) as store:
        numbers = store.add([cat(f"{number}.jpg", key=f"k{number}") for number in range(60)])
        store.undo(numbers[::7])
        store.add([Answer("0.jpg", "unsure", seconds=2, annotator="ann")])
        given = store.history(undos=True)
    path = store_path(tmp_path)
    whole = path.read_bytes()
    for place in range(100, len(whole), 41):
        other = bytearray(whole)
        other[place] ^= 1 << (place % 7)
        for beside in tmp_path.glob("labels.sqlite*"):
            beside.unlink()
        path.write_bytes(other)
        with suppress(DataError), Store.open(tmp_path) as store:
            assert store.history(undos=True) == given, place


def test_a_store_of_an_older_version_is_read_and_gone_on_with(tmp_path):
    older = [
        statement.replace("checksum INTEGER,", "").replace(", settings TEXT", "")
        for statement in SCHEMA
    ]
    with closing(sqlite3.connect(store_path(tmp_path))) as connection:
        for statement in older:
            connection.execute(statement)
        connection.execute(
            "INSERT INTO entries (time, kind, image_id, label, annotator, round, final) "
            "VALUES ('2026-01-01T00:00:00+00:00', 'label', 'old.jpg', 'cat', '', 'labels', 0)"
        )
        connection.execute(
            "INSERT INTO rounds (name, kind, images, seed, population, passed, time) "
            "VALUES ('check-1', 'check', '[\"old.jpg\"]', 0, 1, '[]', '2026-01-01T00:00:00+00:00')"
        )
        connection.commit()
    for _ in range(2):
        with Store.open(tmp_path) as store:
            assert next(answer.image_id for answer in store.history()) == "old.jpg"
            assert store.rounds()[0].settings == {}
            store.add([cat("new.jpg")])
