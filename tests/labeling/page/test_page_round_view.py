"""What the page does with answers, seen through the application."""

from __future__ import annotations

import threading

import pytest
from page_run import answer

from usl.core.errors import UsageError
from usl.labeling.answers.entries import CHECK, Answer, Round
from usl.labeling.answers.store import Store
from usl.labeling.answers.sync import sync
from usl.labeling.page.round_view import RoundView


def said(page, state):
    return {
        page.work.listing.row(ref): what if isinstance(what, str) else state["labels"][what]
        for ref, what in state["answers"]
    }


def undo(key, of):
    return {"key": key, "type": "undo", "of": of}


def test_an_answer_sent_twice_counts_once(app):
    page = app()
    for _ in range(3):
        status, told = page.post([answer("aaaaaaaa", [3], "cat"), answer("bbbbbbbb", [5], "dog")])
        assert status == 200
        assert told["done"] == ["aaaaaaaa", "bbbbbbbb"]
    assert len(page.store.history()) == 2
    assert said(page, page.get("/api/state")[1]) == {3: "cat", 5: "dog"}
    assert [one["name"] for one in told["classes"]] == ["cat", "dog"]


def test_many_labelled_at_once_are_undone_as_one_even_after_a_reload(app):
    page = app()
    page.post([answer("first--1", [7], "dog")])
    page.post([answer("group--1", [7, 8, 9], "cat")])
    state = app().get("/api/state")[1]
    last = state["groups"][-1]
    assert last["key"] == "group--1"
    assert page.rows(last["images"]) == [7, 8, 9]
    assert last["before"] == [["label", "dog"], ["", None], ["", None]]
    for _ in range(2):
        told = page.post([undo("undo---1", "group--1")])[1]
        assert told["done"] == ["undo---1"]
    assert said(page, app().get("/api/state")[1]) == {7: "dog"}
    assert len(page.store.history()) == 4  # nothing is ever deleted


def test_the_latest_counts_and_skips_wait_at_the_end(app):
    page = app()
    page.post([answer("aaaaaaaa", [1], kind="skip"), answer("bbbbbbbb", [2], kind="skip")])
    page.post([answer("cccccccc", [1], kind="skip"), answer("dddddddd", [3], kind="unsure")])
    page.post([answer("eeeeeeee", [3], kind="bad")])
    state = page.get("/api/state")[1]
    assert page.rows(state["skipped"]) == [2, 1]
    assert said(page, state) == {1: "skip", 2: "skip", 3: "bad"}


def test_annotators_are_blind_and_have_queues_of_their_own(app):
    page = app()
    page.post([answer("aaaaaaaa", [3], "cat")], **{"as": "anna"})
    page.post([answer("bbbbbbbb", [3], "dog")], **{"as": "ben"})
    assert said(page, page.get("/api/state", **{"as": "anna"})[1]) == {3: "cat"}
    assert said(page, page.get("/api/state", **{"as": "ben"})[1]) == {3: "dog"}
    fresh = page.get("/api/state", **{"as": "chloe"})[1]
    assert said(page, fresh) == {}
    assert fresh["groups"] == []
    assert fresh["order"] == page.get("/api/state", **{"as": "anna"})[1]["order"]
    assert page.get("/api/changes", since=0, **{"as": "chloe"})[1]["changes"] == []
    assert "dog" not in str(page.items([3], **{"as": "anna"}))
    told = page.post([undo("undo---1", "bbbbbbbb")], **{"as": "anna"})[1]
    assert told["done"] == []
    assert page.get("/api/state")[1]["people"] == 2


def test_the_queue_stays_when_answers_are_settled(app):
    page = app()
    order = page.rows(page.get("/api/state")[1]["order"])
    assert len(order) == 40
    page.post([answer("aaaaaaaa", order[:7], "cat", kind="label")], **{"as": "anna"})
    page.post([answer("bbbbbbbb", [next(r for r in range(60) if r not in order)], "cat")])
    sync(page.run, page.store)
    assert (page.run.split().states == "requested").sum() == 33
    # a second server, another annotator: the same blind queue
    assert page.rows(app().get("/api/state", **{"as": "ben"})[1]["order"]) == order


def test_conflicts_are_found_and_settled(app):
    page = app()
    order = page.rows(page.get("/api/state")[1]["order"])
    same, other, third = order[:3]
    for name, label in (("anna", "cat"), ("ben", "dog")):
        page.post(
            [
                answer(f"one-{name:_<6}", [other], label),
                answer(f"two-{name:_<6}", [same], "cat"),
                answer(f"tri-{name:_<6}", [third], label),
            ],
            **{"as": name},
        )
    state = page.get("/api/state", mode="review", **{"as": "dora"})[1]
    assert page.rows(state["order"]) == [other, third]
    assert state["agreement"]["images"] == 3
    assert state["agreement"]["equal"] == pytest.approx(1 / 3)
    assert state["answered"] == {"anna": 3, "ben": 3}
    item = page.items([other], mode="review")[other]
    assert {(one["by"], one["label"]) for one in item["said"]} == {("anna", "cat"), ("ben", "dog")}
    told = page.post([answer("final--1", [other], "dog")], mode="review", **{"as": "dora"})[1]
    assert told["done"] == ["final--1"]
    assert [page.ref(other), "label", "dog"] in told["changes"]
    state = page.get("/api/state", mode="review", **{"as": "dora"})[1]
    assert page.rows(state["order"]) == [other, third]  # settled ones can still be looked at
    assert said(page, state) == {other: "dog"}
    anna = said(page, page.get("/api/state", **{"as": "anna"})[1])
    assert anna[other] == "cat"  # what was said stays said
    split = sync(page.run, page.store)
    label = dict(zip(split.ids.tolist(), split.labels.tolist(), strict=True))
    assert label[page.work.listing.ids[other]] == "dog"
    assert label[page.work.listing.ids[third]] is None


def test_a_second_program_on_the_same_run_is_followed(app):
    page = app()
    version = page.get("/api/changes", since=0)[1]["version"]
    with Store.open(page.run.path) as store:
        [number] = store.add([Answer("p004.jpg", "label", "cat")])
        news = page.get("/api/changes", since=version)[1]
        assert news["changes"] == [[page.ref(4), "label", "cat"]]
        store.undo([number])
    news = page.get("/api/changes", since=news["version"])[1]
    assert news["changes"] == [[page.ref(4), "", None]]


def test_classes_are_added_remapped_renamed_and_removed(app):
    page = app()
    page.post([{"key": "class--1", "type": "class", "name": " cat "}])
    page.post([{"key": "class--2", "type": "class", "name": "CAT"}])  # the same class
    page.post([answer("aaaaaaaa", [0], "dog")])
    told = page.post([{"key": "hotkey-1", "type": "hotkey", "name": "dog", "hotkey": "x"}])[1]
    assert told["classes"] == [{"name": "cat", "hotkey": "1"}, {"name": "dog", "hotkey": "x"}]
    for hotkey in ("0", "-", "xy", 5):
        bad = {"key": "hotkey-2", "type": "hotkey", "name": "dog", "hotkey": hotkey}
        assert page.post([bad])[1]["refused"]
    since = told["names"]
    told = page.post([{"key": "rename-1", "type": "rename", "name": "dog", "to": "hound"}])[1]
    assert told["names"] > since
    assert said(page, page.get("/api/state")[1]) == {0: "hound"}
    # a page that has not heard of it yet
    page.post([{**answer("bbbbbbbb", [1], "dog"), "names": since}])
    assert said(page, page.get("/api/state")[1]) == {0: "hound", 1: "hound"}
    told = page.post([{"key": "remove-1", "type": "remove", "name": "hound"}])[1]
    assert [one["name"] for one in told["classes"]] == ["cat"]
    state = app().get("/api/state")[1]
    assert said(page, state) == {}
    assert [one["key"] for one in state["groups"]] == ["rename-1", "remove-1"]
    for of in ("remove-1", "rename-1"):
        told = page.post([undo(f"undo-{of}", of)])[1]
        assert told["done"] == [f"undo-{of}"]
    assert told["classes"] == [{"name": "cat", "hotkey": "1"}, {"name": "dog", "hotkey": "x"}]
    assert said(page, app().get("/api/state")[1]) == {0: "dog", 1: "dog"}


def test_a_rename_is_heard_by_everybody_and_tells_nobody_what_others_said(app):
    page = app()
    page.post([answer("aaaaaaaa", [3], "cat")], **{"as": "anna"})
    page.post([answer("bbbbbbbb", [4], "cat")], **{"as": "ben"})
    page.post([{"key": "rename-1", "type": "rename", "name": "cat", "to": "lynx"}], **{"as": "ben"})
    news = page.get("/api/changes", since=0, **{"as": "anna"})[1]
    assert news["names"] == 1
    assert said(page, page.get("/api/state", **{"as": "anna"})[1]) == {3: "lynx"}
    refused = page.post([undo("undo---1", "rename-1")], **{"as": "anna"})[1]["refused"]
    assert "another annotator" in refused[0]["fault"]


def test_a_correction_while_somebody_else_answers_loses_neither(app):
    page = app()
    page.post([answer("aaaaaaaa", [3], "cat")], **{"as": "anna"})
    page.post([answer("settle-1", [3], "owl")], mode="review", **{"as": "dora"})
    page.post([answer("bbbbbbbb", [3], "dog")], **{"as": "ben"})  # meanwhile
    page.post([answer("settle-2", [3], "pig")], mode="review", **{"as": "dora"})
    split = sync(page.run, page.store)
    label = dict(zip(split.ids.tolist(), split.labels.tolist(), strict=True))
    assert label[page.work.listing.ids[3]] == "pig"
    given = [(one.annotator, one.label, one.final) for one in page.store.history()]
    assert given == [
        ("anna", "cat", False),
        ("dora", "owl", True),
        ("ben", "dog", False),
        ("dora", "pig", True),
    ]
    assert said(page, page.get("/api/state", **{"as": "ben"})[1]) == {3: "dog"}


def test_names_are_asked_for_where_there_are_several_people(app):
    page = app()
    assert b"Who is labelling?" not in page("GET", "/", headers=page.cookie)[2]
    page.post([answer("aaaaaaaa", [0], "cat")], **{"as": "anna"})
    content = page("GET", "/", headers=page.cookie)[2]
    assert b"Who is labelling?" in content
    assert b"anna" in content
    assert b'data-annotator="ben"' in page("GET", "/?as=ben", headers=page.cookie)[2]
    assert page("GET", "/?as=split.csv", headers=page.cookie)[0] == 400
    fixed = app(annotator="ben")
    assert b'data-annotator="ben"' in fixed("GET", "/", headers=fixed.cookie)[2]
    assert fixed.get("/api/state", **{"as": "anna"})[0] == 400


def test_a_check_shows_the_prediction_and_an_audit_does_not(app, path):
    import pyarrow as pa
    import pyarrow.parquet

    table = {"image_id": ["p003.jpg"], "subset": ["train"], "label": ["dog"]}
    table |= {"confidence": [0.4321], "source": ["predicted"]}
    pyarrow.parquet.write_table(pa.table(table), path / "predictions.parquet")
    with Store.open(path) as store:
        drawn = store.add_round(Round("", CHECK, ("p003.jpg",), population=1))
    shown = app(round=drawn).items([3])[3]
    assert shown["predicted"] == {"label": "dog", "confidence": 0.432}
    assert "predicted" not in app().items([3])[3]


def test_eight_at_once_lose_nothing(app):
    page = app()
    refs = [page.ref(row) for row in range(30)]
    round_view = RoundView(page.store, "labels", page.work.listing)

    def work(number):
        for row in range(30):
            round_view.apply(
                answer(f"key-{number}-{row:04d}", refs[row : row + 1], "cat"), f"a{number}"
            )
            round_view.changes(f"a{number}", 0)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(page.store.history()) == 240
    assert all(len(round_view.state(f"a{number}")["answers"]) == 30 for number in range(8))


def test_operations_without_sense_are_named(app):
    page = app()
    round_view, ref = page.work.round_view, page.ref(0)
    for operation, word in [
        ({"type": "answer", "images": [ref], "kind": "label", "label": "cat"}, "key"),
        ({"key": "../../../x", "type": "answer"}, "key"),
        ({"key": "aaaaaaaa", "type": "drop"}, "type"),
        (answer("aaaaaaaa", [ref], None), "label"),
        (answer("aaaaaaaa", [ref], "cat", kind="unsure"), "label"),
        (answer("aaaaaaaa", [ref], kind="nonsense"), "kind"),
        (answer("aaaaaaaa", []), "images"),
        (undo("aaaaaaaa", "nothing-"), "undo"),
    ]:
        with pytest.raises(UsageError, match=word):
            round_view.apply(operation, "")
