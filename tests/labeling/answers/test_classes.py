"""Classes renamed, merged and removed: answers follow, nothing is lost, each is undone as one."""

from __future__ import annotations

import sqlite3
import threading

import numpy as np
import pytest
from label_run import IDS, edit, make_run, rows, write_predictions

from usl.core.errors import UsageError, UslWarning
from usl.data.collection import Collection
from usl.evaluation.truth import source_answers
from usl.labeling.answers.audit import accuracy_of_collection
from usl.labeling.answers.called_now import classes_now, parts_now, predictions_now, relabeled
from usl.labeling.answers.classes import (
    name_for,
    remove_class,
    rename_class,
    set_hotkey,
    undo_class_change,
)
from usl.labeling.answers.entries import Answer, ClassName, Round
from usl.labeling.answers.store import Store, store_path
from usl.labeling.answers.sync import sync
from usl.labeling.exchange.export_images import export_run
from usl.labeling.exchange.import_labels import import_file
from usl.run.split import Split


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "run")


def said(store):
    """What counts of each image, by image and annotator."""
    return {(one.image_id, one.annotator): one.label for one in store.history() if not one.undone}


def label(image, name, **fields):
    return Answer(image, "label", name, **fields)


def names(store):
    return [one.name for one in store.classes()]


def test_a_rename_reaches_answers_split_file_and_exports(run, store, tmp_path):
    store.set_classes(["cat", "dog"])
    store.add([label(IDS[0], "cat"), label(IDS[1], "dog"), label(IDS[2], "cat", annotator="b")])
    sync(run, store)
    rename_class(store, "cat", "feline", key="rename-1")
    assert store.classes() == [ClassName("feline", "1"), ClassName("dog", "2")]
    assert said(store) == {(IDS[0], ""): "feline", (IDS[1], ""): "dog", (IDS[2], "b"): "feline"}
    sync(run, store)
    assert [rows(run)[IDS[i]][1] for i in range(3)] == ["feline", "dog", "feline"]
    done = export_run(run, "csv", what="labeled", out=tmp_path / "out.csv")
    assert "feline" in done.out.read_text()
    assert "cat" not in done.out.read_text()
    # a file that left before the rename, and comes back after it
    (tmp_path / "back.csv").write_text(f"image_id,label\n{IDS[0]},cat\n{IDS[3]},cat\n")
    found = import_file(run, tmp_path / "back.csv")
    assert (found.added, found.changed, found.unchanged, found.conflicts) == (1, 0, 1, [])
    assert found.notes == ["The class 'cat' was renamed: read as 'feline'."]
    assert rows(run)[IDS[3]][1] == "feline"
    assert undo_class_change(store, "rename-1", key="undo-1")
    assert not undo_class_change(store, "rename-1", key="undo-1")
    sync(run, store)
    assert [rows(run)[IDS[i]][1] for i in range(4)] == ["cat", "dog", "cat", "cat"]
    assert names(store) == ["cat", "dog"]


def test_what_is_labelled_after_a_rename_follows_its_undo(store):
    store.set_classes(["cat"])
    store.add([label("a", "cat")])
    rename_class(store, "cat", "feline", key="rename-1")
    store.add([label("b", "feline")])
    assert undo_class_change(store, "rename-1")
    assert said(store) == {("a", ""): "cat", ("b", ""): "cat"}
    store.add([label("c", name_for(store, "feline"))])
    assert said(store)["c", ""] == "cat"


def test_names_can_be_swapped_and_used_again(store):
    store.set_classes(["a", "b"])
    store.add([label("1", "a"), label("2", "b")])
    for old, new in (("a", "t"), ("b", "a"), ("t", "b")):
        rename_class(store, old, new)
    assert said(store) == {("1", ""): "b", ("2", ""): "a"}
    store.add([label("3", "a")])
    assert said(store)["3", ""] == "a"
    rename_class(store, "a", "c")
    assert said(store) == {("1", ""): "b", ("2", ""): "c", ("3", ""): "c"}
    store.set_classes([*store.classes(), "a"])  # the name is another class's by now
    store.add([label("4", name_for(store, "a"))])
    assert said(store)["4", ""] == "a"


def test_a_merge_is_undone_by_the_former_halves(store):
    store.set_classes([ClassName("cat", "c"), ClassName("Cat", "2"), ClassName("dog", "3")])
    store.add([label("1", "cat"), label("2", "Cat"), label("3", "dog")])
    with pytest.raises(UsageError, match="merge"):
        rename_class(store, "dog", "Cat")
    rename_class(store, "cat", "Cat", merge=True, key="merge--1")
    assert set(said(store).values()) == {"Cat", "dog"}
    assert names(store) == ["Cat", "dog"]
    store.add([label("4", "Cat")])
    assert undo_class_change(store, "merge--1")
    assert list(said(store).values()) == ["cat", "Cat", "dog", "Cat"]
    assert store.classes()[0] == ClassName("cat", "c")


def test_a_removed_class_takes_its_answers_back_until_it_is_undone(run, store):
    store.set_classes(["cat", "dog"])
    store.add([label(IDS[0], "cat"), label(IDS[1], "dog"), label(IDS[2], "cat", annotator="b")])
    sync(run, store)
    remove_class(store, "cat", key="remove-1")
    sync(run, store)
    assert rows(run)[IDS[0]] == ("requested", None, "")
    assert names(store) == ["dog"]
    assert len(store.history()) == 3  # nothing is ever deleted
    store.add([label(IDS[4], "cat")])  # somebody wants it all the same
    store.add_class("cat")
    assert said(store) == {(IDS[1], ""): "dog", (IDS[4], ""): "cat"}
    assert undo_class_change(store, "remove-1")
    sync(run, store)
    assert [rows(run)[IDS[i]][1] for i in (0, 1, 2, 4)] == ["cat", "dog", "cat", "cat"]


def test_an_answer_taken_back_while_its_class_is_removed_stays_so(store):
    store.set_classes(["cat"])
    [number] = store.add([label("a", "cat")])
    remove_class(store, "cat", key="remove-1")
    store.undo([number])
    assert undo_class_change(store, "remove-1")
    assert said(store) == {}


def test_others_may_have_gone_on(store):
    store.set_classes(["cat", "dog"])
    rename_class(store, "cat", "feline", annotator="anna", key="rename-1")
    with pytest.raises(UsageError, match="another annotator"):
        undo_class_change(store, "rename-1", annotator="ben")
    rename_class(store, "feline", "tiger", annotator="ben", key="rename-2")
    with pytest.raises(UsageError, match="renamed or removed since"):
        undo_class_change(store, "rename-1", annotator="anna")
    rename_class(store, "dog", "cat", annotator="ben", key="rename-3")
    assert undo_class_change(store, "rename-2", annotator="ben")
    with pytest.raises(UsageError, match="another class"):
        undo_class_change(store, "rename-1", annotator="anna")
    with pytest.raises(UsageError, match="any more"):
        remove_class(store, "lion")


def test_what_was_said_of_an_older_list_is_understood(store):
    store.set_classes(["cat"])
    known = store.names().revision
    rename_class(store, "cat", "feline")
    store.add_class("cat")  # a new class of that name
    assert name_for(store, "cat", known) == "feline"
    assert name_for(store, "cat", store.names().revision) == "cat"
    assert name_for(store, "cat") == "cat"
    rename_class(store, "cat", "tiger", revision=known)  # means the former cat
    assert names(store) == ["tiger", "cat"]
    assert name_for(store, " CAT ") == "cat"
    assert name_for(store, "new one") == "new one"


def test_the_same_change_sent_twice_counts_once(store):
    store.set_classes(["a", "b"])
    for _ in range(2):
        rename_class(store, "a", "c", key="rename-1")
        remove_class(store, "b", key="remove-1")
    assert names(store) == ["c"]
    assert len(store.names().changes) == 2


def test_keys_are_swapped(store):
    store.set_classes(["a", "b"])
    set_hotkey(store, "a", "2")
    assert store.classes() == [ClassName("a", "2"), ClassName("b", "1")]
    set_hotkey(store, "a", "")
    assert store.classes() == [ClassName("a", ""), ClassName("b", "1")]
    with pytest.raises(UsageError, match="hotkey"):
        set_hotkey(store, "a", "0")


def test_an_old_copy_of_the_split_file_gets_the_new_name_and_is_told(run, store):
    edit(run, row1="cat")
    sync(run, store)
    old = (run.path / "split.csv").read_bytes()
    rename_class(store, "cat", "feline")
    sync(run, store)
    (run.path / "split.csv").write_bytes(old)
    with pytest.warns(UslWarning, match=r"'cat', which was renamed to 'feline'"):
        sync(run, store)
    assert rows(run)[IDS[0]][1] == "feline"
    assert len(store.history()) == 1
    edit(run, row2="cat")
    with pytest.warns(UslWarning, match="former name"):
        sync(run, store)
    assert rows(run)[IDS[1]][1] == "feline"
    edit(run, row2="lion")  # any other name is an edit as ever
    sync(run, store)
    assert rows(run)[IDS[1]][1] == "lion"


def test_an_audit_knows_the_present_name_of_what_was_predicted(run, store):
    write_predictions(run, dict.fromkeys(IDS, "cat"))
    store.set_classes(["cat"])
    drawn = store.add_round(Round("", "audit", tuple(IDS[:4]), population=20))
    store.add([label(one, "cat", round=drawn.name) for one in IDS[:2]])
    rename_class(store, "cat", "feline")
    store.add([label(one, "feline", round=drawn.name) for one in IDS[2:4]])
    found = accuracy_of_collection(run, sync(run, store), store)
    assert (found["judged"], found["right"]) == (4, 4)


def test_an_older_program_refuses_a_file_with_changes_only(run, store):
    def version():
        with sqlite3.connect(store_path(run.path)) as file:
            return file.execute("PRAGMA user_version").fetchone()[0]

    store.set_classes(["cat"])
    assert version() == 1
    rename_class(store, "cat", "feline")
    assert version() == 2
    with sqlite3.connect(store_path(run.path)) as file:
        for statement in ("DELETE FROM class_changes", "UPDATE class_changes SET name = 'x'"):
            with pytest.raises(sqlite3.IntegrityError, match="never"):
                file.execute(statement)


def test_eight_at_once_keep_every_answer(run):
    """Four label by what they know, four rename: every answer is of one class in the end."""
    with Store.open(run.path) as store:
        store.set_classes(["class"])
    faults = []

    def work(number):
        try:
            with Store.open(run.path) as store:
                for turn in range(10):
                    revision = store.names().revision
                    [name] = names(store)
                    if number % 2:
                        with store.transaction():
                            name = name_for(store, name, revision)
                            store.add([label(f"{number}-{turn}", name)])
                    else:
                        rename_class(store, name, f"class {number} {turn}", revision=revision)
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    with Store.open(run.path) as store:
        assert len(store.history()) == 40
        assert {one.label for one in store.history()} == set(names(store))


def test_a_rename_reaches_what_a_model_was_trained_on(run, store):
    """Predictions, a model's classes, known answers and labels that were passed on."""
    store.set_classes(["cat", "dog"])
    given = {IDS[0]: "cat", IDS[1]: "dog"}
    store.add([label(image, name) for image, name in given.items()])
    split = sync(run, store)
    spread = split.with_labels([4], ["dog"], source="propagated")
    spread.write(run.path)
    write_predictions(run, {**given, IDS[2]: "dog"}, human=given)
    rename_class(store, "dog", "hound")
    sync(run, store)
    assert rows(run)[IDS[4]][1] == "hound"
    assert run.split().sources[4] == "propagated"
    found = predictions_now(run.path)
    told = dict(zip(found.ids.tolist(), found.labels.tolist(), strict=True))
    assert told == {IDS[0]: "cat", IDS[1]: "hound", IDS[2]: "hound"}
    answers = np.array(["cat", "dog", None, "dog"], dtype=object)
    source = Collection(np.array(IDS[:4]), np.array(["train"] * 4), None, np.eye(4), answers)
    known = source_answers(source, run.split(), store.names())
    assert known.tolist() == ["cat", "hound", None, "hound"]
    assert classes_now(["cat", "dog"], store.names()) == ["cat", "hound"]
    rename_class(store, "hound", "cat", merge=True)
    for trained in (["cat", "dog"], ["dog", "cat"]):  # two columns of a model still
        assert classes_now(trained, store.names()) == trained
        assert parts_now(trained, store.names()).tolist() == [trained.index("cat")] * 2
    rename_class(store, "cat", "pet")
    assert classes_now(["cat", "dog"], store.names()) == ["pet", "dog"]
    assert set(predictions_now(run.path).labels.tolist()) == {"pet"}


def test_what_was_swept_meanwhile_is_not_called_by_a_former_label():
    split = Split.start(["a", "b", "c"], ["train"] * 3)
    split = split.with_labels([0], ["dog"], source="propagated")
    split = split.with_labels([1], ["cat"], source="swept").with_labels([2], ["cat"])
    told = relabeled(split, dict.fromkeys("abc", "hound"))
    assert told.labels.tolist() == ["hound", "cat", "cat"]
