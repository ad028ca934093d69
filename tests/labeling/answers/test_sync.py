from __future__ import annotations

import random
import subprocess
import sys
import threading

import numpy as np
import pyarrow.parquet
import pytest
from label_run import IDS, edit, make_run, rows, write_predictions

from usl.core.errors import DataError, UslWarning
from usl.labeling.answers import sync as syncing
from usl.labeling.answers import sync_state
from usl.labeling.answers.entries import Answer, ClassName
from usl.labeling.answers.store import Store, store_path
from usl.labeling.answers.sync import PERSON, bring_up_to_date, sync
from usl.labeling.answers.sync_state import originally_requested
from usl.run import split_csv

FIRST, SECOND, LAST = IDS[0], IDS[1], IDS[-1]
HUMAN, REQUESTED, NONE = (
    ("labeled", "cat", "human"),
    ("requested", None, ""),
    ("unlabeled", None, ""),
)


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run")


def cat(image=FIRST, **fields):
    return Answer(image, "label", "cat", **fields)


def test_without_a_store_nothing_is_touched(run):
    before = {path: path.stat().st_mtime_ns for path in run.path.iterdir()}
    assert sync(run).states.tolist() == run.split().states.tolist()
    (run.path / "split.csv").rename(run.path / "elsewhere.csv")
    bring_up_to_date(run)  # does not even look
    (run.path / "elsewhere.csv").rename(run.path / "split.csv")
    assert {path: path.stat().st_mtime_ns for path in run.path.iterdir()} == before


def test_answers_reach_the_split_file_and_its_mirror(run, store):
    store.add([cat(), Answer(SECOND, "bad"), Answer(IDS[2], "skip"), cat(IDS[3], round="check-1")])
    split = sync(run, store)
    assert rows(run)[FIRST] == rows(run)[IDS[3]] == HUMAN
    assert rows(run)[SECOND] == NONE
    assert rows(run)[IDS[2]] == REQUESTED
    assert split.ids.tolist() == IDS
    for name in ("states", "labels", "sources", "weights", "numbers"):
        assert getattr(split, name).tolist() == getattr(run.split(), name).tolist()
    mirror = pyarrow.parquet.read_table(run.path / "split.parquet")
    assert mirror["label"].to_pylist() == split.labels.tolist()
    assert mirror["state"].to_pylist() == split.states.tolist()


def test_a_second_time_nothing_changes(run, store):
    store.add([cat(), Answer(SECOND, "unsure"), cat(LAST, annotator="B")])
    edit(run, row3="dog")
    sync(run, store)
    files = [run.path / "split.csv", run.path / "split.parquet"]
    stamps = [(path.stat().st_mtime_ns, path.stat().st_ino) for path in files]
    history = store.history(undos=True)
    for _ in range(3):
        sync(run, store)
        sync(run)
    assert [(path.stat().st_mtime_ns, path.stat().st_ino) for path in files] == stamps
    assert store.history(undos=True) == history


def test_an_undo_asks_again_or_leaves_as_it_was(run, store):
    ids = store.add([cat(), cat(LAST)])
    sync(run, store)
    assert rows(run)[LAST] == HUMAN
    store.undo(ids)
    sync(run, store)
    assert rows(run)[FIRST] == REQUESTED
    assert rows(run)[LAST] == NONE


def test_a_conflict_stays_requested_until_it_is_adjudicated(run, store):
    store.add([cat(annotator="A")])
    sync(run, store)
    assert rows(run)[FIRST] == HUMAN
    store.add([Answer(FIRST, "label", "dog", "B")])
    sync(run, store)
    assert rows(run)[FIRST] == REQUESTED
    assert originally_requested(store) == {FIRST}
    store.add([cat(annotator="A", final=True)])
    sync(run, store)
    assert rows(run)[FIRST] == HUMAN


def test_an_audit_never_reaches_the_split_file(run, store):
    before = (run.path / "split.csv").read_bytes()
    store.add([cat(round="audit-1"), cat(LAST, round="audit-12", final=True)])
    sync(run, store)
    assert (run.path / "split.csv").read_bytes() == before


def test_edits_by_hand_enter_the_history(run, store):
    edit(run, row1="dog", row20="emu")  # before anything was answered
    sync(run, store)
    assert [(a.image_id, a.label, a.annotator, a.final) for a in store.history()] == [
        (FIRST, "dog", PERSON, True),
        (LAST, "emu", PERSON, True),
    ]
    assert store.classes() == [ClassName("dog", "1"), ClassName("emu", "2")]
    store.add([cat(SECOND)])
    sync(run, store)
    edit(run, row2="dog")  # corrects the page
    sync(run, store)
    assert rows(run)[SECOND] == ("labeled", "dog", "human")
    assert [a.label for a in store.history() if a.image_id == SECOND] == ["cat", "dog"]
    store.add([Answer(SECOND, "label", "fox")])  # and the page corrects it back
    sync(run, store)
    assert rows(run)[SECOND] == ("labeled", "fox", "human")


def test_labels_from_before_the_store_are_kept_when_the_page_starts(run):
    edit(run, row1="dog", row2="emu")
    with Store.open(run.path) as store:
        sync(run, store)
        store.add([Answer(SECOND, "label", "fox")])
        sync(run, store)
    assert rows(run)[FIRST] == ("labeled", "dog", "human")
    assert rows(run)[SECOND] == ("labeled", "fox", "human")


def test_a_label_withdrawn_by_hand(run, store):
    store.add([cat()])
    sync(run, store)
    edit(run, row1="unlabeled")
    sync(run, store)
    assert rows(run)[FIRST] == NONE
    assert store.history()[-1].kind == "unsure"
    edit(run, row1="requested")  # asked anew
    sync(run, store)
    assert rows(run)[FIRST] == REQUESTED
    store.add([Answer(FIRST, "label", "dog")])
    sync(run, store)
    assert rows(run)[FIRST] == ("labeled", "dog", "human")


def test_an_old_copy_saved_over_the_labels_loses_none(run, store):
    old = (run.path / "split.csv").read_text()
    store.add([cat(name) for name in IDS[:4]])
    sync(run, store)
    (run.path / "split.csv").write_text(old)  # a spreadsheet that was open all the time
    edit(run, row5="dog")  # with one label of its own
    with pytest.warns(UslWarning, match=r"split\.csv: 4 images were requested again.*put back"):
        sync(run, store)
    assert [rows(run)[name][1] for name in IDS[:5]] == ["cat"] * 4 + ["dog"]
    sync(run, store)  # and no warning any more


def test_rows_weights_and_columns_of_the_users_own_stay(run, store):
    lines = ["Note;weight;label;image_id;subset;STATE"]
    lines += [f"n{i};2,5;;{name};train;requested" for i, name in enumerate(reversed(IDS))]
    lines[3] = lines[3].replace("n2", '"a; ""b"""')
    (run.path / "split.csv").write_text("\r\n".join(lines), encoding="utf-16")
    store.add([cat("003.jpg"), Answer("004.jpg", "label", "Käse, reif")])
    sync(run, store)
    text = (run.path / "split.csv").read_text(encoding="utf-8-sig").splitlines()
    assert text[0] == "Note,weight,label,image_id,subset,STATE,source"
    assert text[3] == '"a; ""b""",2.5,,017.jpg,train,requested,'
    assert text[16] == 'n15,2.5,"Käse, reif",004.jpg,train,labeled,human'
    assert text[17] == "n16,2.5,cat,003.jpg,train,labeled,human"
    assert run.split().ids.tolist() == IDS[::-1]
    assert set(run.split().weights.tolist()) == {2.5}


@pytest.mark.parametrize("label", ["-", "=1+1", "007", "NaN", "null", '"', "a\u00a0b", "é", "; ,"])
def test_odd_labels_are_no_edits_by_hand(run, store, label):
    store.add([Answer(FIRST, "label", label)])
    sync(run, store)
    sync(run, store)
    assert rows(run)[FIRST] == ("labeled", label, "human")
    assert len(store.history()) == 1


def test_labels_that_no_person_gave(run, store):
    split = run.split()
    split.with_labels([0, 6, 7], ["dog"] * 3, source="propagated").write(run.path)
    store.add([cat(IDS[6]), Answer(IDS[7], "bad")])
    sync(run, store)
    assert [a.annotator for a in store.history()] == ["", ""]
    assert rows(run)[FIRST] == rows(run)[IDS[7]] == ("labeled", "dog", "propagated")
    assert rows(run)[IDS[6]] == HUMAN
    # a training that passes labels on writes over what is only unlabelled: no edit either
    store.undo(store.add([cat(IDS[1])]))
    sync(run, store)
    ids = store.add([cat(IDS[1]), Answer(IDS[8], "unsure")])
    sync(run, store)
    store.undo(ids)
    sync(run, store)
    run.split().with_labels([1, 8], ["dog"] * 2, source="propagated").write(run.path)
    sync(run, store)
    assert PERSON not in {a.annotator for a in store.history()}
    assert rows(run)[IDS[1]] == rows(run)[IDS[8]] == ("labeled", "dog", "propagated")


def test_images_that_came_later_and_rows_that_were_deleted(run, store):
    write_predictions(run, {"new.jpg": "dog", FIRST: "dog"})
    store.add([cat("new.jpg"), cat()])
    split = sync(run, store)
    assert split.ids.tolist() == [*IDS, "new.jpg"]
    assert split.numbers.tolist() == run.split().numbers.tolist()
    assert rows(run)["new.jpg"] == HUMAN
    lines = (run.path / "split.csv").read_text().splitlines()
    (run.path / "split.csv").write_text("\n".join(lines[:1] + lines[2:-1]))
    (run.path / ".split.csv.good").unlink()  # it is on purpose
    sync(run, store)
    assert run.split().ids.tolist() == IDS[1:]  # deleted rows stay deleted
    store.add([cat("nowhere.jpg")])
    with pytest.warns(UslWarning, match=r"1 answered image is not in split\.csv"):
        sync(run, store)


class Stopped(BaseException):
    """The process dies here."""


@pytest.mark.parametrize("place", ["before", "after"])
def test_stopped_while_writing_no_edit_by_hand_is_seen(run, store, monkeypatch, place):
    store.add([cat()])

    def dies(split, content, **options):
        if place == "after":
            split_csv.replace_csv(split, content, **options)
        raise Stopped

    monkeypatch.setattr(syncing, "replace_csv", dies)
    with pytest.raises(Stopped):
        sync(run, store)
    monkeypatch.undo()
    store.add([Answer(FIRST, "label", "dog")])  # meanwhile the label has changed
    sync(run, store)
    assert rows(run)[FIRST] == ("labeled", "dog", "human")
    assert [a.annotator for a in store.history()] == ["", ""]


def test_a_file_that_changes_under_our_hands(run, store, monkeypatch):
    store.add([cat()])
    stop = iter([True, False, True, False, False])

    def announce(connection, known):
        sync_state.announce(connection, known)
        if next(stop, False):
            edit(run, row2="dog")

    monkeypatch.setattr(syncing, "announce", announce)
    sync(run, store)
    assert rows(run)[FIRST] == HUMAN
    assert rows(run)[SECOND] == ("labeled", "dog", "human")
    numbers = iter(range(100))
    store.add([cat(LAST)])
    monkeypatch.setattr(syncing, "announce", lambda *_: edit(run, row3=f"dog {next(numbers)}"))
    with pytest.raises(DataError, match=r"split\.csv: another program keeps changing it"):
        sync(run, store)


def test_several_settle_at_once_while_others_answer(run, store):
    failures = []

    def settles():
        try:
            for _ in range(8):
                sync(run)
        except BaseException as error:
            failures.append(error)

    def answers(name):
        rng = random.Random(name)
        for number in range(25):
            image = rng.choice(IDS)
            store.add([Answer(image, "label", rng.choice("ab"), final=True, key=f"{name}{number}")])

    threads = [threading.Thread(target=settles) for _ in range(3)]
    threads += [threading.Thread(target=answers, args=(f"{i}",)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    sync(run)
    last = {a.image_id: a.label for a in store.history()}
    assert {name: row[1] for name, row in rows(run).items() if row[1]} == last
    assert PERSON not in {a.annotator for a in store.history()}


def test_edits_and_answers_in_any_order_lose_nothing(quick_folder):
    """A plain model beside it: the last word of the page or of the editor stands."""
    rng = random.Random(5)
    for trial in range(3):
        run = make_run(quick_folder / f"{trial}")
        expected = dict.fromkeys(IDS)
        given = 0
        with Store.open(run.path) as store:
            sync(run, store)
            for _ in range(30):
                row, word = rng.randrange(len(IDS)), rng.choice(["cat", "dog", "emu"])
                if rng.random() < 0.5:
                    store.add([Answer(IDS[row], "label", word)])
                    given += 1
                else:
                    edit(run, **{f"row{row + 1}": word})
                    given += rows(run)[IDS[row]] != ("labeled", expected[IDS[row]], "human")
                expected[IDS[row]] = word
                sync(run, store)
            assert {name: row[1] for name, row in rows(run).items()} == expected
            assert len(store.history()) == given


KILLED = """
import os, signal, sys
from usl.run.folder import Run
from usl.labeling.answers import store
from usl.labeling.answers.entries import Answer
run = Run.open(sys.argv[1])
with store.Store.open(run.path) as opened:
    opened.add([Answer(f"{n:03d}.jpg", "label", "cat", key=str(n)) for n in range(5)])
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_between_answer_and_settling(run):
    done = subprocess.run([sys.executable, "-c", KILLED, str(run.path)])
    assert done.returncode == -9
    assert not len(run.split().labeled())
    bring_up_to_date(run)  # what every verb does first
    assert len(run.split().labeled()) == 5


def test_what_cannot_be_written_is_named(run, store, monkeypatch):
    store.add([cat()])

    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(split_csv, "atomic_write", full)
    with pytest.raises(DataError, match=r"split\.csv cannot be written \(No space.*are safe in"):
        sync(run, store)
    monkeypatch.undo()
    sync(run, store)
    assert rows(run)[FIRST] == HUMAN


def test_a_label_by_hand_that_cannot_be_kept_is_named(run, store):
    edit(run, row4="x" * 300)
    with pytest.raises(DataError, match=r"split\.csv, row 5: label: 'xxx.*more than 200"):
        sync(run, store)


def test_a_broken_split_file_stays_broken(run, store):
    store.add([cat()])
    (run.path / "split.csv").write_text("nonsense\n1\n")
    with pytest.raises(DataError, match="no column 'image_id'"):
        sync(run, store)
    (run.path / "split.csv").unlink()
    with pytest.raises(DataError, match=r"split\.csv: cannot be read"):
        sync(run, store)
    assert store_path(run.path).exists()


def test_an_empty_split(tmp_path):
    run = make_run(tmp_path / "run", ids=[], picks=[])
    write_predictions(run, {FIRST: "dog"})
    with Store.open(run.path) as store:
        store.add([cat()])
        assert sync(run, store).ids.tolist() == [FIRST]
    assert np.array_equal(run.split().numbers, [2])
