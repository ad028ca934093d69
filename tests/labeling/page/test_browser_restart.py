"""The page in a real browser, while its server is started anew on other images.

Every photo bears a mark, and the person in these tests answers what the marks say, as they are seen
on the screen: an answer that names another class was given to another image than the one shown.
"""

from __future__ import annotations

import os
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from page_browser import READY, saved
from page_run import copy_run
from PIL import Image

from usl.labeling.answers.entries import Answer
from usl.labeling.answers.store import Store
from usl.run.folder import Run
from usl.selection.start_run import start_run

CLASSES = [f"class {number}" for number in range(1, 10)]
PHOTOS, PICKS = 24, 12
MARK = """() => {
  const image = document.querySelector("#stage img");
  if (!image) return null;
  const canvas = Object.assign(document.createElement("canvas"), { width: 96, height: 64 });
  const drawing = canvas.getContext("2d");
  drawing.drawImage(image, 0, 0);
  return Math.round((drawing.getImageData(48, 32, 1, 1).data[0] - 5) / 2);
}"""
RELOAD = "#banner button:has-text('Reload')"


def write_photo(path, mark):
    pixels = np.random.default_rng(mark).integers(0, 90, (64, 96, 3)) + 40 * (mark % 4)
    pixels[16:48, 32:64] = 5 + 2 * mark
    Image.fromarray(pixels.astype(np.uint8)).save(path)


def label_of(mark):
    return CLASSES[mark % 9]


@pytest.fixture(scope="module")
def marked(tmp_path_factory):
    place = tmp_path_factory.mktemp("marked")
    (place / "photos").mkdir()
    for mark in range(PHOTOS):
        write_photo(place / "photos" / f"p{mark:03d}.png", mark)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("USL_CACHE", str(place / "cache"))
        run = place / "run"
        start_run(place / "photos", PICKS, run, method="usl", model="pixels", pca=8, k=5)
    return run


@pytest.fixture
def path(marked, tmp_path):
    """The run of this file's servers."""
    return copy_run(marked, tmp_path)


class Photos:
    """The folder, and what mark every id has ever stood for."""

    def __init__(self, run):
        self.folder = run.parent / "photos"
        self.away = run.parent / "away"
        self.away.mkdir()
        self.marks = {f"p{mark:03d}.png": mark for mark in range(PHOTOS)}

    def add(self, name, mark):
        write_photo(self.folder / name, mark)
        self.marks[name] = mark

    def remove(self, mark):
        os.replace(self.folder / f"p{mark:03d}.png", self.away / f"p{mark:03d}.png")

    def restore(self, mark):
        os.replace(self.away / f"p{mark:03d}.png", self.folder / f"p{mark:03d}.png")

    def rename(self, mark, name):
        os.replace(self.folder / f"p{mark:03d}.png", self.folder / name)
        self.marks[name] = mark

    def swap(self, one, other):
        """Let two files take each other's names."""
        first, second = (self.folder / f"p{mark:03d}.png" for mark in (one, other))
        os.replace(first, self.away / "swapped")
        os.replace(second, first)
        os.replace(self.away / "swapped", second)

    def check(self, run):
        """Every answer is about the image that was seen; those that the page gave."""
        with Store.open(run) as store:
            history = [one for one in store.history() if not one.annotator.endswith("before")]
        wrong = [
            (one.annotator, one.image_id, one.label)
            for one in history
            if one.kind == "label" and one.label != label_of(self.marks[one.image_id])
        ]
        assert wrong == []
        return history


def answer_seen(page):
    """Give the picture on the stage the class of its mark; the mark."""
    page.wait_for_function(READY)
    mark = page.evaluate(MARK)
    page.keyboard.press(str(1 + mark % 9))
    return mark


def reload(page):
    """Load the page anew, as its banner tells to."""
    with page.expect_navigation():
        page.click(RELOAD)
    page.wait_for_selector("body[data-ready]")


def answer_rest(page):
    """Answer what is seen until only what cannot be shown is left; reload when told to."""
    faults = Counter()
    for _ in range(400):
        page.wait_for_function(f"() => ({READY})() || document.querySelector('#banner button')")
        if page.is_visible(RELOAD):
            reload(page)
        elif page.is_visible("#end"):
            return
        elif page.is_visible("#stage .fault"):
            name = page.text_content("#name")
            faults[name] += 1
            if faults[name] > 2:
                return
            page.keyboard.press("ArrowRight")
        elif page.evaluate(MARK) is not None:
            answer_seen(page)
    raise AssertionError("It never came to an end.")


def predict(path):
    """Predictions of every image, none of them a mark's."""
    ids = Run.open(path).split().ids.tolist()
    table = {
        "image_id": ids,
        "subset": ["train"] * len(ids),
        "label": ["class 1"] * len(ids),
        "confidence": [0.5 + number / 100 for number in range(len(ids))],
        "source": ["predicted"] * len(ids),
    }
    pyarrow.parquet.write_table(pa.table(table), path / "predictions.parquet")


def dispute(path):
    """Two people who differ on every image that was picked."""
    split = Run.open(path).split()
    picks = split.ids[split.states == "requested"].tolist()
    with Store.open(path) as store:
        for label in ("one", "other"):
            given = [Answer(name, "label", label, f"{label} before") for name in picks]
            store.add(given)


def change(photos, open_marks):
    """What happens to a folder: more, fewer and renamed photos, all rows moved."""
    photos.add("aaa.png", 60)
    photos.add("p0005.png", 61)
    gone, renamed, one, other = open_marks[:4]
    photos.remove(gone)
    photos.rename(renamed, "b.png")
    photos.swap(one, other)


@pytest.mark.parametrize("what", ["label", "review", "audit", "check"])
def test_answers_are_the_shown_images_after_a_restart(what, path, served, visit):
    photos = Photos(path)
    options = {"classes": CLASSES}
    if what in ("audit", "check"):
        predict(path)
        options[what] = PICKS
    if what == "review":
        dispute(path)
    server = served(**options)
    page = visit(server.address, wait=what != "review")
    if what == "review":
        page = visit(f"{server.base}review?as=dora", context=page.context)
    for _ in range(2):
        answer_seen(page)
    saved(page)
    page.wait_for_function(READY)
    seen = [page.evaluate(MARK)]  # on the stage now, and not touched by what follows
    open_marks = [mark for mark in marks_left(path, photos) if mark not in seen]
    server.kill()
    change(photos, open_marks)
    server.start(port=server.port)
    answer_rest(page)
    # Held, if an image was answered in the moment before the page knew that its file had changed.
    page.wait_for_selector('#saving:is([data-state="saved"], [data-state="held"])')
    server.stop()
    mine = [one for one in photos.check(path) if one.annotator in ("", "dora")]
    answered = {one.image_id for one in mine if one.kind == "label"}
    assert seen[0] in {photos.marks[name] for name in answered}
    assert len(answered) == PICKS - 4  # one is gone, one renamed, two are not what they were
    assert {one.final for one in mine} == {what == "review"}
    assert {one.round for one in mine} <= {"labels", "audit-1", "check-1"}


def marks_left(path, photos):
    """Marks of the images that are still to be answered, in order."""
    with Store.open(path) as store:
        rounds = store.rounds()
        history = store.history()
    split = Run.open(path).split()
    asked = rounds[-1].images if rounds else split.ids[split.states == "requested"].tolist()
    done = {one.image_id for one in history if not one.annotator.endswith("before")}
    return [photos.marks[name] for name in asked if name not in done]


def answer_away(page, server, many):
    """Answers given while nobody listens; their marks, in order."""
    page.wait_for_load_state("networkidle")  # the next pictures have come
    server.kill()
    marks = [answer_seen(page) for _ in range(many)]
    page.wait_for_selector('#saving[data-state="lost"]')
    return marks


def names_answered(path, photos):
    return {one.image_id for one in photos.check(path) if one.kind == "label" and not one.undone}


def named(*marks):
    return {f"p{mark:03d}.png" for mark in marks}


def test_unsent_answers_find_their_images_again(path, served, visit):
    photos = Photos(path)
    server = served(classes=CLASSES)
    page = visit(server.address)
    here, gone, other = answer_away(page, server, 3)
    untouched = marks_left(path, photos)[-1]
    photos.add("aaa.png", 60)
    photos.remove(gone)
    photos.swap(other, untouched)
    server.start(port=server.port)
    page.wait_for_selector(RELOAD)
    assert names_answered(path, photos) == set()
    page.keyboard.press("1")  # nothing more is taken on a page of another listing
    reload(page)
    page.wait_for_selector('#saving[data-state="held"]')
    page.wait_for_selector("#banner:has-text('2 answers not stored:')")
    assert names_answered(path, photos) == named(here)
    # the next time, too; a closed tab keeps them
    context = page.context
    page.close()
    page = visit(server.base, context=context)
    page.wait_for_selector("#banner:has-text('2 answers not stored:')")
    # the folder as it was: they are stored, under the ids that were seen
    server.stop()
    photos.restore(gone)
    photos.swap(other, untouched)
    server.start(port=server.port)
    reload(page)
    saved(page)
    assert page.is_hidden("#banner")
    assert names_answered(path, photos) == named(here, gone, other)
    assert page.evaluate("() => Object.keys(localStorage).filter((name) => /out/.test(name))") == []


def test_unsent_answers_to_many_at_once(path, served, visit):
    photos = Photos(path)
    server = served(classes=CLASSES)
    page = visit(server.address)
    page.wait_for_function(READY)
    page.keyboard.press("g")
    page.wait_for_selector("#tiles li")
    page.wait_for_load_state("networkidle")
    asked = marks_left(path, photos)
    gone, one, other = asked[:3]
    server.kill()
    page.click("#select-all")
    page.keyboard.press("1")
    page.wait_for_selector('#saving[data-state="lost"]')
    photos.add("aaa.png", 60)
    photos.remove(gone)
    photos.swap(one, other)
    server.start(port=server.port)
    reload(page)
    page.wait_for_selector("#banner:has-text('3 answers not stored:')")
    with Store.open(path) as store:
        assert {entry.image_id for entry in store.history()} == named(*asked[3:])
    page.wait_for_selector('#count:has-text("of 11")')
    page.keyboard.press("Backspace")  # all of it is taken back, also what was not stored
    page.wait_for_selector("#banner", state="hidden")
    saved(page)
    with Store.open(path) as store:
        assert all(entry.undone for entry in store.history())
    assert page.evaluate("() => Object.keys(localStorage).filter((name) => /out/.test(name))") == []


def test_unsent_answers_can_be_taken_back_or_forgotten(path, served, visit):
    photos = Photos(path)
    server = served(classes=CLASSES)
    page = visit(server.address)
    answer_seen(page)
    saved(page)
    [first] = names_answered(path, photos)
    gone, back, _ = answer_away(page, server, 3)
    page.keyboard.press("Backspace")
    page.keyboard.press("Backspace")
    photos.remove(gone)
    photos.remove(back)
    server.start(port=server.port)
    reload(page)
    # the two that were taken back are not spoken of, though the file of one is gone
    page.wait_for_selector("#banner:has-text('1 answer not stored:')")
    page.click("#banner button:has-text('Forget')")
    page.wait_for_selector("#banner", state="hidden")
    saved(page)
    page.reload()
    page.wait_for_selector("body[data-ready]")
    saved(page)
    assert page.is_hidden("#banner")
    assert names_answered(path, photos) == {first}


def test_several_people_at_once(path, served, visit):
    photos = Photos(path)
    server = served(classes=CLASSES)
    anna = visit(f"{server.address}", wait=False)
    ben = visit(f"{server.base}?as=ben", context=anna.context)
    anna.goto(f"{server.base}?as=anna")
    for page in (anna, ben):
        page.bring_to_front()
        answer_seen(page)
        saved(page)
    left = marks_left(path, photos)
    ben.wait_for_load_state("networkidle")
    unsent = answer_away(ben, server, 1)
    change(photos, [mark for mark in left if mark not in unsent][1:])
    server.start(port=server.port)
    for page in (ben, anna):
        page.bring_to_front()
        answer_rest(page)
        page.wait_for_selector('#saving:is([data-state="saved"], [data-state="held"])')
    history = photos.check(path)
    assert {one.annotator for one in history} == {"anna", "ben"}
    found = {
        name: {one.image_id for one in history if one.annotator == name} for name in ("anna", "ben")
    }
    assert found["anna"] == found["ben"]
    assert named(*unsent) <= found["ben"]


def test_answers_of_another_run_are_not_sent_here(path, served, visit):
    photos = Photos(path)
    server = served(classes=CLASSES)
    page = visit(server.address)
    answer_away(page, server, 2)
    run = Run.open(path)
    run.update(id="0" * 32)  # as after select --overwrite
    server.start(port=server.port)
    reload(page)
    page.wait_for_selector("#banner:has-text('2 answers in this browser, never sent, belong')")
    answer_seen(page)
    saved(page)
    assert len(names_answered(path, photos)) == 1
    page.click("#banner button:has-text('Forget')")
    page.wait_for_selector("#banner", state="hidden")


def test_a_run_that_is_gone_is_said_so(path, served, visit):
    photos = Photos(path)
    server = served(classes=CLASSES)
    page = visit(server.address)
    answer_seen(page)
    saved(page)
    os.replace(path, path.with_name("elsewhere"))
    answer_seen(page)
    page.wait_for_selector('#saving[data-state="old"]')
    page.wait_for_selector("#banner:has-text('1 answer is kept in this browser.')")
    banner = page.text_content("#banner")
    assert "no longer holds the run" in banner
    assert "safe" not in banner
    page.keyboard.press("1")  # nothing more is taken
    page.click(RELOAD)
    page.wait_for_selector("h1:has-text('Not the same run')")
    os.replace(path.with_name("elsewhere"), path)
    page.reload()
    page.wait_for_selector("body[data-ready]")
    saved(page)
    assert len(names_answered(path, photos)) == 2
    assert server.stop().count("The page takes no more answers.") == 1


def test_a_picture_that_was_exchanged_cannot_be_answered(path, served, visit):
    photos = Photos(path)
    first, second, third = marks_left(path, photos)[:3]
    photos.swap(second, third)
    server = served(classes=CLASSES)
    page = visit(server.address)
    assert answer_seen(page) == first
    page.wait_for_selector("#stage .fault:has-text('has changed since the run was made')")
    page.keyboard.press("1")
    page.keyboard.press("-")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector(f"#stage[aria-label='Picture p{third:03d}.png'] .fault")
    page.keyboard.press("g")
    page.wait_for_selector("#tiles li")
    page.click("#select-all")
    page.keyboard.press("1")
    page.wait_for_selector("#banner:has-text('2 answers not stored')")
    page.wait_for_selector('#saving[data-state="held"]')
    with Store.open(path) as store:
        labels = {one.image_id: one.label for one in store.history()}
    assert labels.pop(f"p{first:03d}.png") == label_of(first)
    assert named(second, third) & set(labels) == set()
    assert len(labels) == PICKS - 3


def test_a_prediction_is_offered_for_its_own_image_only(path, served, visit):
    """What the model says of the image before is no answer to one whose caption did not come."""
    photos = Photos(path)
    predict(path)
    server = served(classes=CLASSES, check=PICKS)
    page = visit(server.address)
    page.wait_for_selector("#said:has-text('class 1')")
    page.route("**/api/items*", lambda route: route.abort())
    for _ in range(PICKS - 1):  # past those whose captions have come already
        answer_seen(page)
    page.wait_for_function(READY)
    page.wait_for_selector("#said", state="hidden")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowLeft")  # heard after it
    saved(page)
    assert len(names_answered(path, photos)) == PICKS - 1
