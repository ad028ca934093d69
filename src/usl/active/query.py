"""``usl.query``: which rows of a feature table to label next, given the labels there are."""

from __future__ import annotations

import inspect
import os
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usl.active.contract import DEFAULT, NEEDS_MODEL, STRATEGIES, Query
from usl.core.errors import DataError, UsageError
from usl.core.methods import find_method
from usl.core.progress import Progress, silent
from usl.core.seeds import seed_number
from usl.core.words import counted
from usl.numeric.lazy_table import LazyTable
from usl.numeric.stage_cache import NOTHING, Keep
from usl.numeric.unit_rows import check_table, unit_rows
from usl.numeric.workspace import Workspace
from usl.selection.contract import METHODS
from usl.selection.select import check_budget, row_numbers, select, table_of_probabilities
from usl.training.contract import DEFAULT as LEARNER
from usl.training.models import Model, train_probabilities
from usl.training.refit import Refit

COVERAGE = "covers what no label covers yet"  # the reason of every selection method


def query(
    features: ArrayLike | LazyTable | str | os.PathLike[str],
    budget: int,
    *,
    labeled: ArrayLike,
    classes: ArrayLike,
    method: str = DEFAULT,
    predictions: ArrayLike | None = None,
    learner: str | Refit = LEARNER,
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
        them and none are given, ``learner`` is trained.
    learner : a training method on frozen features, or a :class:`usl.training.refit.Refit` of the
        same features, which serves one round after another.
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
    asked = inspect.signature(module.query).parameters
    trained = _Learner(table, learner, keep, seed)
    several = len(np.unique(numbers)) > 1
    if predictions is not None:
        probabilities = table_of_probabilities(predictions, n)
        if probabilities.shape[1] < 2:
            raise DataError("predictions: 1 class given; of a single class there is no doubt.")
        if probabilities.shape[1] <= numbers.max(initial=-1):
            raise DataError(
                f"predictions: {probabilities.shape[1]} classes, but a label is of class "
                f"{numbers.max()}. Give a column for each class."
            )
    elif several:
        probabilities = trained.predict(known, numbers)
    else:
        probabilities = None
    if probabilities is None and getattr(module, NEEDS_MODEL, False):
        raise UsageError(
            f"method: {method!r} goes by what a model says, and fewer than two classes have a "
            "label. Label more first, or take a method that needs no model, such as quorum."
        )
    if "fit" in asked:
        method_params["fit"] = trained.fit
    if "keep" in asked:
        method_params["keep"] = keep.of(table)
    made: Query = module.query(
        table,
        int(budget),
        labeled=known,
        classes=numbers,
        predictions=probabilities,
        candidates=allowed,
        seed=seed,
        progress=progress,
        **method_params,
    )
    _check_promise(made, int(budget), allowed, method)
    return made


class _Learner:
    """The learner of a query, prepared when it is first needed."""

    def __init__(self, table: Any, learner: str | Refit, keep: Keep, seed: int) -> None:
        self._table, self._learner, self._keep, self._seed = table, learner, keep, seed

    def fit(self, classes: NDArray[Any]) -> Model:
        """The model of these labels, int64 [n], -1 where there is none."""
        if isinstance(self._learner, str):
            self._learner = Refit(self._table, self._learner, keep=self._keep.of(self._table))
        return self._learner.update(classes, seed=self._seed)

    def predict(
        self, labeled: NDArray[np.int64], classes: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """The probabilities of every row, float64 [n, C]."""
        every = np.full(len(self._table), -1)
        every[labeled] = classes
        return train_probabilities(self.fit(every), self._table)


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
