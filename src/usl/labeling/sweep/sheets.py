"""Sheets of images that are predicted to be one class, the surest first, and who has which.

A sheet holds train images that nobody has answered, that the split file does not request, and that
nobody has taken out of an earlier sheet. Audited ones are among them: an audit judges swept labels
as it judges predictions.

Of the classes that comes first whose next sheet promises most labels: the sum of the model's
confidence over its images. A class is gone on with until another promises a tenth more, for each
change of class has to be taken in. Images of which the model is less than half sure are on no sheet
but of a class that a person has chosen: there is more to unmark than to confirm.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError
from usl.labeling.answers.called_now import predictions_now
from usl.labeling.answers.outcomes import OPEN
from usl.labeling.answers.rounds import round_images
from usl.labeling.page.page_state import PageState
from usl.labeling.sweep.said import Said
from usl.run.predictions import Predictions, training_stamp

Rows = NDArray[np.int64]
MORE = 1.1  # times as many labels, to leave a class for another
PATIENCE = 60.0  # seconds that a sheet is kept for a page that is not heard of
EVEN = 0.5  # confidence from which on a glance is worth it: most are right


@dataclass(frozen=True)
class Sheet:
    """Images of one predicted class: their ``rows`` in the listing, how sure the model is of each.

    ``left`` is how many more of the class there are; ``label`` is empty where nothing is left.
    """

    label: str
    rows: Rows
    confidence: NDArray[np.float64]
    left: int


class Sheets:
    """What there is to sweep of a run, and which images are on whose screen.

    Parameters
    ----------
    state : of the page.
    clock : seconds that only go up.
    """

    def __init__(self, state: PageState, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.state, self.said = state, Said(state.store)
        self._clock = clock
        self._held: dict[str, tuple[float, Rows]] = {}  # by page: when it was heard of, its images
        self._model = ""
        self.lock = threading.RLock()  # to be taken before a transaction of the store
        self.fault = ""  # why there are no predictions

    def follow(self) -> None:
        """Take in what is new: answers, and the predictions of a later training."""
        with self.lock:
            rows = self.state.listing.rows
            names = self.state.store.names().revision
            model = f"{training_stamp(self.state.run.path)}-{names}"
            touched = self.said.follow()
            if model != self._model:
                self._read()
                self._model = model
                touched |= self.said.images()
            for image in touched & rows.keys():
                done = self.said.outcome(image).kind != OPEN or self.said.unmarked(image)
                self._free[rows[image]] = not done

    def _read(self) -> None:
        """The predictions, by class and the surest first."""
        listing, n = self.state.listing, len(self.state.listing.ids)
        self._free = np.ones(n, dtype=bool)
        self._surest: dict[str, Rows] = {}
        self._confidence = np.full(n, np.nan)
        self.fault, found = "", None
        try:
            found = predictions_now(self.state.run.path, self.state.store.names())
        except DataError as error:
            self.fault = str(error)
        if found is None:
            return
        found = found.aligned(listing.rows, n)
        self._confidence = found.confidence
        asked = set(round_images(self.state.run, self.state.store))
        pool = _predicted(found) & np.array([name not in asked for name in listing.ids], dtype=bool)
        pool &= self.state.collection.subsets == "train"
        if self.state.below is not None:
            pool &= self._confidence < self.state.below
        rows = np.flatnonzero(pool)
        rows = rows[np.lexsort((rows, -self._confidence[rows]))]
        labels = found.labels[rows]
        self._surest = {name: rows[labels == name] for name in dict.fromkeys(labels.tolist())}

    def classes(self) -> list[dict[str, object]]:
        """The predicted classes, ``name`` and how many are ``left``, the largest first."""
        with self.lock:
            self.follow()
            left = {name: int(self._free[rows].sum()) for name, rows in self._surest.items()}
            order = sorted(left, key=lambda name: (-left[name], name))
            return [{"name": name, "left": left[name]} for name in order]

    def next(
        self,
        page: str,
        size: int,
        *,
        label: str | None = None,
        after: str = "",
        without: Collection[str] = (),
    ) -> Sheet:
        """The next sheet for a page, whose last one is given back; the images are kept for it.

        Parameters
        ----------
        page : the page's own word for itself.
        size : how many images it has room for.
        label : of this class alone, however unsure.
        after : the class of the last sheet, to be gone on with while it is worth it.
        without : classes that are not wanted now.
        """
        with self.lock:
            self.follow()
            self._held.pop(page, None)
            free = self._free & ~self._others()
            if label is None:
                free &= self._confidence >= EVEN
            offered = {
                name: rows[free[rows]][:size]
                for name, rows in self._surest.items()
                if (name not in without if label is None else name == label)
            }
            chosen = most_promising(offered, self._confidence, after)
            if not chosen:
                return Sheet("", np.empty(0, dtype=np.int64), np.empty(0), 0)
            rows = offered[chosen]
            self._held[page] = self._clock(), rows
            left = int(self._free[self._surest[chosen]].sum()) - len(rows)
            return Sheet(chosen, rows, self._confidence[rows], left)

    def coming(self, label: str, size: int) -> list[int]:
        """Rows of the sheet after the one that was just given out, as far as can be told."""
        with self.lock:
            rows = self._surest.get(label, np.empty(0, dtype=np.int64))
            free = self._free & ~self._others()
            return [int(row) for row in rows[free[rows]][:size]]

    def done_by(self, annotator: str) -> tuple[int, float, list[str]]:
        """How many labels an annotator has swept, in how many seconds, and what is unmarked.

        The unmarked images are those that wait for a label, in order.
        """
        with self.lock:
            self.follow()
            return *self.said.pace(annotator), self.said.waiting(annotator)

    @property
    def population(self) -> int:
        """How many images are predicted and not requested, swept or not."""
        return sum(len(rows) for rows in self._surest.values())

    def heard_of(self, page: str) -> None:
        """Keep the sheet of a page that is still there."""
        with self.lock:
            if page in self._held:
                self._held[page] = self._clock(), self._held[page][1]

    def _others(self) -> NDArray[np.bool_]:
        """Images on the screens of pages that are still there, bool [n]."""
        now = self._clock()
        self._held = {
            page: (heard, rows)
            for page, (heard, rows) in self._held.items()
            if now - heard <= PATIENCE
        }
        taken = np.zeros(len(self._free), dtype=bool)
        for _, rows in self._held.values():
            taken[rows] = True
        return taken


def most_promising(sheets: Mapping[str, Rows], confidence: NDArray[np.float64], after: str) -> str:
    """The class whose sheet promises most labels, or ``after`` while that is nearly as good.

    Parameters
    ----------
    sheets : rows of the next sheet by class; empty ones count for nothing.
    confidence : float64 [n], of the prediction of each row.
    """
    gain = {name: float(confidence[rows].sum()) for name, rows in sheets.items() if len(rows)}
    best = min(gain, key=lambda name: (-gain[name], name), default="")
    return after if after in gain and gain[after] * MORE >= gain[best] else best


def _predicted(found: Predictions) -> NDArray[np.bool_]:
    """Which images have a label that the model gave, with a confidence."""
    named = np.array([label is not None for label in found.labels.tolist()], dtype=bool)
    return np.asarray(found.own & named & np.isfinite(found.confidence), dtype=bool)
