"""``usl.query``: which rows of a feature table to label next, given the labels there are."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usl.active.contract import (
    DEFAULT,
    NEEDS_MODEL,
    ORACLE,
    STRATEGIES,
    Query,
    Truth,
    Views,
    refuse_oracle,
    takes,
)
from usl.active.shared.feature_views import feature_views
from usl.core.errors import DataError, UsageError
from usl.core.methods import find_method
from usl.core.progress import Progress, silent
from usl.core.seeds import seed_number
from usl.core.words import counted
from usl.numeric.lazy_table import LazyTable, lazy_or_array
from usl.numeric.stage_cache import NOTHING, Keep
from usl.numeric.unit_rows import check_table, unit_rows
from usl.numeric.workspace import Workspace
from usl.selection.contract import METHODS
from usl.selection.select import check_budget, row_numbers, select, table_of_probabilities
from usl.training.contract import DEFAULT as LEARNER
from usl.training.models import Model
from usl.training.refit import Refit
from usl.training.told import train_probabilities

COVERAGE = "covers what no label covers yet"  # the reason of every selection method


def query(
    features: ArrayLike | LazyTable | str | os.PathLike[str],
    budget: int,
    *,
    labeled: ArrayLike,
    classes: ArrayLike,
    method: str = DEFAULT,
    predictions: ArrayLike | LazyTable | None = None,
    previous: ArrayLike | LazyTable | None = None,
    views: Views | None = None,
    learner: str | Refit = LEARNER,
    truth: Truth | None = None,
    candidates: ArrayLike | None = None,
    seed: int = 0,
    keep: Keep = NOTHING,
    progress: Progress = silent,
    **method_params: Any,
) -> Query:
    """Pick the ``budget`` rows whose labels would teach the most, after those there are.

    Parameters
    ----------
    features : float [n, d]: an array, a memory map, or the path of a source of features. Rows are
        scaled to unit length.
    budget : number of rows, 1 <= budget <= number of candidates; always met exactly.
    labeled : int [L], rows that have a label, unique, in any order.
    classes : int [L], the class number of each, from 0.
    method : a query strategy, or any selection method, which then covers what the labels do not.
    predictions : float [n, C], class probabilities by the present model. Where a strategy asks for
        them and none are given, ``learner`` is trained. A lazy table is never read as a whole.
    previous : float [n, C], those of the model before the newest labels, in the same columns; 0 for
        a class that had no label.
    views : ``views(count)`` gives so many tables like ``predictions``, one after another, by the
        same model, of random views of the rows. By default a third of the features of a row drops
        out, and ``learner`` predicts the rest (:mod:`usl.active.shared.feature_views`).
    learner : a training method on frozen features, or a :class:`usl.training.refit.Refit` of the
        same features, which serves one round after another.
    truth : what an oracle is told. No other method gets it.
    candidates : rows (numbers or mask) that may be asked for; default all without a label.
    seed : of every random draw; the same in, the same picks, whatever the thread count.
    keep : where what depends on the features alone is kept between rounds.
    progress : called as work proceeds.
    **method_params : the strategy's own parameters; an unknown one is refused.

    Raises
    ------
    DataError : tables that do not fit each other, or predictions that are no probabilities.
    UsageError : budget, method or parameters out of range; a strategy that needs a model while
        fewer than two classes have a label.
    """
    if isinstance(features, str | os.PathLike):
        from usl.data.open import open_features

        features = open_features(features)
    given = check_table(features)
    n = len(given)
    known, numbers = _labels(labeled, classes, n)
    allowed = row_numbers(candidates, n, "candidates") if candidates is not None else np.arange(n)
    allowed = np.setdiff1d(allowed, known, assume_unique=True)
    check_budget(budget, len(allowed), "row")
    seed = seed_number(seed)
    kind, module = find_method([STRATEGIES, METHODS], method)
    kind.check(method, module, method_params)
    table = unit_rows(given, Workspace(None, None), progress=progress)
    if kind is METHODS:
        found = select(
            table,
            budget,
            method=method,
            labeled=known,
            candidates=allowed,
            seed=seed,
            resume=False if keep is NOTHING else keep,
            progress=progress,
            **method_params,
        )
        return Query(found.indices, (COVERAGE,) * budget, parameters=found.parameters)
    if truth is None:
        refuse_oracle(method, module)
    trained = _Learner(table, learner, keep, seed, known, numbers)
    probabilities = _predictions(predictions, trained, numbers)
    if probabilities is None and getattr(module, NEEDS_MODEL, False):
        raise UsageError(
            f"method: {method!r} goes by what a model says, and fewer than two classes have a "
            "label. Label more first, or take a method that needs no model, such as quorum."
        )
    more: dict[str, Callable[[], Any]] = {
        "fit": lambda: trained.fit,
        "keep": lambda: keep.of(table),
        "views": lambda: _views(views, trained, probabilities),
        "previous": lambda: _previous(previous, probabilities),
        "truth": lambda: truth if getattr(module, ORACLE, False) else None,
    }
    made: Query = module.query(
        table,
        int(budget),
        labeled=known,
        classes=numbers,
        predictions=probabilities,
        candidates=allowed,
        seed=seed,
        progress=progress,
        **{name: make() for name, make in more.items() if takes(module, name)},
        **method_params,
    )
    _check_promise(made, int(budget), allowed, method)
    return made


class _Learner:
    """The learner of a query and its labels, prepared when it is first needed.

    ``several``: whether two classes have a label at least, so that it can be trained.
    """

    def __init__(
        self,
        table: Any,
        learner: str | Refit,
        keep: Keep,
        seed: int,
        labeled: NDArray[np.int64],
        classes: NDArray[np.int64],
    ) -> None:
        self._table, self._learner, self._keep, self._seed = table, learner, keep, seed
        self._classes = np.full(len(table), -1)
        self._classes[labeled] = classes
        self._model: Model | None = None
        self.several = len(np.unique(classes)) > 1

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._classes)

    def fit(self, classes: NDArray[Any], n_classes: int | None = None) -> Model:
        """The model of these labels, int64 [n], -1 where there is none."""
        if isinstance(self._learner, str):
            self._learner = Refit(self._table, self._learner, keep=self._keep.of(self._table))
        return self._learner.update(classes, n_classes=n_classes, seed=self._seed)

    def model(self, n_classes: int) -> Model:
        """That of the labels there are, which is trained once."""
        if self._model is None:
            self._model = self.fit(self._classes, n_classes)
        return self._model

    def predict(self) -> Any:
        """The probabilities of every row, float64 [n, C]."""
        return train_probabilities(self.model(int(self._classes.max()) + 1), self._table)

    def views(self, n_classes: int) -> Views:
        """What it says of views that are made of the features."""
        return feature_views(self._table, self.model(n_classes), self._seed, self._keep)


def _predictions(given: Any, trained: _Learner, classes: NDArray[np.int64]) -> Any:
    """What a model says, float64 [n, C]; None while fewer than two classes have a label."""
    if given is None:
        return trained.predict() if trained.several else None
    probabilities = table_of_probabilities(given, len(trained))
    if probabilities.shape[1] < 2:
        raise DataError("predictions: 1 class given; of a single class there is no doubt.")
    if probabilities.shape[1] <= classes.max(initial=-1):
        raise DataError(
            f"predictions: {probabilities.shape[1]} classes, but a label is of class "
            f"{classes.max()}. Give a column for each class."
        )
    return probabilities


def _previous(given: Any, now: Any) -> Any:
    """What the model before said, in the columns of the present one."""
    if given is None or now is None:
        return None
    return _as_predictions("previous", given, now)


def _views(given: Views | None, trained: _Learner, now: Any) -> Views | None:
    """What the model says of random views; None where there is none."""
    if now is None:
        return None
    if given is None:
        if not trained.several:
            raise UsageError(
                "views: none given, and fewer than two classes have a label, so that no learner "
                "can be trained to look at them. Label more first, or hand them in."
            )
        return trained.views(now.shape[1])

    def checked(count: int) -> Iterator[Any]:
        done = 0
        for table in itertools.islice(given(count), count):
            yield _as_predictions(f"views: number {done}", table, now)
            done += 1
        if done < count:
            raise DataError(f"views: {count} were asked for, but {done} given.")

    return checked


def _as_predictions(name: str, given: Any, now: Any) -> Any:
    """A table of probabilities with the rows and columns of another; :class:`DataError`."""
    table = lazy_or_array(given)
    if table.shape != now.shape:
        raise DataError(
            f"{name}: {table.shape} given; a table like predictions, {now.shape}, is needed."
        )
    return table_of_probabilities(table, len(now), name)


def _labels(
    labeled: ArrayLike, classes: ArrayLike, n: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows with a label, sorted, and their classes."""
    given, numbers = np.asarray(labeled), np.asarray(classes)
    rows = row_numbers(given, n, "labeled")
    if numbers.shape != rows.shape or (len(rows) and numbers.dtype.kind not in "iu"):
        raise DataError(
            f"classes: {numbers.dtype} {numbers.shape} given; a whole number for each of the "
            f"{counted(len(rows), 'labelled row')} is needed."
        )
    if numbers.min(initial=0) < 0:
        raise DataError(f"classes: {numbers.min()} given; class numbers run from 0.")
    order = np.arange(len(rows)) if given.dtype == bool else np.argsort(given, kind="stable")
    return rows, numbers[order].astype(np.int64)


def _check_promise(made: Query, budget: int, allowed: NDArray[Any], method: str) -> None:
    """A strategy that breaks the contract is told so, by name."""
    rows = np.asarray(made.indices)
    fine = rows.shape == (budget,) and len(np.unique(rows)) == budget
    if not fine or not np.isin(rows, allowed).all():
        raise UsageError(
            f"method: {method!r} did not return {budget} different candidates; its picks are not "
            "used."
        )
    lists = {"reasons": made.reasons or (None,) * budget, **made.figures}
    for name, values in lists.items():
        if len(values) != budget:
            raise UsageError(f"method: {method!r} returned {len(values)} {name} for {budget} rows.")
