"""A live round in a real browser."""

from __future__ import annotations

from page_browser import counted, press, saved, shown

from usl.labeling.answers.entries import Answer
from usl.labeling.page.queue import Order


def test_what_the_model_wants_comes_next_and_its_class_first(site, visit):
    server = site(["cat", "dog"], queue=True, suggest=True, annotator="anna")
    ids = server.work.listing.ids
    page = visit(server.address)
    assert shown(page) == ids[0]
    assert page.text_content("#live") == "The model is getting ready."
    wanted = tuple(ids[30:34])
    guesses = dict.fromkeys(wanted, ("dog", 0.83))
    order = Order(wanted, guesses, 10**6, labels=12, more=3, estimate=0.914, changed=0.0234)
    server.work.queue.take(order)
    page.wait_for_function("() => document.querySelector('#live').textContent.includes('12')")
    said = "Learnt from 12 labels; the last 3 changed 2.3% of the predictions."
    assert page.text_content("#live") == said
    assert page.text_content("#left") == "about 91% right"
    assert shown(page) == ids[0]  # what is on the screen stays there
    assert page.is_hidden("#said")
    press(page, "1")
    assert shown(page) == wanted[0]
    page.wait_for_selector("#said strong")
    assert page.text_content("#said p") == "The model says dog (83% sure)."
    press(page, "Enter")
    assert shown(page) == wanted[1]
    counted(page, "2 answered")
    press(page, "Backspace")
    assert shown(page) == wanted[0]
    press(page, "1")
    assert shown(page) == wanted[1]
    saved(page)
    assert server.labels() == {ids[0]: "cat", wanted[0]: "cat"}
    # somebody else answers all the rest
    rest = [name for name in ids if name not in (ids[0], *wanted[:2])]
    server.store.add([Answer(name, "bad", annotator="ben", round="live-1") for name in rest])
    press(page, "Space")
    saved(page)
    page.reload()
    page.wait_for_selector("body[data-ready]")
    assert shown(page) == wanted[1]  # skipped, it comes back
    press(page, "2")
    page.wait_for_selector("#end:not([hidden])")
    assert page.text_content("#end-title") == "All answered"
    assert page.text_content("#end-note").startswith("Nothing is left to ask")
