"""A model that follows the answers of a run, and says which images to ask for next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.active.query import query
from usl.labeling.answers.entries import LABEL
from usl.labeling.answers.outcomes import OPEN, outcomes
from usl.labeling.answers.store import Store
from usl.labeling.page.queue import Order
from usl.numeric.lazy_table import taken
from usl.numeric.stage_cache import KeepSearch
from usl.selection.contract import DEFAULT as COLD_START
from usl.training.models import Probabilities
from usl.training.open_run import Opened
from usl.training.refit import Refit

AHEAD = 24  # images of an order: more than a few people answer during a refit


@dataclass(frozen=True)
class Known:
    """What the answers amount to: labels, images that nobody need be asked, the newest entry."""

    labels: dict[str, str]
    closed: set[str]
    seen: int


class LiveModel:
    """The model of one run, fitted anew for every order.

    Only images of the train subset are learnt from and asked for. Those of an audit are asked for
    like all others: what is left of the audit then stays a random sample of what is left to the
    model.

    Parameters
    ----------
    opened : the run.
    store : its answers.
    method : the query strategy; ``learner`` the training method on frozen features.
    seed : of every random draw.
    """

    def __init__(
        self, opened: Opened, store: Store, *, method: str, learner: str, seed: int = 0
    ) -> None:
        train = opened.subsets == "train"
        rows = np.flatnonzero(train)
        self._store, self._method, self._seed = store, method, seed
        self._ids: list[str] = opened.ids[rows].tolist()
        self._row_of = {name: row for row, name in enumerate(self._ids)}
        self._features = taken(opened.space.features, rows)
        in_split = opened.split_rows()[rows]
        self._weights = opened.split.weights[in_split]
        picks = np.flatnonzero(opened.split.states[in_split] == "requested")
        self._picks = picks[np.argsort(in_split[picks])]  # the split has the best first
        self._refit = Refit(self._features, learner, keep=KeepSearch())
        self._before: tuple[list[str], NDArray[np.int64]] | None = None  # classes, and predictions
        self._learnt = 0  # labels that the last model knew

    def order(self) -> Order:
        """What to ask next, by all answers there are now."""
        known = self._known()
        given = {self._row_of[name]: label for name, label in known.labels.items()}
        rows = np.array(sorted(given), dtype=np.int64)
        names = sorted(set(given.values()))
        number = {name: place for place, name in enumerate(names)}
        classes = np.array([number[given[row]] for row in rows.tolist()], dtype=np.int64)
        is_open = np.array([name not in known.closed for name in self._ids], dtype=bool)
        is_open[rows] = False
        candidates = np.flatnonzero(is_open)
        if len(names) < 2:
            return Order(self._named(self._cold(rows, classes, candidates)), seen=known.seen)
        every = np.full(len(self._ids), -1)
        every[rows] = classes
        model = self._refit.update(every, self._weights, seed=self._seed)
        fitted = model.fitted()
        chances = model.probabilities(self._features) if fitted is None else fitted
        asked = self._asked(rows, classes, candidates, chances)
        changed = self._changed(names, chances, is_open)
        more, self._learnt = max(0, len(rows) - self._learnt), len(rows)
        estimate = getattr(model, "estimate", 0.0) or None
        if estimate is not None:
            estimate = (len(rows) + estimate * (len(every) - len(rows))) / len(every)
        likeliest = chances[asked].argmax(axis=1)
        guesses = {
            self._ids[row]: (names[best], float(chances[row, best]))
            for row, best in zip(asked.tolist(), likeliest.tolist(), strict=True)
        }
        return Order(self._named(asked), guesses, known.seen, len(rows), more, estimate, changed)

    def _known(self) -> Known:
        seen = self._store.last_id()
        found = {
            name: one
            for name, one in outcomes(self._store.history()).items()
            if name in self._row_of and one.kind != OPEN
        }
        labels = {name: str(one.label) for name, one in found.items() if one.kind == LABEL}
        return Known(labels, set(found), seen)

    def _named(self, rows: NDArray[np.int64]) -> tuple[str, ...]:
        return tuple(self._ids[row] for row in rows.tolist())

    def _asked(
        self,
        rows: NDArray[np.int64],
        classes: NDArray[np.int64],
        candidates: NDArray[np.int64],
        chances: Probabilities,
    ) -> NDArray[np.int64]:
        """The rows that the strategy wants, the most wanted first; none at the end."""
        if not len(candidates):
            return candidates
        found = query(
            self._features,
            min(AHEAD, len(candidates)),
            labeled=rows,
            classes=classes,
            method=self._method,
            predictions=chances,
            learner=self._refit,
            candidates=candidates,
            seed=self._seed,
            keep=KeepSearch(),
        )
        return found.indices

    def _cold(
        self, rows: NDArray[np.int64], classes: NDArray[np.int64], candidates: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """While fewer than two classes have a label: the run's picks, then a cold start's."""
        self._before, self._learnt = None, len(rows)
        picks = self._picks[np.isin(self._picks, candidates)]
        if len(picks) or not len(candidates):
            return picks[:AHEAD]
        found = query(
            self._features,
            min(AHEAD, len(candidates)),
            labeled=rows,
            classes=classes,
            method=COLD_START,
            candidates=candidates,
            seed=self._seed,
            keep=KeepSearch(),
        )
        return found.indices

    def _changed(
        self, names: list[str], chances: Probabilities, is_open: NDArray[np.bool_]
    ) -> float | None:
        """The share of the open images that got another class; None for the first model."""
        former, now = self._before, chances.argmax(axis=1)
        self._before = names, now
        if former is None or not is_open.any():
            return None
        present = self._store.names().present
        number: dict[Any, int] = {name: place for place, name in enumerate(names)}
        same = np.array([number.get(present(name), -1) for name in former[0]])
        return float((same[former[1][is_open]] != now[is_open]).mean())
