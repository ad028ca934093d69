"""Sheets of predictions: which images, whose, what a confirmation keeps and an undo takes back."""

from __future__ import annotations

import numpy as np
import pytest
from label_run import write_predictions
from page_run import answer

from usl.cli.label import label as label_verb
from usl.core.errors import DataError, UsageError
from usl.labeling.answers import store as storing
from usl.labeling.answers.classes import rename_class
from usl.labeling.answers.entries import AUDIT, Answer, Round
from usl.labeling.answers.rounds import round_images
from usl.labeling.answers.store import Store
from usl.labeling.answers.sync import sync
from usl.labeling.page.serve import check_parameters, serve, summary
from usl.labeling.sweep.sheets import PATIENCE, Sheets
from usl.run.folder import Run


def predict(path, **confidence):
    """Predictions for all images, odd numbers cats and even ones dogs.

    The later an image in the listing, the surer, from 0.3 to 0.99; or all of a class alike.
    """
    run = Run.open(path)
    ids = sorted(run.split().ids.tolist())
    labels = {name: "cat" if int(name[1:4]) % 2 else "dog" for name in ids}
    sure = dict(zip(ids, np.linspace(0.3, 0.99, len(ids)).tolist(), strict=True))
    sure = {name: confidence.get(labels[name], one) for name, one in sure.items()}
    write_predictions(run, labels, sure)
    return sure


@pytest.fixture
def sure(path):
    """The confidence of every image; odd numbers are cats, even ones dogs."""
    return predict(path)


@pytest.fixture
def page(sure, app):
    return app()


def sheet(app, size=5, **given):
    content = {**app.stamp, "page": "tab", "size": size, **given}
    status, found = app.send("/api/sweep/sheet", content)
    assert status == 200, found
    return found


def names(found):
    return [one["image"].partition("/")[2] for one in found["images"]]


def confirm(found, key="sheet-0001", unmarked=(), **fields):
    refs = [one["image"] for one in found["images"]]
    out = [refs[place] for place in unmarked]
    own = {"key": key, "type": "sheet", "label": found["label"], "images": refs, "unmarked": out}
    return {**own, **fields}


def send(page, *operations, **named):
    content = {**page.stamp, "since": 0, "operations": list(operations), **named}
    status, found = page.send("/api/sweep/operations", content)
    assert status == 200, found
    return found


def test_a_sheet_holds_the_surest_of_one_class_that_nobody_is_asked_about(page, sure):
    found = sheet(page, 4)
    split = page.run.split()
    free = split.ids[split.states == "unlabeled"].tolist()
    cats = [name for name in free if int(name[1:4]) % 2]
    dogs = [name for name in free if name not in cats]
    best = max((cats, dogs), key=lambda own: sum(sorted(sure[name] for name in own)[-4:]))
    assert found["label"] == ("cat" if best is cats else "dog")
    assert names(found) == sorted(best, key=lambda name: -sure[name])[:4]
    assert found["left"] == len(best) - 4
    assert [one["confidence"] for one in found["images"]] == [
        round(sure[name], 4) for name in names(found)
    ]


def test_doubtful_images_are_on_sheets_of_a_chosen_class_alone(page, sure):
    named = names(sheet(page, 60, label="cat"))
    assert min(sure[name] for name in named) < 0.5
    first = names(sheet(page, 60))
    assert min(sure[name] for name in first) >= 0.5


@pytest.mark.parametrize(("dog", "then"), [(0.75, "dog"), (0.7, "cat")])
def test_a_class_is_gone_on_with_until_another_promises_a_tenth_more(app, path, dog, then):
    predict(path, cat=0.8, dog=dog)
    page = app()
    assert sheet(page, 3)["label"] == "cat"
    assert sheet(page, 3, after="dog")["label"] == then
    assert sheet(page, 3, without=["cat"])["label"] == "dog"


def test_a_confirmed_sheet_is_swept_labels_and_one_undo(page):
    found = sheet(page, 5)
    told = send(page, confirm(found, unmarked=[1, 3], seconds=4.0))
    assert (told["done"], told["refused"], told["left"]) == (["sheet-0001"], [], [])
    assert (told["facts"]["confirmed"], told["facts"]["seconds"]) == (3, 4.0)
    history = page.store.history()
    assert [one.label for one in history] == [found["label"], None] * 2 + [found["label"]]
    assert {(one.round, one.seconds, one.final) for one in history} == {("sweep-1", 0.8, False)}
    split = sync(page.run, page.store)
    assert split.ids[split.sources == "swept"].tolist() == [
        name for name in split.ids.tolist() if name in {names(found)[place] for place in (0, 2, 4)}
    ]
    assert not set(names(sheet(page, 60))) & set(names(found))  # the unmarked ones wait elsewhere
    send(page, {"key": "undo-00001", "type": "undo", "of": "sheet-0001"})
    assert not (sync(page.run, page.store).sources == "swept").any()
    assert names(sheet(page, 5)) == names(found)


def test_a_sheet_that_is_sent_twice_counts_once_even_if_it_was_taken_back(page):
    found = sheet(page, 5)
    send(page, confirm(found))
    assert send(page, confirm(found))["left"] == []
    assert len(page.store.history()) == 5
    send(page, {"key": "undo-00001", "type": "undo", "of": "sheet-0001"}, confirm(found))
    assert all(one.undone for one in page.store.history())


def test_a_sheet_is_kept_whole_or_not_at_all(page, monkeypatch):
    real, done = storing._insert, []

    def dying(connection, entry):
        done.append(entry)
        if len(done) == 4:
            raise DataError("the disk is full")
        return real(connection, entry)

    found = sheet(page, 5)
    with monkeypatch.context() as patch:
        patch.setattr(storing, "_insert", dying)
        status, _ = page.send(
            "/api/sweep/operations", {**page.stamp, "operations": [confirm(found)]}
        )
    assert status == 503
    assert page.store.history() == []
    assert send(page, confirm(found))["done"]
    assert len(page.store.history()) == 5


def test_two_people_never_have_the_same_images_before_them(page):
    ada, ben = (sheet(page, 4, page=name, **{"as": name}) for name in ("Ada", "Ben"))
    assert not set(names(ada)) & set(names(ben))
    again = sheet(page, 4, page="Ada", **{"as": "Ada"})  # loaded anew: its own sheet again
    assert names(again) == names(ada)


def test_a_page_that_is_not_heard_of_gives_its_sheet_back(page):
    now = [0.0]
    sheets = Sheets(page.work, clock=lambda: now[0])
    first = sheets.next("one", 4).rows.tolist()
    now[0] = PATIENCE - 1
    sheets.heard_of("one")
    now[0] = 2 * PATIENCE - 2
    assert not set(sheets.next("two", 4).rows.tolist()) & set(first)
    now[0] = 2 * PATIENCE
    assert sheets.next("three", 4).rows.tolist() == first


def test_what_somebody_has_answered_meanwhile_is_left_out_and_said(page):
    found = sheet(page, 4)
    page.store.add([Answer(names(found)[2], "label", "bird", "Ben")])
    told = send(page, confirm(found, unmarked=[0]))
    assert told["done"] == ["sheet-0001"]
    assert told["left"] == [
        {
            "key": "sheet-0001",
            "images": 1,
            "fault": f"{names(found)[2]}: Ben has called it 'bird' meanwhile.",
        }
    ]
    assert told["facts"]["confirmed"] == 2
    sync(page.run, page.store)
    split = page.run.split()
    assert split.labels[split.ids == names(found)[2]] == ["bird"]


def test_a_picture_that_has_changed_since_is_left_out(page):
    found = sheet(page, 3)
    name = names(found)[1]
    (page.work.collection.images.root / name).write_bytes(b"another")
    told = send(page, confirm(found))
    assert [one["images"] for one in told["left"]] == [1]
    assert f"{name} has changed" in told["left"][0]["fault"]
    assert told["facts"]["confirmed"] == 2


def test_unmarked_images_wait_for_a_label_of_their_own(page):
    found = sheet(page, 4)
    told = send(page, confirm(found, unmarked=[1, 2], names=0))
    waiting = [found["images"][place]["image"] for place in (1, 2)]
    assert told["facts"]["waiting"] == waiting
    assert round_images(page.run, page.store)[-2:] == [names(found)[1], names(found)[2]]
    told = send(page, answer("one-by-one", waiting[:1], "bird"))
    assert told["facts"]["waiting"] == waiting[1:]
    split = sync(page.run, page.store)
    row = split.ids == names(found)[1]
    assert (split.labels[row], split.sources[row]) == (["bird"], ["human"])
    text = summary(page.run, page.store, None)
    assert text[:2] == ["1 of 42 images answered.", "2 labels confirmed by sweep."]


def test_a_class_that_was_renamed_meanwhile_is_understood(page):
    page.store.set_classes(["cat", "dog"])
    found = sheet(page, 3)
    rename_class(page.store, found["label"], "beast")
    send(page, confirm(found, names=0))
    assert {one.label for one in page.store.history()} == {"beast"}
    assert "beast" in [one["name"] for one in page.get("/api/sweep")[1]["predicted"]]


def test_swept_answers_are_no_answers_of_an_audit(page):
    found = sheet(page, 3)
    page.store.add_round(Round("", AUDIT, (names(found)[0],)))
    send(page, confirm(found))
    assert page.store.history(round="audit-1") == []
    assert names(sheet(page, 3)) != names(found)  # audited images are swept as others are


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"key": "x"}, "key"),
        ({"images": []}, "images"),
        ({"images": ["a/b", "a/b"]}, "images"),
        ({"unmarked": ["a/b"]}, "unmarked"),
        ({"unmarked": None}, "unmarked"),
        ({"label": None}, "label"),
        ({"label": " "}, "label"),
        ({"seconds": "1"}, "seconds"),
        ({"names": -1}, "names"),
    ],
)
def test_a_sheet_that_makes_no_sense_is_refused(page, wrong, fault):
    told = send(page, {**confirm(sheet(page, 3)), **wrong})
    assert told["done"] == []
    assert fault in told["refused"][0]["fault"]
    assert page.store.history() == []


def test_a_page_of_another_run_is_turned_away(page):
    for path in ("/api/sweep/sheet", "/api/sweep/operations"):
        content = {**page.stamp, "run": "another", "size": 3, "page": "x", "operations": []}
        assert page.send(path, content)[0] == 409


def test_who_sweeps_is_asked_for_a_name_where_several_may_be_at_work(sure, app):
    page = app(ask=True)
    _, _, asked = page("GET", "/sweep", headers=page.cookie)
    assert b'action="/sweep"' in asked
    _, _, begun = page("GET", "/sweep?as=Ada", headers=page.cookie)
    assert b'data-annotator="Ada"' in begun


def test_another_start_goes_on_and_can_take_back(page, app):
    found = sheet(page, 3)
    send(page, confirm(found))
    later = app()
    _, facts = later.get("/api/sweep")
    assert facts["done"] == [{"key": "sheet-0001", "images": 3}]
    send(later, {"key": "undo-00001", "type": "undo", "of": "sheet-0001"})
    assert later.get("/api/sweep")[1]["confirmed"] == 0


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"sweep": "catt"}, "no image is predicted to be 'catt'"),
        ({"sweep": True, "audit": 5}, "not together with an audit"),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_in_a_line(path, sure, options, fault):
    with pytest.raises(UsageError, match=fault):
        serve(path, **options)


def test_without_predictions_the_fix_is_told(path):
    with pytest.raises(DataError, match="nothing is predicted yet"):
        serve(path, sweep=True)
    with Store.open(path) as store:
        assert store.rounds() == []


def test_a_class_needs_the_option(path):
    with pytest.raises(UsageError, match="cat: a class to begin with goes with --sweep"):
        label_verb.show(path, "cat")


def test_only_what_the_model_is_less_sure_of_is_swept_on_wish(page):
    sure = Sheets(page.work).next("one", 100).confidence
    page.work.below = float(sure[1])
    assert Sheets(page.work).next("one", 100).confidence.max() < sure[1]


@pytest.mark.parametrize("given", [{"below": 0.9}, {"below": 1.5, "sweep": True}])
def test_a_bound_that_makes_no_sense_is_refused(given):
    with pytest.raises(UsageError, match="below: "):
        check_parameters("127.0.0.1", None, None, None, **given)
