"""The map in a real Chromium: mouse, keyboard, touch, hostile names, and without script."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from map_run import CLASSES, COLOURS, OWNED, N, alone, picture, trained_run
from report_page import Page

from usl.core.errors import DataError, UslWarning
from usl.report.report import asset, write_report
from usl.report.sections.accuracy import confusions, per_class, side_by_side

READY = ".stage.live"


@pytest.fixture(scope="module")
def path(found, tmp_path_factory):
    root = tmp_path_factory.mktemp("map")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("USL_CACHE", str(root / "cache"))
        warnings.simplefilter("ignore", UslWarning)
        return write_report(trained_run(root / "run", found), collection=found, points=60)


@pytest.fixture(scope="module")
def data(path):
    return Page.of(path).data()


@pytest.fixture
def visit(browser, path):
    """Open the report; whatever it complains of, or asks the network for, fails the test."""
    trouble, contexts = [], []

    def open_page(file=path, **settings):
        settings.setdefault("viewport", {"width": 1280, "height": 1100})
        context = browser.new_context(reduced_motion="reduce", **settings)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: m.type == "error" and trouble.append(m.text))
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("dialog", lambda dialog: trouble.append(dialog.message))
        page.on("request", lambda r: r.url.startswith(("file:", "data:")) or trouble.append(r.url))
        page.goto(file.as_uri())
        if settings.get("java_script_enabled", True):
            page.wait_for_selector(READY)
            page.evaluate("document.querySelector('#map').scrollIntoView()")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not trouble


def place(page, data, i):
    """Where a dot is on the screen, while the whole map is shown."""
    box = page.locator(READY).bounding_box()
    width = float(page.locator("svg.map").get_attribute("viewBox").split()[2])
    scale = box["width"] / width
    return box["x"] + data["x"][i] / 10 * scale, box["y"] + data["y"][i] / 10 * scale


def card_of(page):
    return page.locator(".point-card")


def count_of(page):
    """How many dots are said to be shown, and really are."""
    said = page.locator(".count").inner_text()
    words = said.replace("All ", "").replace(",", "").split()
    return int(words[0])


def test_without_script_it_is_a_picture(visit):
    page = visit(java_script_enabled=False)
    clouds = page.locator(".cloud")
    assert clouds.count() == 3
    assert clouds.first.is_visible()
    assert page.locator("#map .legend li").all_inner_texts()[0] == CLASSES[0]
    assert page.locator("#map button, #map input, #map select, #map canvas").count() == 0
    assert page.locator(".marks a[href='#pick-1']").count() == 1
    page.close()


def test_pointing_shows_what_is_known(visit, found, data):
    page = visit()
    assert page.locator(".cloud").count() == 0
    tried = alone(data)[:12]
    assert len(tried) >= 6
    for i in tried:
        page.mouse.move(*place(page, data, i))
        text = card_of(page).inner_text()
        assert page.locator(".point-card .id").text_content() == found.ids[i]
        assert page.locator(".point-card .class").text_content() == found.labels[i]
        assert "true class" in text
        told = data["classes"][data["told"][i]]
        assert f"predicted {told}, {(data['sure'][i] + 5) // 10}% sure" in text
        assert ("wrong" in text.split("sure")[1].split("\n")[0]) == (told != found.labels[i])
        rank = data["picks"][data["stands"][i]][1]
        assert f"Stood for by pick {rank}" in text
        # the thumbnail is that of this image
        page.wait_for_function(  # a function: the page's policy forbids to evaluate a text again
            "() => (canvas => canvas.getContext('2d').getImageData(0, 0, 1, 1).data[3] == 255)"
            "(document.querySelector('.point-card canvas'))"
        )
        pixels = page.eval_on_selector(
            ".point-card canvas",
            "c => [c.width, c.height, ...c.getContext('2d').getImageData(9, 9, 1, 1).data]",
        )
        assert pixels[:2] == ([20, 20] if i % 4 == 0 else [64, 43])
        colour = COLOURS[CLASSES.index(found.labels[i])]
        assert int(np.argmax(pixels[2:5])) == int(np.argmax(colour))
    page.mouse.move(5, 5)
    assert card_of(page).is_hidden()


def test_picks_show_their_own_picture(visit, data, found):
    page = visit()
    for point, rank, represents in data["picks"]:
        page.locator(f".marks a[data-rank='{rank}'] circle").hover(force=True)
        at = page.locator(".point-card .id").text_content()
        if at != found.ids[point]:
            continue  # another pick's mark lies above
        assert f"Pick {rank}, stands for {represents} image" in card_of(page).inner_text()
        shown = page.get_attribute(".point-card img", "src")
        assert shown == page.get_attribute(f"#pick-{rank} img", "src")
    given = next(p for p, _, _ in data["picks"] if data["given"][p] != data["truth"][p])
    page.mouse.move(*place(page, data, given))
    text = card_of(page).inner_text()
    assert "label given" in text
    assert "true class" in text


def test_a_click_keeps_and_escape_lets_go(visit, data):
    page = visit()
    first, *others = alone(data)
    x, y = (np.array(data[axis]) for axis in "xy")
    away = np.hypot(x[others] - x[first], y[others] - y[first])
    second = others[int(away.argmax())]  # not under the card of the first
    page.mouse.click(*place(page, data, first))
    page.mouse.move(*place(page, data, second))
    identity = page.locator(".point-card .id")
    assert identity.text_content() == data["ids"][first]
    page.mouse.click(*place(page, data, second))
    assert identity.text_content() == data["ids"][second]
    page.keyboard.press("Escape")
    assert card_of(page).is_hidden()
    page.mouse.click(*place(page, data, second))
    page.get_by_role("button", name="Close").click()
    assert card_of(page).is_hidden()
    assert page.evaluate("document.activeElement.className").startswith("stage")


def test_filters_show_what_they_say(visit, data):
    page = visit()
    truth, told, sure, stands = (np.array(data[k]) for k in ("truth", "told", "sure", "stands"))
    assert count_of(page) == N
    chips = page.locator(".legend button")
    chips.nth(1).click()
    assert count_of(page) == (truth == 1).sum()
    assert chips.nth(1).get_attribute("aria-pressed") == "true"
    chips.nth(2).click()
    assert count_of(page) == (truth >= 1).sum()
    middle = int(np.median(sure[sure >= 0]) / 10)
    page.get_by_label("Greatest confidence").fill(str(middle))
    doubtful = (truth >= 1) & (sure >= 0) & (sure <= 10 * middle)
    assert count_of(page) == doubtful.sum()
    page.get_by_label("Wrong predictions only").check()
    wrong = (told >= 0) & (told != truth)
    assert count_of(page) == (doubtful & wrong).sum()
    page.get_by_role("button", name="Show all").click()
    assert count_of(page) == N
    assert page.get_by_role("button", name="Show all").is_hidden()
    page.get_by_label("Least confidence").fill(str(middle))
    assert count_of(page) == (sure >= 10 * middle).sum()
    page.get_by_label("Greatest confidence").fill("0")  # stops at the other handle
    assert page.get_by_label("Greatest confidence").input_value() == str(middle)
    page.get_by_role("button", name="Show all").click()
    page.get_by_label("Stood for by pick").fill("3")
    assert count_of(page) == (stands == 2).sum() == data["picks"][2][2]
    page.get_by_role("button", name="Next pick").click()
    assert page.get_by_label("Stood for by pick").input_value() == "4"
    assert page.locator(".point-card .id").text_content() == data["ids"][data["picks"][3][0]]


def test_what_is_filtered_out_does_not_answer(visit, data):
    page = visit()
    i = next(i for i in alone(data, least=30) if data["truth"][i] == 0)
    at = place(page, data, i)
    page.mouse.move(*at)
    assert card_of(page).is_visible()
    eventually(page, lambda: pixel(page, data, i)[3] > 100)
    page.locator(".legend button").nth(1).click()
    page.mouse.move(*at)
    assert card_of(page).is_hidden()
    eventually(page, lambda: pixel(page, data, i)[3] < 100)  # a ghost of it is left
    page.locator(".legend button").nth(0).click()
    page.mouse.move(*at)
    assert card_of(page).is_visible()


def eventually(page, holds):
    """Wait for the frames that are still to be drawn."""
    for _ in range(100):
        if holds():
            return
        page.wait_for_timeout(50)
    raise AssertionError("never came true")


def pixel(page, data, i):
    """What the canvas shows at a dot, [red, green, blue, opacity]."""
    return page.evaluate(
        """([x, y]) => {
            const canvas = document.querySelector(".stage > canvas");
            const scale = canvas.width / document.querySelector("svg.map").viewBox.baseVal.width;
            return [...canvas.getContext("2d").getImageData(x * scale, y * scale, 1, 1).data];
        }""",
        [data["x"][i] / 10, data["y"][i] / 10],
    )


def test_show_its_group(visit, data):
    page = visit()
    point, rank, represents = data["picks"][0]
    i = next(i for i in alone(data) if data["stands"][i] == 0)
    page.mouse.click(*place(page, data, i))
    page.get_by_role("button", name="Show its group").click()
    assert count_of(page) == represents
    assert page.locator(".point-card .id").text_content() == data["ids"][point]
    page.get_by_role("link", name="To the list").click()
    assert page.url.endswith(f"#pick-{rank}")


def test_by_keyboard_alone(visit, data):
    page = visit()
    page.get_by_role("button", name="Next pick").focus()
    while page.evaluate("document.activeElement.className.split(' ')[0]") != "stage":
        page.keyboard.press("Tab")
    identity, spoken = page.locator(".point-card .id"), page.locator(".unseen")
    ids, picks = data["ids"], data["picks"]
    assert identity.text_content() == ids[picks[0][0]]
    assert "Pick 1" in spoken.text_content()
    page.keyboard.press("n")
    assert identity.text_content() == ids[picks[1][0]]
    page.keyboard.press("p")
    page.keyboard.press("End")
    assert identity.text_content() == ids[picks[-1][0]]
    assert page.locator(".keys").is_visible()
    page.keyboard.press("Home")
    at = ids.index(identity.text_content())
    moved = 0
    for key, axis, sign in (("ArrowRight", "x", 1), ("ArrowUp", "y", -1), ("ArrowLeft", "x", -1)):
        page.keyboard.press(key)
        now = ids.index(identity.text_content())
        moved += now != at
        assert (data[axis][now] - data[axis][at]) * sign >= 0
        at = now
    assert moved >= 2
    page.keyboard.press("Enter")
    assert card_of(page).evaluate("card => card.classList.contains('pinned')")
    page.keyboard.press("Tab")  # into the card
    assert page.evaluate("document.activeElement.closest('.plot') !== null")
    page.keyboard.press("Escape")
    assert card_of(page).is_hidden()


def test_magnified_dots_are_where_they_answer(visit, data):
    page = visit()
    i = next(i for i in alone(data) if 3_000 < data["x"][i] < 7_000)
    page.mouse.move(*place(page, data, i))
    page.keyboard.down("Control")
    page.mouse.wheel(0, -200)
    page.keyboard.up("Control")
    page.wait_for_function(
        "() => +document.querySelector('svg.map').style.getPropertyValue('--zoom') > 2"
    )
    assert page.locator(".point-card .id").text_content() == data["ids"][i]
    box = page.locator(READY).bounding_box()
    before = page.locator("svg.map").get_attribute("viewBox").split()
    start = (box["x"] + 40, box["y"] + box["height"] - 40)
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(start[0] + 60, start[1] - 30, steps=3)
    page.mouse.up()
    left, top, width, _ = map(float, page.locator("svg.map").get_attribute("viewBox").split())
    assert left < float(before[0])
    assert card_of(page).is_hidden() or not card_of(page).evaluate(
        "card => card.classList.contains('pinned')"
    )  # a drag is no click
    scale = box["width"] / width
    at = (data["x"][i] / 10 - left) * scale, (data["y"][i] / 10 - top) * scale
    page.mouse.move(box["x"] + at[0], box["y"] + at[1])
    assert page.locator(".point-card .id").text_content() == data["ids"][i]
    page.get_by_role("button", name="Show the whole map").click()
    assert page.locator("svg.map").get_attribute("viewBox").split()[0] == "0"


def test_names_do_nothing(visit, found, data):
    page = visit()
    i = next(i for i in alone(data) if OWNED in found.ids[i])
    page.mouse.click(*place(page, data, i))
    assert page.locator(".point-card .id").text_content() == found.ids[i]
    assert page.locator(".point-card b, .point-card script, .legend b, .legend script").count() == 0
    for chip in page.locator(".legend button").all():
        chip.click()
    assert page.evaluate("window.owned") is None


def test_no_other_script_runs(browser, path):
    context = browser.new_context()
    page = context.new_page()
    refused = []
    page.on("console", lambda message: refused.append(message.text))
    page.goto(path.as_uri())
    page.wait_for_selector(READY)
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.owned = 1";
            document.body.append(script);
            const image = document.createElement("img");
            image.setAttribute("onerror", "window.owned = 1");
            image.src = "https://example.org/x.png";
            document.body.append(image);
        }"""
    )
    page.wait_for_timeout(200)
    assert page.evaluate("window.owned") is None
    assert any("Content Security Policy" in text for text in refused)
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_touch_at_390_pixels(visit, data, scheme):
    page = visit(viewport={"width": 390, "height": 800}, has_touch=True, color_scheme=scheme)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
    x, y = place(page, data, data["picks"][0][0])
    page.touchscreen.tap(x, y)
    assert card_of(page).is_visible()
    box = card_of(page).bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    assert box["y"] + box["height"] <= 800
    page.locator(".legend button").first.tap()
    assert count_of(page) < N
    page.get_by_role("button", name="Close").tap() if card_of(page).is_visible() else None
    assert card_of(page).is_hidden()


def test_colours_follow_the_scheme(visit, data):
    page = visit(color_scheme="light")
    i = next(i for i in alone(data, least=20) if data["truth"][i] == 2)
    eventually(page, lambda: pixel(page, data, i)[3] > 100)
    light = pixel(page, data, i)
    page.emulate_media(color_scheme="dark")
    eventually(page, lambda: pixel(page, data, i)[:3] != light[:3])


def test_many_classes_have_a_list(visit, found, tmp_path):
    names = np.array([f"kind {i % 40:02d}" for i in range(N)], dtype=object)
    many = replace(found, labels=names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UslWarning)
        import usl

        run = usl.start_run(many, 5, tmp_path / "run")
        page = visit(write_report(run, collection=many, points=60))
    page.locator(".controls").get_by_label("Class").select_option("kind 07")
    assert count_of(page) == 6
    assert page.get_by_label("Least confidence").count() == 0  # there are no predictions


def test_a_dot_without_a_picture_says_why(browser, found, tmp_path, visit):
    class Broken(type(found.images)):
        def read(self, row):
            if row % 2:
                raise DataError(f"{row}: broken")
            return super().read(row)

    known = [CLASSES.index(label) for label in found.labels.tolist()]
    broken = replace(found, images=Broken(known, picture))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UslWarning)
        run = trained_run(tmp_path / "run", found)
        file = write_report(run, collection=broken, points=60)
    data = Page.of(file).data()
    page = visit(file)
    seen = set()
    for i in alone(data)[:12]:
        page.mouse.move(*place(page, data, i))
        if i % 2:
            assert (
                page.locator(".point-card .missing").inner_text() == "No picture: cannot be read."
            )
        else:
            assert page.locator(".point-card canvas").count() == 1
        seen.add(i % 2)
    assert seen == {0, 1}


@pytest.mark.parametrize("width", [320, 1280])
def test_a_matrix_of_twenty_classes_fits_or_is_seen_to_scroll(browser, tmp_path, width):
    names = [f"a rather long name of class {i}" for i in range(20)]
    figures = {
        "n": 400,
        "protocol": "out of sample",
        "per_class": [
            {"label": name, "n": 20, "precision": 1.0, "recall": 1.0, "f1": 1.0} for name in names
        ],
        "confusion": (np.eye(20, dtype=int) * 20).tolist(),
    }
    body = side_by_side(confusions("test", figures), per_class("test", figures))
    file = tmp_path / "matrix.html"
    file.write_text(f"<style>{asset('report.css')}</style><main>{body}</main>")
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(file.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    box = page.locator(".scroll").first
    ways = box.evaluate("e => [e.scrollWidth, e.clientWidth, getComputedStyle(e).maskImage]")
    if width == 1280:
        assert ways[0] <= ways[1]
        assert ways[2] == "none"
    else:
        assert ways[0] > ways[1]
        assert "gradient" in ways[2]  # its edge fades while there is more beyond
        box.evaluate("e => e.scrollTo(e.scrollWidth, 0)")
        page.wait_for_function(
            "() => getComputedStyle(document.querySelector('.scroll')).maskImage === 'none'"
        )
        head = page.locator(".heat tbody th").first
        assert head.bounding_box()["x"] >= 0  # the class stays in view
    page.close()
