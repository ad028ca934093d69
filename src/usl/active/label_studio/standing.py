"""Where every image stands: what the model takes it for, and when it is wanted, as a score.

Label Studio knows one number per prediction, the score, and both of its orders go by it: the
sampling *Uncertainty sampling* serves the task with the lowest one, and the data manager sorts by
it. So the score says when an image is wanted, the lowest first, and no probability:

- below 0.1 are the tasks that come next, where this server may write into Label Studio
  (:mod:`usl.active.label_studio.shown`);
- from 0.1 the images of the newest order;
- from 0.2 all others by the model's confidence, the least sure first; before there is a model as
  the run would ask for them;
- at 1 what has an answer, or is not to be asked for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from usl.active.live_model import AHEAD
from usl.labeling.answers.answered import Answered
from usl.labeling.answers.store import Store
from usl.labeling.page.queue import Order

NEXT = 10  # images that are kept in order
ORDERED, OTHERS, LAST = (
    0.1,
    0.2,
    1.0,
)  # the least scores of an order, of others, and of what is done


@dataclass(frozen=True)
class Stand:
    """``label`` and ``sure``: the model's class and its probability; ``score``: when it is wanted.

    ``label`` is None without a model, and for images that it does not know.
    """

    label: str | None
    sure: float
    score: float


class Standing:
    """The newest order, and what it says of every image.

    Parameters
    ----------
    store : where the answers are.
    first : ids of all images that may be asked for, in the order that holds until there is a model.

    Attributes
    ----------
    taken : called after every newer order; where there is none, with the reason.
    """

    def __init__(self, store: Store, first: Sequence[str]) -> None:
        self.taken: Callable[[str], None] = lambda fault: None
        self._first = {image: place for place, image in enumerate(first)}
        self._answered = Answered(store)
        self._order = Order()
        self._places: dict[str, int] = {}
        self._lock = threading.Lock()
        self._fault = ""

    @property
    def fault(self) -> str:
        """Why there is no newer order."""
        return self._fault

    @fault.setter
    def fault(self, fault: str) -> None:
        if fault and fault != self._fault:
            self.taken(fault)
        self._fault = fault

    def take(self, order: Order) -> None:
        """Go on with a newer order."""
        with self._lock:
            self._order = order
            self._places = {image: place for place, image in enumerate(order.images[:AHEAD])}
        self.taken("")

    def follow(self) -> bool:
        """Take in what is new in the store; whether there was anything."""
        with self._lock:
            return self._answered.follow()

    def wanted(self) -> list[str]:
        """The images that come next: nobody has answered them, the most wanted first."""
        with self._lock:
            return [one for one in self._places if not self._answered.is_answered(one)][:NEXT]

    def of(self, image: str | None) -> Stand:
        """Where an image stands; None is one that the run does not have."""
        with self._lock:
            label, sure = self._order.guesses.get(image or "", (None, 0.0))
            return Stand(label, sure, self._score(image, label, sure))

    def _score(self, image: str | None, label: str | None, sure: float) -> float:
        place = self._first.get(image or "")
        if image is None or place is None or self._answered.is_answered(image):
            return LAST
        if image in self._places:
            share = self._places[image] / AHEAD
            return round(ORDERED + (OTHERS - ORDERED) * share, 4)
        rest = sure if label is not None else place / len(self._first)
        return round(OTHERS + (LAST - OTHERS) * min(rest, 0.999), 4)
