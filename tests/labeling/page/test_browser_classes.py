"""The page in a real browser: classes typed, renamed, merged and removed; what the keys say."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet
from page_browser import READY, counted, press, saved, shown

from usl.labeling.answers.entries import AUDIT, CHECK, Answer, Round
from usl.labeling.answers.store import Store

MANY = ["cat", "cattle", "tomcat", *(f"class {letter}" for letter in "abcdefgh")]


def entries(page):
    return page.locator("#classes .class-name").all_inner_texts()


def hint(page):
    return page.inner_text("#find-hint")


def predict(path, labels):
    """A model that has given these labels by image, each with its confidence."""
    table = {
        "image_id": list(labels),
        "subset": ["train"] * len(labels),
        "label": [label for label, _ in labels.values()],
        "confidence": [sure for _, sure in labels.values()],
        "source": ["predicted"] * len(labels),
    }
    pyarrow.parquet.write_table(pa.table(table), path / "predictions.parquet")


def test_what_enter_does_is_said_and_done(site, visit):
    server = site(MANY)
    page = visit(server.address)
    page.wait_for_function(READY)
    for text, best, told in [
        ("cat", "cat", "Enter takes “cat”."),
        ("CAT", "cat", "Enter takes “cat”."),
        ("catt", "cattle", "Enter takes “cattle”. Shift+Enter adds “catt”."),
        ("attle", "Add “attle”", "Enter adds the new class “attle”."),
        ("heron", "Add “heron”", "Enter adds the new class “heron”."),
        ("class_A", "class a", "Enter takes “class a”."),
    ]:
        page.fill("#find", text)
        assert entries(page)[0] == best
        assert hint(page) == told
        assert page.inner_text("#classes .chosen kbd") == "Enter"
    page.fill("#find", "cat")
    assert entries(page) == ["cat", "cattle", "tomcat"]
    page.fill("#find", "attle")
    page.keyboard.press("Enter")
    assert "“attle” is a new class" in page.inner_text("#toast")
    page.fill("#find", "catt")
    page.keyboard.press("Shift+Enter")
    page.fill("#find", "catt")
    page.keyboard.press("ArrowDown")
    assert hint(page) == "Enter takes “cattle”."
    page.keyboard.press("Enter")
    page.fill("#find", "CAT")
    page.keyboard.press("Enter")
    counted(page, "4 of 40")
    saved(page)
    assert list(server.labels().values()) == ["attle", "catt", "cattle", "cat"]
    assert [one.name for one in server.store.classes()] == [*MANY, "attle", "catt"]


def test_the_badges_say_the_keys_that_work(site, visit):
    server = site(["cat", "dog"])
    page = visit(server.address)

    def badges():
        return [page.inner_text(f"#{one} kbd") for one in ("open-similar", "zoom")]

    assert badges() == ["S", "Z"]
    assert page.get_attribute("#view-toggle", "title") == "Grid (G)"
    press(page, "?")
    page.click('#class-keys [data-name="cat"]')
    page.keyboard.press("z")
    page.click("#keys-close")
    assert badges() == ["S", "Shift+Z"]
    press(page, "z")  # gives the class
    counted(page, "1 of 40")
    press(page, "Shift+Z")
    assert "scale" in page.evaluate("document.querySelector('#stage img').style.transform")
    press(page, "Escape")
    for number in range(8):
        press(page, "/")
        page.keyboard.type(f"new {number}")
        page.keyboard.press("Enter")
    assert badges() == ["Shift+S", "Shift+Z"]
    assert page.get_attribute("#open-similar", "aria-keyshortcuts") == "Shift+S"
    assert page.get_attribute("#view-toggle", "title") == "Grid (Shift+G)"
    press(page, "s")
    assert page.input_value("#find") == "s"
    page.keyboard.press("Escape")
    press(page, "Shift+S")
    page.wait_for_selector("#similar[open]")
    page.keyboard.press("Escape")
    press(page, "?")
    assert "Shift+G" in page.inner_text(".key-list")
    page.click("#shortcuts")  # none of them works now
    page.click("#keys-close")
    assert page.locator("#single kbd, #panel kbd").evaluate_all(
        "all => all.every((one) => !one.checkVisibility())"
    )


def test_a_class_is_renamed_and_that_is_undone_as_one(site, visit):
    server = site(["cat", "dog"])
    page = visit(server.address)
    other = visit(server.base, context=page.context)
    page.bring_to_front()
    first = shown(page)
    press(page, "1", "2", "1", "?")
    page.click('[aria-label="Rename cat"]')
    page.fill('[aria-label="New name of cat"]', "feline")
    page.keyboard.press("Enter")
    assert "“cat” is called “feline” now." in page.inner_text("#class-note")
    page.click("#keys-close")
    assert entries(page) == ["feline", "dog"]
    press(page, "1")
    counted(page, "4 of 40")
    saved(page)
    assert list(server.labels().values()) == ["feline", "dog", "feline", "feline"]
    other.bring_to_front()
    other.wait_for_selector('#classes [data-name="feline"] .number:has-text("3")')
    page.bring_to_front()
    press(page, "Backspace", "Backspace")  # the answer, then the name
    page.wait_for_selector('#classes [data-name="cat"] .number:has-text("2")')
    counted(page, "3 of 40")
    saved(page)
    assert list(server.labels().values()) == ["cat", "dog", "cat"]
    assert server.labels()[first] == "cat"
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert entries(page) == ["cat", "dog"]


def test_a_class_is_removed_and_its_images_are_asked_again(site, visit):
    server = site(["cat", "dog", "owl"])
    page = visit(server.address)
    first = shown(page)
    press(page, "1", "2", "?")
    page.click('[aria-label="Remove owl"]')  # unused: at once
    page.wait_for_function("() => document.querySelectorAll('#class-keys li').length === 2")
    page.click('[aria-label="Remove cat"]')
    assert "1 image has the label “cat”" in page.inner_text("#class-keys .asks")
    page.click("#class-keys .asks .primary")
    page.click("#keys-close")
    counted(page, "1 of 40")
    saved(page)
    assert list(server.labels().values()) == ["dog"]
    page.reload()  # the undo is there after it, too
    page.wait_for_selector("body[data-ready]")
    assert shown(page) == first
    press(page, "Backspace")
    counted(page, "2 of 40")
    press(page, "Backspace")
    page.wait_for_selector('#classes [data-name="owl"]')
    saved(page)
    assert [one.name for one in server.store.classes()] == ["cat", "dog", "owl"]
    assert list(server.labels().values()) == ["cat", "dog"]


def test_names_that_differ_in_case_are_one_and_can_be_merged(path, site, visit):
    server = site(["Cat", "dog", "cat", "CAT"])
    page = visit(server.address)
    assert entries(page) == ["Cat", "dog"]
    press(page, "3")  # the key of a spelling means the class
    counted(page, "1 of 40")
    saved(page)
    assert list(server.labels().values()) == ["Cat"]
    for spelling in ("cat", "CAT"):
        page.wait_for_selector("#banner:has-text('differ in case')")
        page.click("#banner button")
        assert f"“{spelling}” become part" in page.inner_text("#class-keys .asks")
        page.click("#class-keys .asks .primary")
        page.click("#keys-close")
    page.wait_for_selector("#banner", state="hidden")
    saved(page)
    assert [one.name for one in server.store.classes()] == ["Cat", "dog"]
    press(page, "Backspace")
    page.wait_for_selector("#banner:has-text('CAT')")


def test_the_grid_shows_names_marks_and_what_the_model_says(path, site, visit):
    split = path / "split.csv"
    first, second = (row.split(",")[0] for row in split.read_text().splitlines()[1:3])
    predict(path, {first: ("owl", 0.873), second: ("cat", 0.41)})
    server = site(["cat", "dog"])
    page = visit(server.address)
    press(page, "1", "g")
    page.wait_for_selector("#tiles li")
    page.select_option("#filter", "label:cat")
    opacity = "getComputedStyle(document.querySelector('#tiles img')).opacity"
    page.wait_for_selector("#tiles .mark:has-text('cat')")
    assert page.evaluate(opacity) == "1"
    page.select_option("#filter", "all")
    assert page.inner_text("#tiles .model >> nth=0") == "owl 87%"
    assert page.inner_text("#tiles .model >> nth=1") == "cat 41%"
    assert page.locator("#tiles .model:visible").count() == 2
    assert "the model says owl 87%" in page.get_attribute("#tiles li >> nth=0", "aria-label")
    assert page.evaluate(opacity) == "1"
    name = page.locator("#tiles .tile-name >> nth=0")
    assert name.text_content() == first
    assert name.bounding_box()["height"] > 10
    # a long name keeps its end
    page.evaluate(
        """async () => {
          const { cutInTheMiddle } = await import("/static/names.js");
          const name = "a".repeat(60) + "/IMG_20240101.jpg";
          cutInTheMiddle(document.querySelector("#tiles .tile-name"), name);
        }"""
    )
    box = name.bounding_box()
    end = name.locator("span >> nth=1").bounding_box()
    assert name.locator("span >> nth=1").text_content() == "20240101.jpg"
    assert end["x"] + end["width"] <= box["x"] + box["width"]
    assert name.text_content() == "a" * 60 + "/IMG_20240101.jpg"


def test_a_check_ends_without_a_stale_suggestion(path, site, visit):
    predict(path, {"p003.jpg": ("dog", 0.4), "p004.jpg": ("cat", 0.5)})
    with Store.open(path) as store:
        check = store.add_round(Round("", CHECK, ("p003.jpg", "p004.jpg"), population=20))
    server = site(["cat", "dog"], round=check)
    page = visit(server.address)
    page.wait_for_selector("#said", state="visible")
    press(page, "Enter")
    page.wait_for_selector("#said:has-text('cat')")
    press(page, "2")
    page.wait_for_selector("#end", state="visible")
    assert page.is_hidden("#said")
    page.keyboard.press("Enter")  # accepts nothing
    saved(page)
    assert list(server.labels().values()) == ["dog", "dog"]
    assert page.is_hidden("#end-audit")


def test_a_suggestion_has_the_present_name_of_its_class(path, site, visit):
    predict(path, {"p003.jpg": ("dog", 0.4), "p004.jpg": ("dog", 0.5)})
    with Store.open(path) as store:
        check = store.add_round(Round("", CHECK, ("p003.jpg", "p004.jpg"), population=20))
    server = site(["cat", "dog"], round=check)
    page = visit(server.address)
    page.wait_for_selector("#said:has-text('dog')")
    press(page, "?")
    page.click('[aria-label="Rename dog"]')
    page.keyboard.type("hound")
    page.keyboard.press("Enter")
    page.wait_for_selector("#said:has-text('hound')")
    page.evaluate(  # Enter before the next frame: the focus is on a button that nobody sees
        """() => {
          const close = document.querySelector("#keys-close");
          close.focus();
          close.click();
          const enter = { key: "Enter", bubbles: true, cancelable: true };
          document.activeElement.dispatchEvent(new KeyboardEvent("keydown", enter));
        }"""
    )
    counted(page, "1 of 2")
    page.wait_for_selector("#said:has-text('hound')")
    press(page, "Enter")
    page.wait_for_selector("#end", state="visible")
    saved(page)
    assert list(server.labels().values()) == ["hound", "hound"]
    assert [one.name for one in server.store.classes()] == ["cat", "hound"]
    late = page.evaluate(  # names that were asked for before, and come after
        """async () => {
          const { Items } = await import("/static/items.js");
          const items = new Items("label");
          let answer;
          window.fetch = () => new Promise((done) => (answer = done));
          const got = items.get("an image");
          items.forget();
          answer(new Response('{"an image": {}}'));
          return [await got, items.known("an image")];
        }"""
    )
    assert late == [None, None]


def test_a_state_that_comes_late_takes_no_answer_back(site, visit):
    server = site(["cat", "dog"])
    page = visit(server.address)
    late = []
    page.route("**/api/state*", lambda route: late.append((route, route.fetch())), times=1)
    press(page, "?")
    page.click('[aria-label="Rename dog"]')
    page.keyboard.type("hound")
    with page.expect_request("**/api/state*"):
        page.keyboard.press("Enter")
    page.click("#keys-close")
    while not late:
        page.wait_for_timeout(10)
    with page.expect_response("**/api/operations") as kept:
        press(page, "1")
    kept.value.finished()
    counted(page, "1 of 40")
    saved(page)  # the page knows by now that it is kept
    route, response = late[0]
    with page.expect_request("**/api/state*") as again:  # that one knows of no answer
        route.fulfill(response=response)
    again.value.response().finished()
    counted(page, "1 of 40")
    press(page, "1")
    counted(page, "2 of 40")


def test_an_audit_ends_with_its_figure(path, site, visit):
    images = [f"p{number:03d}.jpg" for number in range(20)]
    predict(path, dict.fromkeys(images, ("cat", 0.5)))
    with Store.open(path) as store:
        audit = store.add_round(Round("", AUDIT, tuple(images[:4]), population=20))
        store.add([Answer(one, "label", "cat", round=audit.name) for one in images[:2]])
    server = site(["cat", "dog"], round=audit)
    page = visit(server.address)
    assert page.is_hidden("#end-audit")  # nobody is to be led by it
    press(page, "1", "2")
    page.wait_for_selector("#end-audit", state="visible")
    page.wait_for_function("() => document.querySelector('#end-audit-share').textContent !== ''")
    assert page.inner_text("#end-audit-share") == "75.0%"
    # Wilson's interval of 3 in 4 begins at 30.06%; one of the 20 is wrong for sure
    assert page.inner_text("#end-audit-text") == (
        "of all 20 labels are right, by an audit of 4 predictions (95% interval 30.1% to 95.0%)."
    )
    press(page, "Backspace")
    page.wait_for_selector("#end", state="hidden")


def test_an_image_that_vanishes_while_it_is_looked_at(path, site, visit):
    server = site(["cat", "dog"])
    page = visit(server.address)
    first = shown(page)
    photo = path.parent / "photos" / first
    content = photo.read_bytes()
    photo.unlink()
    press(page, "1")
    page.wait_for_selector("#banner:has-text('the file is gone')")
    counted(page, "0 of 40")
    press(page, "2")  # the next one is there
    counted(page, "1 of 40")
    page.reload()
    page.wait_for_selector("#banner:has-text('the file is gone')")
    press(page, "g")
    page.locator("#tiles li").nth(0).dblclick()
    page.wait_for_selector(".fault:has-text('gone')")
    press(page, "1")  # there is nothing to answer for
    press(page, "Space")
    assert shown(page) != first
    counted(page, "1 of 40")
    page.wait_for_selector('#saving[data-state="held"]')  # all but the answer to what is gone
    assert sorted(server.labels().values()) == ["dog", "skip"]
    photo.write_bytes(content)  # back again: what was said of it counts
    page.reload()
    counted(page, "2 of 40")
    saved(page)
    assert server.labels()[first] == "cat"


def test_two_tabs_correct_the_same_image_at_once(site, visit):
    server = site(["cat", "dog", "owl"])
    one = visit(server.address)
    two = visit(server.base, context=one.context)
    one.bring_to_front()
    first = shown(one)
    press(one, "1")
    counted(two, "1 of 40")
    for page in (one, two):
        page.bring_to_front()
        while shown(page) != first:
            press(page, "ArrowLeft")
    one.context.set_offline(True)
    press(two, "2")
    one.bring_to_front()
    press(one, "3")
    one.context.set_offline(False)
    for page in (one, two):
        saved(page)
    said = [answer.label for answer in server.store.history() if answer.image_id == first]
    assert sorted(said) == ["cat", "dog", "owl"]
    for page in (one, two):  # both show what counts
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.reload()
        page.wait_for_selector("body[data-ready]")
        page.wait_for_selector(f'#classes [data-name="{said[-1]}"] .number:has-text("1")')
