"""Where every image stands: what the model takes it for, and when it is wanted, as a score.

Label Studio knows one number per prediction, the score, and both of its orders go by it: the
sampling *Uncertainty sampling* serves the task with the lowest one, and the data manager sorts by
it. So the score says when an image is wanted, the lowest first, and no probability:

- the images of the newest order have the lowest scores, below those of every order before, so that
  a new order holds as soon as its own scores are there;
- all others follow by the model's confidence, the least sure first; before there is a model as the
  run would ask for them;
- what has an answer, or is not to be asked for, comes last.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from usl.active.live_model import AHEAD
from usl.labeling.answers.answered import Answered
from usl.labeling.answers.store import Store
from usl.labeling.page.queue import Order

WANTED, LAST = 0.1, 1.0  # scores below the first are of an order; the second is of what is done
LEVELS = 1_000  # orders until the scores of an order begin at the top again


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
        self._order, self._level = Order(), LEVELS
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
            if order.images != self._order.images:
                self._level = self._level - 1 if self._level > 0 else LEVELS - 1
            self._order = order
            self._places = {image: place for place, image in enumerate(order.images[:AHEAD])}
        self.taken("")

    def follow(self) -> bool:
        """Take in what is new in the store; whether there was anything."""
        with self._lock:
            return self._answered.follow()

    def wanted(self) -> list[str]:
        """The images of the newest order that nobody has answered, the most wanted first."""
        with self._lock:
            return [one for one in self._places if not self._answered.is_answered(one)]

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
            return WANTED * (self._level * AHEAD + self._places[image]) / (LEVELS * AHEAD)
        rest = sure if label is not None else place / len(self._first)
        return round(WANTED + (LAST - WANTED) * min(rest, 0.999), 4)
