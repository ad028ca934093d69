"""The page in a real browser: what a person does."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.parquet
from page_browser import counted, press, saved, shown

from usl.labeling.answers.entries import AUDIT, CHECK, Answer, Round
from usl.labeling.answers.store import Store
from usl.labeling.exchange.import_labels import import_file
from usl.run.folder import Run


def test_by_keyboard_alone(site, visit):
    server = site()
    page = visit(server.address)
    first = shown(page)
    page.keyboard.type("tabby cat")  # there is no class yet: letters name one
    page.keyboard.press("Enter")
    press(page, "/")
    page.keyboard.type("dog")
    page.keyboard.press("Enter")
    counted(page, "2 of 40")
    assert [one.name for one in server.store.classes()] in ([], ["tabby cat"], ["tabby cat", "dog"])
    third = shown(page)
    press(page, "0", "-")
    fifth = shown(page)
    press(page, "Space")
    assert shown(page) != fifth
    press(page, "1")
    counted(page, "5 of 40")
    assert page.text_content("#last").endswith("tabby cat")
    press(page, "Backspace", "Backspace")  # the label, then the skip
    counted(page, "4 of 40")
    assert shown(page) == fifth
    press(page, "Control+z")
    counted(page, "3 of 40")
    press(page, "2")
    press(page, "ArrowLeft", "ArrowRight", "z")
    assert "scale" in page.evaluate("document.querySelector('#stage img').style.transform")
    press(page, "ArrowLeft", "Escape")
    assert page.evaluate("document.querySelector('#stage img').style.transform") == ""
    saved(page)
    found = server.labels()
    assert found[first] == "tabby cat"
    assert found[third] == "unsure"
    assert sorted(found.values()) == ["dog", "dog", "tabby cat", "unsure"]
    # reloading goes on where work is left
    page.reload()
    page.wait_for_selector("body[data-ready]")
    counted(page, "4 of 40")
    assert shown(page) == fifth
    press(page, "Backspace")  # what was done before the reload can be undone
    counted(page, "3 of 40")
    # every control can be reached and pressed by Tab and Enter
    reached = set()
    for _ in range(40):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("document.activeElement.id || document.activeElement.dataset.name")
        )
    assert {"view-toggle", "theme", "keys-open", "zoom", "open-similar", "find", "dog"} <= reached
    assert {"unsure", "bad", "skip", "undo", "forward"} <= reached
    page.focus("#unsure")
    page.keyboard.press("Enter")
    counted(page, "4 of 40")


def test_back_changes_an_answer_and_skips_come_again(site, visit):
    server = site(["cat", "dog"])
    page = visit(server.address)
    first = shown(page)
    press(page, "1")
    second = shown(page)
    press(page, "Space", "ArrowLeft", "ArrowLeft")
    assert shown(page) == first
    assert page.get_attribute('#classes [data-name="cat"]', "aria-pressed") == "true"
    press(page, "2")
    counted(page, "1 of 40")
    for _ in range(38):
        press(page, "1")
    assert shown(page) == second  # only the skipped one is left
    press(page, "Space")
    page.wait_for_selector("#end", state="visible")
    page.click("#end-skipped")
    press(page, "1")
    page.wait_for_selector("#end", state="visible")
    saved(page)
    assert server.labels()[first] == "dog"
    assert len(server.labels()) == 40


def test_the_grid(site, visit):
    server = site(["cat", "dog"])
    page = visit(server.address)
    press(page, "g")
    page.wait_for_selector("#tiles li")
    page.wait_for_function("() => document.querySelectorAll('#tiles img[src]').length > 5")
    assert page.locator("#tiles li").count() == 40
    press(page, "Space", "ArrowRight", "ArrowRight", "Shift+ArrowRight", "Shift+ArrowRight")
    chosen = page.locator('#tiles li[aria-selected="true"]').count()
    assert page.text_content("#selected") == f"{chosen} selected"
    press(page, "2")
    counted(page, f"{chosen} of 40")
    page.locator("#tiles li").nth(20).click()
    page.locator("#tiles li").nth(23).click(modifiers=["Shift"])
    page.click('#classes [data-name="cat"]')
    counted(page, f"{chosen + 4} of 40")
    press(page, "Backspace")
    counted(page, f"{chosen} of 40")
    page.select_option("#filter", "label:dog")
    assert page.locator("#tiles li").count() == chosen
    page.select_option("#filter", "open")
    assert page.locator("#tiles li").count() == 40 - chosen
    page.click("#select-all")
    press(page, "1")
    counted(page, "40 of 40")
    page.wait_for_selector("#grid-empty", state="visible")
    press(page, "Backspace")  # all of them as one
    counted(page, f"{chosen} of 40")
    assert page.locator("#tiles li").count() == 40 - chosen
    press(page, "Enter")
    page.wait_for_selector("#single", state="visible")
    saved(page)
    assert list(server.labels().values()) == ["dog"] * chosen


def test_label_all_similar_is_shown_first_and_undone_as_one(site, visit, tmp_path):
    server = site(["cat", "dog"])
    page = visit(server.address)
    for _ in range(40):  # to a pick that stands for several
        name = shown(page)
        if server.work.similar.count(name) > 2:
            break
        page.keyboard.press("ArrowRight")
    many = server.work.similar.count(name)
    press(page, "s")
    page.wait_for_selector("#similar[open] #similar-list li")
    assert page.locator("#similar-list li").count() == many - 1
    assert server.store.history() == []  # nothing is done yet
    page.locator("#similar-list button").first.click()
    page.wait_for_function(
        f"() => document.querySelector('#similar-count').textContent.includes('{many - 2} more')"
    )
    page.keyboard.press("2")
    counted(page, "1 of 40")
    saved(page)
    assert list(server.labels().values()) == ["dog"] * (many - 1)
    press(page, "Backspace")
    counted(page, "0 of 40")
    saved(page)
    assert server.labels() == {}
    assert shown(page) == name


def test_many_classes_are_found_by_typing(site, visit):
    server = site([f"class {number:02d}" for number in range(12)] + ["zebra", "grebe"])
    page = visit(server.address)
    press(page, "z")
    page.keyboard.type("eb")
    assert page.locator("#classes button").all_inner_texts()[0].endswith("zebra")
    page.keyboard.press("Enter")
    counted(page, "1 of 40")
    press(page, "g")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Escape")
    assert page.input_value("#find") == ""
    press(page, "Shift+G")
    page.wait_for_selector("#tiles li")
    press(page, "Shift+G", "3")
    counted(page, "2 of 40")
    saved(page)
    assert sorted(server.labels().values()) == ["class 02", "zebra"]


def test_keys_can_be_remapped_and_switched_off(site, visit):
    server = site(["cat", "dog"])
    page = visit(server.address)
    press(page, "?")
    page.click('#class-keys [data-name="cat"]')
    page.keyboard.press("g")
    page.click('#class-keys [data-name="dog"]')
    page.keyboard.press("g")  # taken from cat, which gets the 2
    assert page.inner_text('#class-keys [data-name="cat"]') == "2"
    page.click("#keys-close")
    press(page, "g", "2")
    counted(page, "2 of 40")
    saved(page)
    assert sorted(server.labels().values()) == ["cat", "dog"]
    assert [(one.name, one.hotkey) for one in server.store.classes()] == [
        ("cat", "2"),
        ("dog", "g"),
    ]
    page.reload()
    page.wait_for_selector("body[data-ready]")
    press(page, "?")
    page.click("#shortcuts")
    page.click("#keys-close")
    press(page, "2", "Space")
    counted(page, "2 of 40")


def test_annotators_conflicts_and_adjudication(site, visit):
    server = site(["cat", "dog"])
    page = visit(server.address)
    context = page.context
    for name, keys in (("anna", "1121"), ("ben", "1221")):
        page = visit(f"{server.base}?as={name}", context=context)
        counted(page, "0 of 40")  # blind: nothing of the others
        press(page, *keys)
        saved(page)
    page = visit(server.base, context=context, wait=False)
    page.fill("#as", "chloé")
    page.keyboard.press("Enter")
    page.wait_for_selector("body[data-ready]")
    assert "chloé" in page.text_content("#who")
    with page.expect_navigation():
        page.click("#review-link")
    page.wait_for_selector("body[data-ready]")
    counted(page, "0 of 1")
    assert "75%" in page.text_content("#agreement")
    page.wait_for_selector("#said dd")
    assert re.sub(r"\s", "", page.text_content("#said")) == "annacatbendog"
    press(page, "2")
    page.wait_for_selector("#end", state="visible")
    saved(page)
    final = [one for one in server.store.history() if one.final]
    assert [(one.annotator, one.label) for one in final] == [("chloé", "dog")]


def test_a_check_offers_the_prediction_and_an_audit_is_blind(path, site, visit):
    table = {
        "image_id": ["p003.jpg", "p004.jpg"],
        "subset": ["train", "train"],
        "label": ["dog", "cat"],
        "confidence": [0.4, 0.5],
        "source": ["predicted", "predicted"],
    }
    pyarrow.parquet.write_table(pa.table(table), path / "predictions.parquet")
    images = ("p003.jpg", "p004.jpg")
    with Store.open(path) as store:
        audit = store.add_round(Round("", AUDIT, images, population=20))
        check = store.add_round(Round("", CHECK, images, population=20))
    server = site(["cat", "dog"], round=audit)
    page = visit(server.address)
    assert page.text_content("#round") == "Audit 1, blind"
    press(page, "Enter", "s")  # nothing to accept, nothing similar
    assert page.is_hidden("#said")
    assert page.is_hidden("#strip")
    press(page, "1", "1")
    page.wait_for_selector("#end", state="visible")
    assert "usl report" in page.text_content("#end-command")
    saved(page)
    server = site(["cat", "dog"], round=check)
    page = visit(server.address)
    page.wait_for_selector("#said", state="visible")
    assert "dog (40% sure)" in page.text_content("#said")
    press(page, "Enter")
    page.wait_for_function("() => document.querySelector('#said').textContent.includes('cat')")
    press(page, "2")
    page.wait_for_selector("#end", state="visible")
    saved(page)
    given = [(one.round, one.label) for one in server.store.history()]
    assert given == [("audit-1", "cat")] * 2 + [("check-1", "dog")] * 2


def test_a_check_says_why_a_label_is_to_be_looked_at_again(path, site, visit):
    table = {
        "image_id": ["p003.jpg"],
        "subset": ["train"],
        "label": ["cat"],
        "confidence": [1.0],
        "source": ["human"],
        "suggestion": ["dog"],
        "support": [0.03],
    }
    pyarrow.parquet.write_table(pa.table(table), path / "predictions.parquet")
    with Store.open(path) as store:
        store.add([Answer("p003.jpg", "label", "cat")])
        check = store.add_round(Round("", CHECK, ("p003.jpg",), population=20))
    server = site(["cat", "dog"], round=check)
    page = visit(server.address)
    page.wait_for_selector("#said", state="visible")
    said = page.text_content("#said")
    assert "Labelled as cat; the other labels speak for dog (cat: 3%)." in said
    assert "It is dog" in said
    press(page, "Enter")
    page.wait_for_selector("#end", state="visible")
    saved(page)
    assert [one.label for one in server.store.history()] == ["cat", "dog"]


def test_a_password_is_asked_for(site, visit):
    server = site(["cat"], listening="0.0.0.0", password="correct horse", ask=True)
    page = visit(server.base, wait=False)
    page.fill("#password", "wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("#fault")
    page.fill("#password", "correct horse")
    page.keyboard.press("Enter")
    page.wait_for_selector("#as")
    page.fill("#as", "anna")
    page.keyboard.press("Enter")
    page.wait_for_selector("body[data-ready]")
    press(page, "1")
    saved(page)
    assert [one.annotator for one in server.store.history()] == ["anna"]


def test_where_all_are_labelled_it_says_what_comes_next(path, site, visit, tmp_path):
    """Not "select some first": the labels of all picks came from elsewhere."""
    split = Run.open(path).split()
    table = "image_id,label\n" + "".join(f"{name},cat\n" for name in split.ids[split.requested()])
    (tmp_path / "labels.csv").write_text(table)
    import_file(path, tmp_path / "labels.csv")
    page = visit(site().address)
    end = page.locator("#end")
    assert "Nothing is left to label" in end.inner_text()
    assert "Next: usl train" in end.inner_text()
    assert "usl next" in end.inner_text()
