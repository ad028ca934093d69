"""Swept labels: what they amount to, how they reach the split file, what they are no part of."""

from __future__ import annotations

import numpy as np
import pytest
from label_run import IDS, make_run, rows, write_predictions

from usl.core.errors import UsageError
from usl.labeling.answers.audit import accuracy_of_collection
from usl.labeling.answers.entries import SWEEP, Answer, Round
from usl.labeling.answers.outcomes import outcomes
from usl.labeling.answers.store import Store, store_path
from usl.labeling.answers.sync import sync
from usl.report.facts.people import read_people
from usl.run.by_hand import changed_by_hand
from usl.run.predictions import machine_labelled
from usl.run.split import Split

SWEPT, HUMAN = ("labeled", "cat", "swept"), ("labeled", "cat", "human")
DOG = ("labeled", "dog", "human")
NONE = ("unlabeled", None, "")
LAST = IDS[-1]


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run")


def swept(image=LAST, label="cat", **fields):
    return Answer(image, "label", label, round="sweep-1", **fields)


def typed(run, before, after):
    """Replace what a row of split.csv says from its subset on, as in an editor."""
    path = run.path / "split.csv"
    text = path.read_text()
    assert text.count(f"{LAST},train,{before}\n") == 1
    path.write_text(text.replace(f"{LAST},train,{before}\n", f"{LAST},train,{after}\n"))


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("one", "kind", "label"),
    [
        (Answer(LAST, "label", "dog"), "label", "dog"),
        (Answer(LAST, "label", "dog", "Ben"), "label", "dog"),
        (Answer(LAST, "label", "dog", round="check-1"), "label", "dog"),
        (Answer(LAST, "label", "dog", final=True), "label", "dog"),
        (Answer(LAST, "bad"), "unlabeled", None),
        (Answer(LAST, "skip"), "label", "cat"),
        (Answer(LAST, "label", "dog", round="audit-1"), "label", "cat"),
    ],
)
def test_an_answer_to_the_image_itself_overrules_a_swept_one(store, one, kind, label, first):
    store.add([swept(), one] if first else [one, swept()])
    found = outcomes(store.history())[LAST]
    assert (found.kind, found.label, found.swept) == (kind, label, label == "cat")


def test_an_undo_gives_the_word_back_to_the_swept_label(run, store):
    _, other = store.add([swept(), Answer(LAST, "label", "dog", "Ben")])
    sync(run, store)
    assert rows(run)[LAST] == DOG
    store.undo([other], annotator="Ben")
    sync(run, store)
    assert rows(run)[LAST] == SWEPT


def test_people_who_sweep_an_image_differently_are_in_conflict(store):
    store.add([swept(annotator="Ada"), swept(label="dog", annotator="Ben")])
    found = outcomes(store.history())[LAST]
    assert (found.kind, found.label) == ("conflict", None)


def test_a_sheet_reaches_the_split_file_as_swept_and_is_taken_back_as_one(run, store):
    ids = store.add([swept(IDS[10]), swept(IDS[11]), Answer(IDS[12], "skip", round="sweep-1")])
    sync(run, store)
    now = rows(run)
    assert now[IDS[10]] == now[IDS[11]] == SWEPT
    assert now[IDS[12]] == NONE
    before = (run.path / "split.csv").read_bytes()
    sync(run, store)
    assert (run.path / "split.csv").read_bytes() == before
    assert store.undo(ids) == ids
    sync(run, store)
    assert rows(run)[IDS[10]] == rows(run)[IDS[11]] == NONE


@pytest.mark.parametrize(
    ("after", "wanted"),
    [
        ("labeled,dog,1,swept", DOG),  # a label that somebody typed
        ("labeled,cat,1,human", HUMAN),  # somebody vouches for it
        ("unlabeled,,1,", NONE),
        ("labeled,cat,3,swept", SWEPT),  # a weight alone
    ],
)
def test_edits_by_hand_of_a_swept_row_count(run, store, after, wanted):
    store.add([swept()])
    sync(run, store)
    typed(run, "labeled,cat,1,swept", after)
    for _ in range(2):
        sync(run, store)
        assert rows(run)[LAST] == wanted


def test_a_label_that_was_looked_at_does_not_become_swept_by_hand(run, store):
    store.add([Answer(LAST, "label", "cat")])
    sync(run, store)
    typed(run, "labeled,cat,1,human", "labeled,cat,1,swept")
    sync(run, store)
    assert rows(run)[LAST] == HUMAN


def test_a_split_file_with_swept_labels_keeps_them_in_another_run(run):
    typed(run, "unlabeled,,1,", "labeled,cat,1,swept")
    with Store.open(run.path) as store:
        sync(run, store)
        sync(run, store)
        assert rows(run)[LAST] == SWEPT
        assert [one.final for one in store.history()] == [False]
        store.add([Answer(LAST, "label", "dog")])
        sync(run, store)
    assert rows(run)[LAST] == DOG


def test_swept_labels_are_a_persons_work_and_no_predictions(run, store):
    write_predictions(run, dict.fromkeys(IDS, "cat"))
    store.add([swept()])
    sync(run, store)
    machine = machine_labelled(run.path, run.split())
    assert machine is not None
    assert LAST not in machine.ids.tolist()
    store.close()
    store_path(run.path).unlink()
    assert changed_by_hand(run.path)


def test_an_audit_judges_swept_labels_as_it_judges_predictions(run, store):
    write_predictions(run, dict.fromkeys(IDS, "cat"))
    store.add_round(Round("", "audit", tuple(IDS[8:12])))
    store.add([swept(IDS[8]), swept(IDS[9]), swept(IDS[15])])
    judged = [("cat", 8), ("dog", 9), ("cat", 10), ("cat", 11)]
    store.add([Answer(IDS[n], "label", name, round="audit-1") for name, n in judged])
    found = accuracy_of_collection(run, sync(run, store), store)
    assert found is not None
    assert (found["judged"], found["right"], found["labeled"]) == (4, 3, 0)
    assert (found["machine"]["n"], found["swept"]) == (20, 3)
    assert found["collection"]["human"] == 0
    assert [one["image_id"] for one in found["wrong"]] == [IDS[9]]


def test_the_report_counts_swept_labels_apart_from_answers(run, store):
    store.add([swept(IDS[8], annotator="Ada"), swept(IDS[9], annotator="Ada")])
    store.add([Answer(IDS[9], "label", "dog", "Ben")])
    notes: list[str] = []
    people = read_people(run, sync(run, store), notes)
    assert people is not None
    assert (people.swept, people.answers, notes) == (1, {"Ben": 1}, [])


def test_a_sweep_is_a_round_of_its_own_kind(store):
    assert store.add_round(Round("", SWEEP, ())).name == "sweep-1"
    with pytest.raises(UsageError, match="no kind of round; use audit, check, live, sweep"):
        store.add_round(Round("", "glance", ()))


def test_sources_are_kept_by_the_split_file(tmp_path):
    split = Split.start(["a", "b"], ["train", "train"]).with_labels([1], ["x"], source="swept")
    split.write(tmp_path)
    assert Split.read(tmp_path).sources.tolist() == ["", "swept"]
    assert np.array_equal(split.labeled(), [1])
