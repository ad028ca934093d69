from __future__ import annotations

import sqlite3
from dataclasses import replace

import numpy as np
import pytest

from usl.core.errors import UsageError
from usl.labeling.answers.entries import Answer, ClassName, Round
from usl.labeling.answers.store import Store, store_path


def cat(image="a.jpg", **fields):
    return Answer(image, "label", "cat", **fields)


def test_answers_come_back_as_they_were_given(tmp_path):
    given = [
        cat("ü/1.jpg", annotator=" Ann ", seconds=1.5, key="k1"),
        Answer("b.jpg", "unsure", round="audit-1"),
        Answer("c.jpg", "bad", final=True),
        Answer(np.str_("d.jpg"), "skip"),
        Answer("e.jpg", "label", " 'hot' <dog>;\u2603 "),
    ]
    with Store.open(tmp_path) as store:
        assert store.add(given) == [1, 2, 3, 4, 5]
        assert store.last_id() == 5
    with Store.open(tmp_path) as store:
        found = store.history()
    assert [replace(answer, id=0, time="") for answer in found] == [
        replace(given[0], annotator="Ann"),
        *given[1:4],
        replace(given[4], label="'hot' <dog>;\u2603"),
    ]
    assert [answer.id for answer in found] == [1, 2, 3, 4, 5]
    assert found[0].time.endswith("+00:00")
    assert list(tmp_path.iterdir()) == [store_path(tmp_path)]  # closed: one file


def test_history_by_round_annotator_and_from_where_one_was(tmp_path):
    with Store.open(tmp_path) as store:
        store.add([cat(annotator="A"), cat(annotator="B"), cat(annotator="A", round="check-1")])
        assert [a.id for a in store.history(annotator="A")] == [1, 3]
        assert [a.id for a in store.history(round="labels")] == [1, 2]
        assert [a.id for a in store.history(round="labels", annotator="B", after=1)] == [2]
        assert store.history(after=3) == []


def test_the_same_key_counts_once(tmp_path):
    with Store.open(tmp_path) as store:
        first = store.add([cat(key="x"), cat("b.jpg", key="y")])
        assert store.add([cat("b.jpg", key="y"), cat("c.jpg"), cat(key="x")]) == [2, 3, 1]
        assert store.add([cat("d.jpg", key="z"), cat("d.jpg", key="z")]) == [4, 4]
        assert first == [1, 2]
        assert len(store.history()) == 4
        # no key: as often as it is sent
        assert store.add([cat(), cat()]) == [5, 6]
        # a key of something else is a mistake that must not swallow an answer
        for other in (cat("q.jpg", key="x"), replace(cat(key="x"), label="dog")):
            with pytest.raises(UsageError, match=r"key: 'x' is that of another answer \(number 1"):
                store.add([cat("new.jpg"), other])
        assert len(store.history()) == 6  # all or none


def test_an_undo_is_an_entry_and_the_answer_stays(tmp_path):
    with Store.open(tmp_path) as store:
        store.add([cat(annotator="A"), cat("b.jpg", annotator="A"), cat(annotator="B")])
        assert store.undo([1, 2], annotator="A", key="u") == [1, 2]
        assert [a.undone for a in store.history()] == [True, True, False]
        assert store.undo([2], annotator="A") == []  # undone already
        assert store.undo([1], annotator="A", key="u") == []
        entries = store.history(undos=True)
        assert [(a.kind, a.undoes, a.image_id) for a in entries[3:]] == [
            ("undo", 1, "a.jpg"),
            ("undo", 2, "b.jpg"),
        ]
        assert store.last_id() == 5
        assert store.add([cat(annotator="A")]) == [6]
        for ids, name in (([3], "A"), ([99], "A"), ([4], "A")):
            with pytest.raises(UsageError, match="undo: "):
                store.undo([6, *ids], annotator=name)
        assert not store.history()[-1].undone  # all or none
        with pytest.raises(UsageError, match="key: 'u' is that of another"):
            store.add([cat(key="u")])


def test_undoing_the_last_twice_with_one_key_undoes_one(tmp_path):
    with Store.open(tmp_path) as store:
        store.add([cat(), cat("b.jpg")])
        assert store.undo([2], key="ctrl-z") == [2]
        assert store.undo([1], key="ctrl-z") == []  # the request was sent again
        assert [a.undone for a in store.history()] == [False, True]


def test_the_file_itself_refuses_to_forget(tmp_path):
    with Store.open(tmp_path) as store:
        store.add([cat()])
        with store.transaction() as connection:
            assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    connection = sqlite3.connect(store_path(tmp_path))
    for statement in ("DELETE FROM entries", "UPDATE entries SET label = 'dog'"):
        with pytest.raises(sqlite3.IntegrityError, match="entries are never"):
            connection.execute(statement)
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "nonsense"}, "unknown kind 'nonsense'"),
        ({"label": None}, "an answer of kind 'label' has a label"),
        ({"kind": "bad"}, "an answer of kind 'bad' has no label"),
        ({"label": "  "}, "label: it is empty"),
        ({"label": "x" * 201}, "more than 200"),
        ({"label": "a\nb"}, "control character"),
        ({"label": 3}, "is not text"),
        ({"image_id": ""}, "image_id: it is empty"),
        ({"image_id": "\ud800"}, "not valid Unicode"),
        ({"annotator": "x" * 65}, "more than 64"),
        ({"seconds": float("nan")}, "not a number of at least 0"),
        ({"seconds": -1.0}, "not a number of at least 0"),
    ],
)
def test_what_cannot_be_kept_is_named(tmp_path, fields, message):
    with Store.open(tmp_path) as store:
        with pytest.raises(UsageError, match=message):
            store.add([cat("good.jpg"), replace(cat(), **fields)])
        assert store.history() == []


def test_classes_and_their_keys(tmp_path):
    with Store.open(tmp_path) as store:
        store.set_classes(["cat", ClassName("dog", "1"), ClassName("emu"), "fox"])
        assert store.classes() == [
            ClassName("cat", "2"),
            ClassName("dog", "1"),
            ClassName("emu", ""),
            ClassName("fox", "3"),
        ]
        assert store.add_class(" gnu ") == ClassName("gnu", "4")
        assert store.add_class("gnu") == ClassName("gnu", "4")
        assert len(store.classes()) == 5
        names = [f"class {i}" for i in range(12)]
        keys = [one.hotkey for one in store.set_classes(names)]
        assert keys == [*"123456789", "", "", ""]
        for bad in (["a", "a"], [""], [ClassName("a", "x"), ClassName("b", "x")]):
            with pytest.raises(UsageError):
                store.set_classes(bad)
        with pytest.raises(UsageError, match="'0' of 'a' is not 1 to 9"):
            store.set_classes([ClassName("a", "0")])
        assert [one.name for one in store.classes()] == names


def test_rounds_are_kept_in_order(tmp_path):
    with Store.open(tmp_path) as store:
        audit = store.add_round(Round("", "audit", ("b", "a"), seed=3, population=9))
        check = store.add_round(Round("", "check", ("c",), passed=(("a", 0),)))
        second = store.add_round(Round("", "audit", ("d",)))
        live = store.add_round(Round("", "live", (), settings={"suggest": True, "seed": 3}))
        assert [audit.name, check.name, second.name] == ["audit-1", "check-1", "audit-2"]
        assert live.name == "live-1"
        assert store.rounds() == [audit, check, second, live]
        assert audit.time
        for bad in (
            Round("audit-1", "audit", ()),
            Round("", "labels", ()),
            Round("x", "check", ()),
        ):
            with pytest.raises(UsageError):
                store.add_round(bad)


def test_another_process_follows_along(tmp_path):
    with Store.open(tmp_path) as one, Store.open(tmp_path) as other:
        one.add([cat()])
        assert [a.id for a in other.history()] == [1]
        other.add_class("dog")
        other.undo([1])
        assert [a.kind for a in one.history(after=1, undos=True)] == ["undo"]
        assert one.classes() == [ClassName("dog", "1")]


def test_a_transaction_keeps_all_or_nothing(tmp_path):
    with Store.open(tmp_path) as store:
        with pytest.raises(KeyboardInterrupt), store.transaction():  # noqa: PT012
            store.add([cat()])
            store.add_class("dog")
            raise KeyboardInterrupt
        assert store.history() == []
        assert store.classes() == []
        store.add([cat()])
