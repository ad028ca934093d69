"""The page in a real browser: every size of screen, any number of classes, judged by axe-core."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet
import pytest
from page_browser import READY, counted, press, saved

from usl.labeling.answers.entries import AUDIT, CHECK, Answer, Round
from usl.labeling.answers.store import Store

WIDTHS = (320, 375, 768, 1280, 1920)
PHONES = ((375, 667), (320, 568))
NAMES = ["cat", "dog", "owl", "pig", "sheep", "horse", "zebra", "goat", "hen", "buffalo"]
NAMES += ["elephant", "giraffe", "grebe", "heron"]
SIDEWAYS = """() => {
  const boxes = "body, main, #grid, #panel, #classes, dialog[open], .columns, #class-keys";
  const wide = [...document.querySelectorAll(boxes)]
    .filter((one) => one.checkVisibility() && one.scrollWidth > one.clientWidth);
  const root = document.documentElement;
  const page = root.scrollWidth > innerWidth ? ["page"] : [];
  return [...wide.map((one) => one.id || one.localName), ...page];
}"""
SHARE = "document.querySelector('#stage').clientHeight / innerHeight"


def names(many):
    """Class names as people have them: words, and where there are many, some longer ones."""
    more = (f"{word} of the {number}th kind" for number in range(9, 99) for word in NAMES)
    return [*NAMES, *more][:many]


def predict(path, images):
    """A model that calls these images cat, less and less surely."""
    table = {
        "image_id": list(images),
        "subset": ["train"] * len(images),
        "label": ["cat"] * len(images),
        "confidence": [0.9 - 0.01 * number for number in range(len(images))],
        "source": ["predicted"] * len(images),
    }
    pyarrow.parquet.write_table(pa.table(table), path / "predictions.parquet")


@pytest.mark.parametrize("many", [2, 9, 16, 101])
def test_nothing_scrolls_sideways_and_nothing_is_complained_of(site, visit, many):
    server = site(names(many))
    page, errors = visit(server.address), []
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    for view in ("single", "grid", "keys", "rename"):
        page.set_viewport_size({"width": 1280, "height": 800})
        if view == "rename":
            page.click('[aria-label="Rename dog"]')
        else:
            press(page, *{"single": ["1"], "grid": ["Shift+G"], "keys": ["?"]}[view])
        for width in WIDTHS:
            for scheme in ("light", "dark"):
                page.set_viewport_size({"width": width, "height": 700})
                page.emulate_media(color_scheme=scheme)
                assert page.evaluate(SIDEWAYS) == [], (view, width, scheme)
    assert errors == []


@pytest.mark.parametrize("many", [2, 9, 16, 101, 1000])
def test_the_picture_keeps_its_height_on_small_phones(site, visit, many):
    server = site(names(many))
    for width, height in PHONES:
        page = visit(server.address, width=width, height=height, has_touch=True, is_mobile=True)
        page.wait_for_function(READY)
        assert page.evaluate(SHARE) >= 0.4
        assert page.evaluate(SIDEWAYS) == []
        seen = """() => [...document.querySelectorAll("#others button, #moves button, #find")]
          .every((one) => {
            const box = one.getBoundingClientRect();
            return box.top >= 0 && box.bottom <= innerHeight && box.height >= 36;
          })"""
        assert page.evaluate(seen)  # without scrolling
        assert page.evaluate("document.querySelector('#classes').clientHeight") >= 44
        page.tap("#classes button >> nth=0")
        page.fill("#find", "no class has such a name")
        assert page.evaluate(SHARE) >= 0.4
        for one in ("#find", "#find-hint", "#classes button"):
            box = page.locator(one).bounding_box()
            assert box["y"] >= 0
            assert box["y"] + box["height"] <= height
        page.keyboard.press("Escape")


def test_a_check_leaves_the_picture_its_height(path, site, visit):
    images = [f"p{number:03d}.jpg" for number in range(4)]
    predict(path, images)
    with Store.open(path) as store:
        drawn = store.add_round(Round("", CHECK, tuple(images), population=40))
    server = site(names(101), round=drawn)
    for width, height in PHONES:
        page = visit(server.address, width=width, height=height, has_touch=True, is_mobile=True)
        page.wait_for_selector("#said", state="visible")
        assert page.evaluate(SHARE) >= 0.4
        box = page.locator("#said button").bounding_box()
        assert box["y"] + box["height"] <= height


def test_a_class_name_of_200_letters(site, visit):
    long = "x" * 200
    server = site(["cat", long])
    for width in (320, 1280):
        page = visit(server.address, width=width, height=667)
        press(page, "2")
        assert page.evaluate(SIDEWAYS) == []
        assert page.locator("#classes li").nth(1).bounding_box()["height"] < 80
        press(page, "g")
        page.select_option("#filter", "all")
        page.wait_for_selector("#tiles .mark:has-text('xx')")
        assert page.evaluate(SIDEWAYS) == []
        press(page, "?")
        page.wait_for_selector("#keys[open]")
        assert page.evaluate(SIDEWAYS) == []
        page.keyboard.press("Escape")
        press(page, "g")
        saved(page)
    assert set(server.labels().values()) == {long}


def test_a_thousand_classes_answer_at_once(site, visit):
    server = site([f"n{number:08d}" for number in range(1000)])
    page = visit(server.address)
    kept = page.evaluate(
        "() => { window.first = document.querySelector('#classes button'); return 1 }"
    )
    press(page, "1", "2", "3")
    counted(page, "3 of 40")
    assert kept == 1
    # an answer does not draw a thousand buttons anew
    assert page.evaluate("window.first === document.querySelector('#classes button')")
    press(page, "n")
    page.keyboard.type("00000999")
    page.keyboard.press("Enter")
    counted(page, "4 of 40")
    saved(page)
    assert sorted(server.labels().values())[-1] == "n00000999"


@pytest.mark.parametrize(("scheme", "size"), [("light", (1280, 800)), ("dark", (375, 667))])
def test_axe_core_finds_nothing_serious(path, site, visit, serious, scheme, size):
    predict(path, [f"p{number:03d}.jpg" for number in range(60)])
    with Store.open(path) as store:
        check = store.add_round(Round("", CHECK, ("p003.jpg", "p004.jpg"), population=40))
        audit = store.add_round(Round("", AUDIT, ("p005.jpg",), population=40))
    width, height = size
    server = site(names(16))
    page = visit(server.address, color_scheme=scheme, width=width, height=height)
    press(page, "1")
    assert serious(page) == []
    page.fill("#find", "he")
    assert serious(page) == []
    page.keyboard.press("Shift+Enter")
    page.wait_for_selector("#toast", state="visible")
    assert serious(page) == []
    press(page, "Shift+G")
    page.select_option("#filter", "all")
    page.wait_for_selector("#tiles .model:has-text('cat')")
    press(page, "Space")
    assert serious(page) == []
    press(page, "Shift+S")
    page.wait_for_selector("#similar[open]")
    assert serious(page) == []
    page.keyboard.press("Escape")
    press(page, "?")
    page.click('[aria-label="Rename cat"]')
    assert serious(page) == []
    page.click('[aria-label="Remove he"]')
    page.wait_for_selector("#class-keys .asks, #class-note:not([hidden])")
    assert serious(page) == []
    page = visit(site(names(101), round=check).address, color_scheme=scheme, width=width)
    page.wait_for_selector("#said", state="visible")
    assert serious(page) == []
    page = visit(site(names(2), round=audit).address, color_scheme=scheme, width=width)
    press(page, "1")
    page.wait_for_selector("#end-audit", state="visible")
    assert serious(page) == []


def test_classes_stand_in_two_columns_where_their_names_fit(site, visit):
    def lefts(page):
        places = "all => all.map((one) => Math.round(one.getBoundingClientRect().left))"
        return len(set(page.locator("#classes button").evaluate_all(places)))

    def cut(page):
        return page.locator("#classes .class-name").evaluate_all(
            "all => all.filter((one) => one.scrollHeight > one.clientHeight + 2).length"
        )

    server = site(names(12))
    page = visit(server.address)
    assert (lefts(page), cut(page)) == (2, 0)
    server.store.set_classes([f"a rather long class name {number}" for number in range(12)])
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert (lefts(page), cut(page)) == (1, 0)
    server.store.set_classes(names(9))
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert lefts(page) == 1


def test_the_names_to_go_on_as_are_shown_on_phones(site, visit):
    server = site(["cat"])
    server.store.add([Answer("p003.jpg", "label", "cat", "csv")])  # as an import records it
    page = visit(server.address, wait=False, width=375)
    assert page.locator(".people a").all_inner_texts() == ["csv"]
    page.click(".people a", timeout=5_000)  # which waits until it can be seen
    page.wait_for_selector("body[data-ready]")
    assert "csv" in page.text_content("#who")
