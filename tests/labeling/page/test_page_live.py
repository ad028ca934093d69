"""``usl label --live`` as processes: the page's, and the one that learns."""

from __future__ import annotations

import json
import os
import select
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest
from page_run import answer
from test_page_server import ask, sign_in, signed

from usl.active.live import ENDED, check_live, label_live
from usl.core.errors import UsageError
from usl.labeling.answers.store import Store
from usl.run.folder import Run

LIMIT = 60.0  # seconds


class Person:
    """Somebody at a live page."""

    def __init__(self, server, name):
        self.server, self.cookie = server, sign_in(server)
        self.stamp = {**signed(server, self.cookie, f"/?as={name}"), "as": name}
        self.count = 0

    def look(self, path="/api/changes"):
        address = f"{path}?{urlencode(self.stamp)}"
        return json.loads(ask(self.server, "GET", address, cookie=self.cookie)[1])

    def say(self, ref, label):
        """Answer for an image; the hand that is dealt, once the answer is acknowledged."""
        self.count += 1
        one = answer(f"{self.stamp['as']}{self.count:07}", [ref], label)
        body = {**self.stamp, "operations": [one]}
        told = json.loads(ask(self.server, "POST", "/api/operations", body, self.cookie)[1])
        assert told["done"] == [one["key"]]
        return told["live"]["hand"]

    def wait(self, wanted):
        """What the page says of the model, once it is ``wanted``."""
        deadline = time.monotonic() + LIMIT
        while not wanted(live := self.look()["live"]):
            assert time.monotonic() < deadline, live
            time.sleep(0.05)
        return live


def learner_of(server):
    """The process that learns for a server."""
    pid = server.process.pid
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def ended(process):
    """Wait until a process has ended, which need not be a child of this one."""
    watched = os.pidfd_open(process)
    try:
        return bool(select.select([watched], [], [], LIMIT)[0])
    finally:
        os.close(watched)


def test_killed_while_the_model_learns_no_answer_is_lost(served, path):
    server = served(live=True, classes=["cat", "dog"])
    anna, ben = Person(server, "anna"), Person(server, "ben")
    said = {}
    for one in (anna, ben):
        hand = one.look("/api/state")["live"]["hand"]
        for turn in range(4):
            assert hand[0] not in said
            said[hand[0]] = ("cat", "dog")[turn % 2]
            hand = one.say(hand[0], said[hand[0]])
    learner = learner_of(server)
    server.kill()
    with Store.open(path) as store:
        kept = {one.image_id: one.label for one in store.history() if one.round == "live-1"}
    assert kept == {ref.partition("/")[2]: label for ref, label in said.items()}
    assert ended(learner)
    # the next start goes on, and its page takes what the former one could not send
    server.start()
    again = Person(server, "anna")
    assert again.stamp == anna.stamp
    assert len(again.look("/api/state")["answers"]) == 4
    live = again.wait(lambda live: live["labels"] == 8)
    assert not set(live["hand"]) & set(said)
    again.count = 4
    again.say(live["hand"][0], "dog")
    assert again.wait(lambda live: live["labels"] == 9)["more"] == 1
    os.kill(learner_of(server), 9)
    again.say(again.look()["live"]["hand"][0], "cat")  # people go on
    assert again.wait(lambda live: live["fault"])["fault"] == ENDED
    told = server.stop()
    assert "10 images answered live." in told
    assert f"usl label {path} --live\n" in told
    assert f"Next: usl train {path}" in told
    assert int((Run.open(path).split().sources == "human").sum()) == 10


def test_what_goes_with_a_live_session_alone(path):
    with pytest.raises(UsageError, match=r"suggest: goes with --live"):
        check_live(False, {"suggest": True})
    with pytest.raises(UsageError, match="one at a time"):
        label_live(path, check=5)
    with pytest.raises(UsageError, match=r"Unknown method 'nope'.*margin"):
        label_live(path, method="nope")
    with pytest.raises(UsageError, match=r"Unknown method 'fixmatch'"):
        label_live(path, learner="fixmatch")
    assert not (path / "labels.sqlite").exists()
