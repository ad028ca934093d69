"""The queue of a live round: whose an image is, and what a newer order changes."""

from __future__ import annotations

import pytest
from label_run import IDS, make_run
from page_run import answer

from usl.labeling.answers.answered import Answered
from usl.labeling.answers.classes import remove_class
from usl.labeling.answers.entries import AUDIT, Answer, Round
from usl.labeling.answers.live import live_round
from usl.labeling.answers.outcomes import OPEN, outcomes
from usl.labeling.page.queue import GRACE, HAND, PATIENCE, Order, Queue

SUGGESTING = {"suggest": True, "method": "margin", "learner": "accord", "seed": 0}


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def run(quick_folder):
    return make_run(quick_folder / "run")


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def queue(store, clock):
    return Queue(store, live_round(store, SUGGESTING), IDS, suggest=True, clock=clock)


def said(image, annotator="", kind="label", **named):
    return Answer(image, kind, "cat" if kind == "label" else None, annotator, "live-1", **named)


def test_no_two_people_have_the_same_image_in_hand(queue):
    hands = {name: queue.deal(name) for name in ("anna", "ben", "carl")}
    assert hands["anna"] == IDS[:HAND]
    assert [image for hand in hands.values() for image in hand] == IDS[: 3 * HAND]
    assert all(queue.deal(name) == hand for name, hand in hands.items())


def test_all_but_what_is_on_the_screen_is_exchanged_for_what_a_newer_order_wants(
    queue, store, clock
):
    queue.deal("anna")
    store.add([said(IDS[0], "anna")])
    queue.take(Order(images=tuple(IDS[10:16]), guesses={IDS[10]: ("cat", 0.9)}, seen=1))
    assert queue.deal("anna", IDS[1]) == [IDS[1], IDS[10], IDS[11]]
    assert queue.guess(IDS[10]) == ("cat", 0.9)
    queue.take(Order(images=(IDS[2], IDS[12])))
    assert queue.guess(IDS[10]) == ("cat", 0.9)  # it may be on the screen by now
    # What anna has put back nobody else gets at once: it may be on its way to her screen.
    assert queue.deal("anna", IDS[1]) == [IDS[1], IDS[2], IDS[12]]
    queue.take(Order(images=(IDS[10], IDS[11], IDS[13])))
    assert queue.deal("ben") == [IDS[13], IDS[3], IDS[4]]
    clock.now += GRACE
    assert queue.deal("ben", IDS[13]) == [IDS[13], IDS[10], IDS[11]]


def test_the_images_of_somebody_who_is_gone_are_free_again(queue, clock):
    queue.deal("anna")
    clock.now += PATIENCE - 1
    assert queue.deal("anna", IDS[0]) == IDS[:HAND]
    clock.now += PATIENCE - 1
    assert IDS[0] not in queue.deal("ben")
    clock.now += 1
    assert queue.deal("carl") == IDS[:HAND]
    assert queue.deal("anna", IDS[0])[0] not in IDS[:HAND]  # it is carl's now


def test_what_is_answered_undone_or_skipped(queue, store):
    woken = []
    queue.deal("anna")
    queue.wake = lambda: woken.append(True)
    first, second = store.add([said(IDS[0], "anna"), said(IDS[1], "anna", "skip")])
    store.add([said(IDS[2], "ben", "unsure"), said(IDS[3], "ben", "bad")])
    assert queue.deal("anna") == IDS[4 : 4 + HAND]
    assert len(woken) == 1
    assert queue.deal("carl")[0] == IDS[4 + HAND]  # the skipped one is still anna's for a moment
    store.undo([first, second], annotator="anna")
    assert queue.deal("anna") == [IDS[0], IDS[1], IDS[4]]
    assert queue.status()["learning"]
    queue.take(Order(seen=store.last_id()))
    assert not queue.status()["learning"]
    store.add([said(image, "ben") for image in IDS])
    assert queue.deal("anna", IDS[0]) == []


def test_answered_is_what_the_outcomes_say(store):
    """Against the other way to tell, which reads everything anew."""
    store.add_round(Round("", AUDIT, tuple(IDS)))
    follows = Answered(store)
    ids = []
    steps = [(5, "anna", "label"), (5, "anna", "skip"), (5, "ben", "unsure"), (6, "", "skip")]
    for place, name, kind in [*steps, (7, "ben", "label"), (6, "", "bad"), (8, "", "label")]:
        ids += store.add([said(IDS[place], name, kind)])
        check(follows, store)
    store.add([Answer(IDS[9], "label", "cat", round="audit-1")])
    store.add([Answer(IDS[5], "label", "dog", "ben", "labels", final=True)])
    check(follows, store)
    for number, name in [(ids[2], "ben"), (ids[0], "anna"), (ids[1], "anna"), (ids[5], "")]:
        store.undo([number], annotator=name)
        check(follows, store)
    store.set_classes(["cat", "dog"])
    remove_class(store, "cat", annotator="", key="remove---1")
    check(follows, store)
    check(Answered(store), store)


def check(follows, store):
    follows.follow()
    found = outcomes(store.history())
    wanted = [name in found and found[name].kind != OPEN for name in IDS]
    assert [follows.is_answered(name) for name in IDS] == wanted


def test_the_page_is_dealt_to_with_every_exchange(app):
    page = app(queue=True, annotator="anna")
    queue, rows = page.work.queue, range(60)
    state = page.get("/api/state")[1]
    assert state["order"] == []
    hand = page.rows(state["live"]["hand"])
    assert hand == list(rows)[:HAND]
    queue.take(Order(images=tuple(page.work.listing.ids[row] for row in (50, 51, 52)), labels=9))
    sent = {"as": "anna", "showing": page.ref(hand[1])}
    live = page.post([answer("aaaaaaaa", [hand[0]], "cat")], **sent)[1]["live"]
    assert page.rows(live["hand"]) == [hand[1], 50, 51]
    assert live["labels"] == 9
    changes = page.get("/api/changes", showing="0123456789abcdef/gone.jpg")[1]["live"]
    assert page.rows(changes["hand"]) == [50, 51, 52]
    assert page.store.history()[0].round == "live-1"
    assert "predicted" not in page.items([50])[50]
    assert page.get("/api/state", mode="review")[1].get("live") is None
