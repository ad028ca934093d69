"""A model that follows the answers of a run, and says which images to ask for next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.active.query import query
from usl.active.shared.feature_views import feature_views
from usl.labeling.answers.entries import LABEL, SKIP, Answer
from usl.labeling.answers.outcomes import OPEN, current, outcomes
from usl.labeling.answers.store import Store
from usl.labeling.page.queue import Order
from usl.numeric.lazy_table import taken
from usl.numeric.stage_cache import KeepSearch
from usl.run.excluded import read_excluded
from usl.selection.contract import DEFAULT as COLD_START
from usl.training.labels import numbered
from usl.training.models import Model, Probabilities
from usl.training.open_run import Opened, searched_width
from usl.training.refit import Refit
from usl.training.shared.few_classes import FewClasses, renumbered
from usl.training.told import most_probable, train_probabilities

AHEAD = 24  # images of an order: more than a few people answer during a refit


@dataclass(frozen=True)
class Fitted:
    """A ``model`` of some labels.

    ``given`` the label of each labelled row, ``names`` the classes, ``chances`` float64 [n, C] of
    all rows, an array or a table of the likeliest classes, ``estimate`` the model's own guess at
    its accuracy, None without one; ``more`` and ``changed`` as of :class:`Order`; ``previous``, as
    ``chances``, what the model before said, None without one.
    """

    model: Model
    given: dict[int, str]
    names: list[str]
    chances: Probabilities | FewClasses
    estimate: float | None
    more: int
    changed: float | None
    previous: Probabilities | FewClasses | None = None


class LiveModel:
    """The model of one run, fitted anew for every order.

    Only images of the train subset are learnt from and asked for, and no label of weight 0 counts.
    Those of an audit are asked for like all others: what is left of the audit then stays a random
    sample of what is left to the model. What the selection excluded is not asked for.

    Parameters
    ----------
    opened : the run.
    store : its answers.
    method : the query strategy; ``learner`` the training method on frozen features.
    seed : of every random draw.
    whole : guess the class of every image, not only of those that are asked for.
    skipped_last : ask for what somebody has skipped only when nothing else is left.
    """

    def __init__(
        self,
        opened: Opened,
        store: Store,
        *,
        method: str,
        learner: str,
        seed: int = 0,
        whole: bool = False,
        skipped_last: bool = False,
    ) -> None:
        train = opened.subsets == "train"
        rows = np.flatnonzero(train)
        self._store, self._method, self._seed = store, method, seed
        self._whole, self._skipped_last = whole, skipped_last
        self._ids: list[str] = opened.ids[rows].tolist()
        self._row_of = {name: row for row, name in enumerate(self._ids)}
        self._features = taken(opened.space.features, rows)
        in_split = opened.split_rows()[rows]
        self._weights = opened.split.weights[in_split]
        picks = np.flatnonzero(opened.split.states[in_split] == "requested")
        self._picks = picks[np.argsort(in_split[picks])]  # the split has the best first
        self._barred = np.isin(self._ids, sorted(read_excluded(opened.run.path)))
        self._refit = Refit(
            self._features, learner, keep=KeepSearch(), searched=searched_width(opened.run)
        )
        self._fitted: Fitted | None = None

    def order(self) -> Order:
        """What to ask next, by all answers there are now."""
        seen = self._store.last_id()
        history = self._store.history()
        answers = outcomes(history)
        given: dict[int, str] = {}
        is_open = np.ones(len(self._ids), dtype=bool)
        for name, one in answers.items():
            row = self._row_of.get(name)
            if row is not None and one.kind != OPEN:
                is_open[row] = False
                if one.kind == LABEL and self._weights[row] > 0:
                    given[row] = str(one.label)
        rows = np.array(sorted(given), dtype=np.int64)
        names, classes = numbered([given[row] for row in rows.tolist()])
        candidates = self._candidates(is_open, history)
        if len(names) < 2:
            self._fitted = None
            return Order(self._named(self._cold(rows, classes, candidates)), seen=seen)
        if self._fitted is None or self._fitted.given != given:
            self._fitted = self._fit(given, names, rows, classes, is_open)
        fitted = self._fitted
        asked = self._asked(self._method, rows, classes, candidates, fitted)
        told = np.arange(len(self._ids)) if self._whole else asked
        best, sure = most_probable(fitted.chances, told)
        guesses = {
            self._ids[row]: (names[number], round(chance, 4))
            for row, number, chance in zip(told.tolist(), best.tolist(), sure.tolist(), strict=True)
        }
        estimate = fitted.estimate
        if estimate is not None:  # a person's label counts as right
            estimate = (len(rows) + estimate * (len(self._ids) - len(rows))) / len(self._ids)
        return Order(
            self._named(asked), guesses, seen, len(rows), fitted.more, estimate, fitted.changed
        )

    def _candidates(
        self, is_open: NDArray[np.bool_], history: Sequence[Answer]
    ) -> NDArray[np.int64]:
        """The rows that may be asked for."""
        free = is_open & ~self._barred
        if self._skipped_last:
            skipped = {one.image_id for one in current(history).values() if one.kind == SKIP}
            fresh = free & ~np.isin(self._ids, sorted(skipped))
            free = fresh if fresh.any() else free
        return np.flatnonzero(free)

    def _fit(
        self,
        given: dict[int, str],
        names: list[str],
        rows: NDArray[np.int64],
        classes: NDArray[np.int64],
        is_open: NDArray[np.bool_],
    ) -> Fitted:
        """The model of these labels, compared with the one before."""
        every = np.full(len(self._ids), -1)
        every[rows] = classes
        model = self._refit.update(every, self._weights, seed=self._seed)
        chances = train_probabilities(model, self._features)
        estimate = getattr(model, "estimate", 0.0) or None
        before = self._fitted
        if before is None:
            return Fitted(model, given, names, chances, estimate, len(rows), None)
        present = self._store.names().present  # a class may have another name by now
        number: dict[Any, int] = {name: place for place, name in enumerate(names)}
        same = np.array([number.get(present(name), -1) for name in before.names])
        open_rows = np.flatnonzero(is_open)
        was, now = (most_probable(one, open_rows)[0] for one in (before.chances, chances))
        changed = float((same[was] != now).mean()) if len(open_rows) else None
        more = len(given.keys() - before.given.keys())
        previous = renumbered(before.chances, same, len(names))
        return Fitted(model, given, names, chances, estimate, more, changed, previous)

    def _named(self, rows: NDArray[np.int64]) -> tuple[str, ...]:
        return tuple(self._ids[row] for row in rows.tolist())

    def _asked(
        self,
        method: str,
        rows: NDArray[np.int64],
        classes: NDArray[np.int64],
        candidates: NDArray[np.int64],
        fitted: Fitted | None = None,
    ) -> NDArray[np.int64]:
        """The rows that a strategy wants, the most wanted first; none at the end."""
        if not len(candidates):
            return candidates
        said: dict[str, Any] = {}
        if fitted is not None:
            views = feature_views(self._features, fitted.model, self._seed, KeepSearch())
            said = {"predictions": fitted.chances, "previous": fitted.previous, "views": views}
        found = query(
            self._features,
            min(AHEAD, len(candidates)),
            labeled=rows,
            classes=classes,
            method=method,
            **said,
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
        picks = self._picks[np.isin(self._picks, candidates)]
        return picks[:AHEAD] if len(picks) else self._asked(COLD_START, rows, classes, candidates)
