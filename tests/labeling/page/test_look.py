"""The gallery of the whole collection: filters, counts, orders, corrections, studies."""

from __future__ import annotations

import time

import numpy as np
import pytest
from page_run import answer

import usl
from usl.labeling.answers.entries import Answer
from usl.labeling.answers.store import Store
from usl.labeling.answers.sync import sync
from usl.labeling.look.wanted import Wanted
from usl.labeling.look.whole import FLAGS
from usl.run.folder import Run
from usl.run.predictions import read_predictions


@pytest.fixture
def look(trained, app):
    return app()


def test_swept_labels_train_as_any_and_are_not_predicted_anew(trained):
    run = Run.open(trained)
    found = read_predictions(trained)
    name = str(found.ids[found.own][0])
    with Store.open(trained) as store:
        store.add([Answer(name, "label", "bird", round="sweep-1")])
    usl.train(run, method="logistic")
    assert Run.open(trained).info["training"]["labels"] == 41
    told = read_predictions(trained)
    row = told.ids.tolist().index(name)
    assert (told.labels[row], told.own[row]) == ("bird", False)


def images(look, **asked):
    status, found = look.get("/api/look/images", **asked)
    assert status == 200, found
    return found


def ids(found):
    return [one["image"].partition("/")[2] for one in found["images"]]


def test_says_all_that_there_is(look, trained):
    _, facts = look.get("/api/look")
    assert facts["images"] == 60
    assert facts["trained"]
    assert not facts["fault"]
    assert facts["flags"]["pick"] == 40
    assert facts["flags"]["exact copy"] == 0
    found = images(look)
    assert found["total"] == 60
    assert found["counts"][""] == 0
    assert found["counts"]["cat"] + found["counts"]["dog"] == 60
    said = read_predictions(trained).by_id()
    for one in found["images"]:
        assert one["label"] == said[one["image"].partition("/")[2]][0]
    assert sum(one["source"] == "labelled" for one in found["images"]) == 40


def test_swept_labels_have_a_filter_of_their_own(look):
    name = ids(images(look, source="predicted"))[0]
    look.store.add([Answer(name, "label", "dog", round="sweep-1")])
    found = images(look, source="swept")
    assert (ids(found), found["images"][0]["label"]) == ([name], "dog")
    assert name not in ids(images(look, source="labelled"))


def test_orders_by_confidence_and_name(look):
    sure = [one["confidence"] for one in images(look, source="predicted")["images"]]
    assert sure == sorted(sure, reverse=True)
    doubt = [
        one["confidence"] for one in images(look, source="predicted", order="doubtful")["images"]
    ]
    assert doubt == sure[::-1] or doubt == sorted(sure)
    named = ids(images(look, order="name"))
    assert named == sorted(named)


def test_filters_go_together(look):
    every = images(look)["images"]
    found = images(look, label="cat", source="predicted", name="P0", least="0.5", order="name")
    expected = [
        one["image"].partition("/")[2]
        for one in every
        if one["label"] == "cat" and one["source"] == "predicted" and one["confidence"] >= 0.5
    ]
    assert ids(found) == sorted(expected)
    assert found["total"] == len(expected) > 0
    assert images(look, flag="pick")["total"] == 40
    assert images(look, subset="val")["total"] == 0
    assert ids(images(look, name="p007")) == ["p007.jpg"]


def test_a_window_is_part_of_the_whole(look):
    whole = ids(images(look, order="name"))
    found = images(look, order="name", **{"from": "50"})
    assert found["from"] == 50
    assert ids(found) == whole[50:]
    assert ids(images(look, **{"from": "999"})) == []


def test_the_nearest_come_first(look):
    first = images(look, order="name")["images"][0]["image"]
    found = ids(images(look, like=first))
    assert found[0] == "p000.jpg"
    assert {int(name[1:4]) % 4 for name in found[:8]} == {0}  # pictures of its own look


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"order": "best"}, "order"),
        ({"source": "god"}, "source"),
        ({"flag": "pretty"}, "flag"),
        ({"least": "nan"}, "least"),
        ({"most": "2"}, "most"),
        ({"label": "horse"}, "label"),
        ({"like": "nothing"}, "images"),
        ({"name": "x" * 300}, "name"),
    ],
)
def test_refuses_what_makes_no_sense(look, asked, named):
    status, found = look.get("/api/look/images", **asked)
    assert status == 400
    assert named in found["fault"]


def test_a_correction_is_a_label_and_can_be_taken_back(look, trained):
    one = images(look, label="cat", source="predicted")["images"][0]
    row = look.work.listing.row(one["image"])
    before = images(look)["counts"]
    status, found = look.post([answer("correct-1", [row], "dog")])
    assert status == 200
    assert found["done"] == ["correct-1"]
    after = images(look)["counts"]
    assert after["cat"] == before["cat"] - 1
    assert after["dog"] == before["dog"] + 1
    sync(look.run, look.store)
    split = Run.open(trained).split()
    assert split.labels[split.ids.tolist().index(one["image"].partition("/")[2])] == "dog"
    look.post([{"key": "undo-0001", "type": "undo", "of": "correct-1"}])
    assert images(look)["counts"] == before


def test_who_comes_second_is_told_who_was_first(look):
    one = images(look, source="predicted")["images"][0]
    row = look.work.listing.row(one["image"])
    seen = look.store.last_id()
    look.post([answer("by-ann-01", [row], "cat")], **{"as": "ann"})
    late = {**answer("by-bob-01", [row], "dog"), "seen": seen}
    _, found = look.post([late], **{"as": "bob"})
    assert found["done"] == []
    assert "ann has called it 'cat'" in found["refused"][0]["fault"]
    assert images(look)["images"]
    assert len(look.store.history(annotator="bob")) == 0
    again = {**late, "key": "by-bob-02", "seen": look.store.last_id()}
    _, found = look.post([again], **{"as": "bob"})
    assert found["done"] == ["by-bob-02"]  # in full view of it: a conflict, to be settled
    _, found = look.post([again], **{"as": "bob"})
    assert found["done"] == ["by-bob-02"]  # sent twice, counted once
    assert images(look, source="conflict")["total"] == 1


def test_an_image_nobody_can_tell_has_no_class(look):
    row = look.work.listing.row(images(look, label="cat", source="predicted")["images"][0]["image"])
    look.post([answer("unsure-01", [row], kind="unsure")])
    assert images(look)["counts"][""] == 1


def wait(look):
    deadline = time.monotonic() + 60
    while (found := look.get("/api/look")[1])["study"] is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def test_quality_is_measured_once_and_kept(look, app):
    status, _ = look.send("/api/look/study", {**look.stamp, "study": "quality"})
    assert status == 200
    found = wait(look)
    assert not found["fault"]
    assert {"dark", "blurred", "tiny"} <= found["flags"].keys()
    again = app().get("/api/look")[1]
    assert again["flags"] == found["flags"]  # of another server


def test_near_duplicates_are_found(look):
    look.send("/api/look/study", {**look.stamp, "study": "near-duplicates"})
    found = wait(look)
    many = found["flags"]["near-duplicate"]
    assert images(look, flag="near-duplicate")["total"] == many
    assert look.send("/api/look/study", {**look.stamp, "study": "beauty"})[0] == 400


def test_a_run_that_is_not_trained_can_be_looked_at(app):
    plain = app()
    _, facts = plain.get("/api/look")
    assert not facts["trained"]
    found = images(plain)
    assert found["total"] == 60
    assert found["counts"][""] == 60


def test_a_later_training_is_seen(look, trained):
    before = look.get("/api/look")[1]["version"]
    usl.train(trained, method="nearest_mean", use=True)
    assert look.get("/api/look")[1]["version"] != before
    said = read_predictions(trained).by_id()
    for one in images(look, source="predicted")["images"]:
        assert one["label"] == said[one["image"].partition("/")[2]][0]


def test_an_audit_stays_blind(trained, app):
    from usl.labeling.answers.rounds import draw_audit

    with Store.open(trained) as store:
        drawn = draw_audit(Run.open(trained), store, 5)
    audit = app(round=drawn)
    assert audit("GET", "/look", headers=audit.cookie)[0] == 404
    assert audit.get("/api/look")[0] == 404


def test_is_private_and_of_one_run(look):
    assert look("GET", "/look")[0] == 403
    assert look("GET", look.address("/api/look"))[0] == 403
    status, _, _ = look("GET", "/api/look?run=other&listing=x", headers=look.cookie)
    assert status == 409
    status, headers, _ = look("GET", f"/look?token={look.door.token}")
    assert status == 303
    assert headers["location"] == "/look"


def test_filters_are_read_from_text():
    found = Wanted.of({"least": "0.25", "name": " Ä.jpg"}, flags=FLAGS)
    assert (found.least, found.most, found.name, found.label) == (0.25, 1.0, "ä.jpg", None)
    assert np.isfinite(found.most)
