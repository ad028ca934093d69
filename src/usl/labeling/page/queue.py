"""The queue of a live round: what each annotator is asked next, one image in nobody's two hands.

Whoever learns from the answers (:mod:`usl.active.live`) puts the images into a new order whenever
it can; nobody waits for that. An annotator has a few images in hand: the one on show, and the next,
whose pictures are fetched already. They are reserved, so that no two people are asked the same. All
but the one on show are exchanged for better ones as soon as a newer order is there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from usl.labeling.answers.answered import Answered
from usl.labeling.answers.entries import Round
from usl.labeling.answers.store import Store

HAND = 3  # images that an annotator has in hand
PATIENCE = 60.0  # seconds after which the images of somebody who is not heard of any more are free
GRACE = 5.0  # seconds in which nobody else gets an image that was put back: it may be on its way


@dataclass(frozen=True)
class Order:
    """What to ask next, by a model of the answers that there are.

    Attributes
    ----------
    images : ids, the most wanted first; only the first few, a newer order follows.
    guesses : for each of them, or for all images there are, the likeliest class and its
        probability; none without a model.
    seen : number of the newest entry of the store that it knows.
    labels : how many labels the model has learnt from; 0 without one.
    more : how many of these the model before had not.
    estimate : share of all labels, people's and the model's, that are right by its own estimate.
    changed : share of the predictions that have another class than by the model before.
    """

    images: tuple[str, ...] = ()
    guesses: dict[str, tuple[str, float]] = field(default_factory=dict)
    seen: int = -1
    labels: int = 0
    more: int = 0
    estimate: float | None = None
    changed: float | None = None


class Queue:
    """The queue of one server, for all its annotators.

    Parameters
    ----------
    store : where the answers are.
    round : the live round.
    first : ids of all images that may be asked for, in the order that holds until there is a model.
    suggest : whether the page shows the model's class.
    wake : called when there is something to learn from.
    clock : seconds, from any start.
    """

    def __init__(
        self,
        store: Store,
        round: Round,
        first: Sequence[str],
        *,
        suggest: bool = False,
        wake: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.round, self.suggest, self.wake = round, suggest, wake
        self.fault = ""  # why there is no newer order
        self._first, self._clock = first, clock
        self._answered = Answered(store)
        self._order = Order()
        self._guesses: dict[str, tuple[str, float]] = {}
        self._held: dict[str, tuple[str, float]] = {}  # by image: whose it is, and until when
        self._lock = threading.Lock()

    def deal(self, annotator: str, showing: str = "") -> list[str]:
        """The images in an annotator's hand, in the order of asking; at the end of all none.

        ``showing`` is the one on their screen. It stays theirs unless somebody else has it.
        """
        with self._lock:
            if self._answered.follow():
                self.wake()
            now = self._clock()
            self._held = {name: one for name, one in self._held.items() if one[1] > now}
            hand: list[str] = []
            for image in chain([showing] if showing else [], self._order.images, self._first):
                if len(hand) == HAND:
                    break
                if image not in hand and self._is_free(image, annotator):
                    hand.append(image)
            for image, (whose, until) in self._held.items():
                if whose == annotator:
                    self._held[image] = (whose, min(until, now + GRACE))
            self._held |= dict.fromkeys(hand, (annotator, now + PATIENCE))
            return hand

    def _is_free(self, image: str, annotator: str) -> bool:
        whose = self._held.get(image, (annotator, 0.0))[0]
        done = self._answered.is_answered(image) or self._answered.has_skipped(image, annotator)
        return whose == annotator and not done

    def take(self, order: Order) -> None:
        """Go on with a newer order."""
        with self._lock:
            in_hand = {name: one for name, one in self._guesses.items() if name in self._held}
            self._order, self._guesses = order, in_hand | order.guesses

    def guess(self, image: str) -> tuple[str, float] | None:
        """The model's class of an image and its probability, where the page may show it."""
        return self._guesses.get(image) if self.suggest else None

    def status(self) -> dict[str, Any]:
        """What the page says of the model."""
        order = self._order
        return {
            "learning": not self.fault and order.seen < self._answered.last,
            "labels": order.labels,
            "more": order.more,
            "estimate": order.estimate,
            "changed": order.changed,
            "fault": self.fault,
        }
