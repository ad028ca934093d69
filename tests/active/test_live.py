"""The process that learns along, as the page's process sees it."""

from __future__ import annotations

import json
from dataclasses import asdict
from queue import SimpleQueue

from usl.active import live
from usl.labeling.page.queue import Order

LIMIT = 60.0  # seconds
ORDER = Order(("b.jpg",), {"b.jpg": ("cat", 0.75)}, 7, 5, 2, 0.5, 0.25)
CHILD = f"""
import sys
said = sys.stdin.readline()
for answer in ({json.dumps({"fault": "Odd.", "over": False})!r}, {json.dumps(asdict(ORDER))!r}):
    sys.stdin.readline()
    print(answer, flush=True)
"""


class Told:
    """A queue that keeps what it is told."""

    def __init__(self):
        self.words = SimpleQueue()
        self.take = self.words.put

    def __setattr__(self, name, value):
        if name == "fault":
            self.words.put(value)
        else:
            super().__setattr__(name, value)


def test_a_fit_that_fails_is_told_and_the_next_may_do(monkeypatch):
    monkeypatch.setattr(live, "COMMAND", CHILD)
    told = Told()
    learning = live.Learning(told, {"run": "run"})
    try:
        assert told.words.get(timeout=LIMIT) == f"{live.FAILED} Odd."
        learning.wake()
        assert told.words.get(timeout=LIMIT) == ORDER
        assert told.words.get(timeout=LIMIT) == ""
        learning.wake()  # the process has ended
        assert told.words.get(timeout=LIMIT) == live.ENDED
    finally:
        learning.close()
    assert told.words.empty()
