"""Ask through a network that is trained on the images: which of them to label next.

The strategies of the literature see a network that is trained anew on all labels in every round.
:func:`query_network` trains it, looks at every picture with it, and asks a strategy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from usl.active.contract import DEFAULT, Query
from usl.active.outputs import Outputs
from usl.active.passed_over import Passed, pick_past
from usl.active.query import query
from usl.active.tasks import OWN, STRATEGY_KINDS, Asker, asker_of
from usl.core.errors import DataError, UsageError
from usl.core.methods import find_method
from usl.core.progress import Progress, silent
from usl.core.seeds import seed_number
from usl.learning.hardware import Hardware
from usl.learning.loop_options import LoopOptions
from usl.learning.pictures import Pictures
from usl.numeric.arrays import Float32, Rows, Values
from usl.selection.contract import METHODS
from usl.selection.select import check_budget, row_numbers, table_of_probabilities
from usl.training.models import Probabilities
from usl.training.shared.student import Student
from usl.training.train_network import Examples, Place, Trained, train_network

HEAD = "logistic"  # the learner of a strategy that wants to learn other labels: the last layer


@dataclass(frozen=True, eq=False)
class NetworkQuery:
    """What a network asks for, and what it says of the n pictures.

    Attributes
    ----------
    query : rows of the examples, with their reasons and figures.
    features : float32 [n, d], of the layer before the last, rows of unit length; 0 where a picture
        cannot be read.
    predictions : float64 [n, C]; all classes alike where a picture cannot be read.
    trained : the network, written where the place said, and its last layer. ``parameters`` are the
        settings of the training.
    task : what it learned.
    passed : audited rows that were passed over: :func:`usl.active.passed_over.pick_past`.
    """

    query: Query
    features: Float32
    predictions: Probabilities
    trained: Trained
    task: str
    passed: Passed


def query_network(
    examples: Examples,
    budget: int,
    *,
    class_names: list[str],
    place: Place,
    method: str = DEFAULT,
    task: str = OWN,
    candidates: ArrayLike | None = None,
    audited: ArrayLike = (),
    pending: ArrayLike = (),
    previous: ArrayLike | None = None,
    seed: int = 0,
    params: Mapping[str, Any] = MappingProxyType({}),
    progress: Progress = silent,
    **training: Any,
) -> NetworkQuery:
    """Train a network on the examples, and pick the ``budget`` pictures it should learn next.

    A training that was stopped goes on with ``resume``, to the same network and the same picks
    (same machine, same number of threads).

    Parameters
    ----------
    examples : n pictures and the labels there are.
    budget : number of pictures, 1 <= budget <= number of candidates that can be read.
    class_names : the C classes by number; two of them have a label at least.
    place : where the training writes.
    method : a query strategy, or a selection method, which covers what the labels do not.
    task : what the network learns: a method of ``usl train`` that trains one, or of
        ``active/networks``; ``own`` is the one that the strategy was published with.
    candidates : rows (numbers or mask) that may be asked for; default all without a label.
    audited : rows of an audit, which are passed over.
    pending : rows that are asked for already; a selection method takes them for covered.
    previous : float [n, C], what the network of the round before said.
    params : the strategy's own parameters.
    **training : of the task, and of :func:`usl.training.train_network.train_network`.

    Raises
    ------
    UsageError : budget, method, task or parameters out of range; fewer than two classes.
    DataError : tables that do not fit each other; no picture of a label can be read.
    TrainingFailedError : a loss that is not finite; the last checkpoint is kept.
    """
    seed = seed_number(seed)
    asker = asker_of(method, task)
    asker.check(dict(params))
    if training.get("last_epochs"):
        raise UsageError("last_epochs: of a network that asks only the last weights are kept.")
    n = len(examples.ids)
    check_two_classes(examples.classes)
    free = np.arange(n) if candidates is None else row_numbers(candidates, n, "candidates")
    free = free[examples.classes[free] < 0]
    check_budget(budget, len(free), "row")
    before = None if previous is None else _previous(previous, n, len(class_names))
    trained = train_network(
        asker.module,
        asker.task,
        examples,
        class_names,
        place,
        seed=seed,
        progress=progress,
        kind=asker.kind,
        look=_Question(
            asker,
            examples,
            len(class_names),
            budget,
            free,
            np.asarray(audited, dtype=np.int64),
            np.asarray(pending, dtype=np.int64),
            before,
            seed,
            params,
            LoopOptions.taken_from(training)[0].hardware,
            progress,
        ),
        **{**training, "last_epochs": 0},
    )
    made, passed, features, predictions = trained.seen
    trained = replace(trained, seen=None)
    return NetworkQuery(made, features, predictions, trained, asker.task, passed)


@dataclass(frozen=True, eq=False)
class _Question:
    """What a finished network is asked: the parameters of :func:`query_network`, checked.

    ``free`` : the candidates without a label.
    """

    asker: Asker
    examples: Examples
    n_classes: int
    budget: int
    free: Rows
    audited: Rows
    pending: Rows
    previous: Probabilities | None
    seed: int
    params: Mapping[str, Any]
    hardware: Hardware
    progress: Progress

    def __call__(
        self, task: Student, pictures: Pictures
    ) -> tuple[Query, Passed, Float32, Probabilities]:
        """The picks, what was passed over, and features and predictions of all n pictures."""
        device = self.hardware.fabric().device
        outputs = Outputs(task, pictures, device, self.seed, self.progress)
        seen, said = outputs.seen()
        read, n = pictures.rows, len(self.examples.ids)
        features = np.zeros((n, seen.shape[1]), np.float32)
        predictions = np.full((n, self.n_classes), 1 / self.n_classes)
        features[read], predictions[read] = seen, said
        allowed, barred = (
            np.flatnonzero(np.isin(read, rows)) for rows in (self.free, self.audited)
        )
        check_budget(self.budget, len(allowed), "picture")
        pick = partial(self._pick, outputs, seen, said)
        made, passed = pick_past(pick, self.budget, allowed, barred)
        passed = [(int(read[row]), place) for row, place in passed]
        return replace(made, indices=read[made.indices]), passed, features, predictions

    def _pick(
        self,
        outputs: Outputs,
        features: Float32,
        predictions: Probabilities,
        budget: int,
        candidates: Rows,
    ) -> Query:
        """Pick of the candidates, by the task itself or by the strategy; rows of the pictures."""
        if self.asker.by_itself:
            return most_wanted(outputs.wanted(), budget, candidates, self.asker.module)
        read = outputs.pictures.rows
        known = self.examples.classes[read]
        labeled = np.flatnonzero(known >= 0)
        classes = known[labeled]
        if find_method(STRATEGY_KINDS, self.asker.method)[0] is METHODS:
            labeled = np.union1d(labeled, np.flatnonzero(np.isin(read, self.pending)))
            classes = np.zeros(len(labeled), np.int64)  # coverage does not look at them
        return query(
            features,
            budget,
            labeled=labeled,
            classes=classes,
            method=self.asker.method,
            predictions=predictions,
            learner=HEAD,
            candidates=candidates,
            views=outputs.views,
            previous=None if self.previous is None else self.previous[read],
            seed=self.seed,
            progress=self.progress,
            **self.params,
        )


def most_wanted(wanted: Values, budget: int, candidates: Rows, task: ModuleType) -> Query:
    """Ask for the ``budget`` candidates that a task wants the most, of equal ones the lower row.

    Parameters
    ----------
    wanted : [n]; candidates : sorted rows.
    """
    first = candidates[np.argsort(-wanted[candidates], kind="stable")[:budget]]
    return Query(first, (task.REASON,) * budget, {task.FIGURE: wanted[first]})


def check_two_classes(classes: Rows) -> None:
    """UsageError where fewer than two classes have a label, -1 being none."""
    if len(np.unique(classes[classes >= 0])) < 2:
        raise UsageError(
            "task: a network learns from two classes at least, and fewer have a label. Label more "
            "first, or leave the task out."
        )


def _previous(given: ArrayLike, n: int, count: int) -> Probabilities:
    """What a network said before, float64 [n, C], checked."""
    found: Probabilities = table_of_probabilities(np.asarray(given), n)
    if found.shape[1] != count:
        raise DataError(f"previous: {found.shape[1]} classes, but there are {count} by now.")
    return found
