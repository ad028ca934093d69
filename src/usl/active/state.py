"""What is known of a run between two rounds: its labels, what is asked for, what may be asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.progress import Progress, expect
from usl.labeling.answers.outcomes import OPEN, outcomes
from usl.labeling.answers.rounds import audited_images
from usl.labeling.answers.store import Store, store_path
from usl.numeric.arrays import Float32
from usl.numeric.lazy_table import taken
from usl.numeric.stage_cache import KeepSearch
from usl.run.excluded import read_excluded
from usl.run.folder import Run
from usl.run.split_csv import by_people
from usl.training.contract import DEFAULT as LEARNER
from usl.training.contract import FROZEN
from usl.training.labels import numbered
from usl.training.models import Model, Probabilities
from usl.training.open_run import Opened, searched_width
from usl.training.refit import Refit
from usl.training.shared.few_classes import FewClasses
from usl.training.stages import frozen_stages
from usl.training.told import most_probable, train_probabilities


@dataclass(frozen=True, eq=False)
class RunState:
    """The train images of a run that can be read, n of them, and what is known of each.

    Attributes
    ----------
    run : the run.
    features : float32 [n, d], in the run's space.
    ids : str [n].
    names : the C classes that have a label, sorted.
    labeled, classes, weights : int64 [L] sorted rows with a label, their class numbers, and
        float64 [L] their weights, above 0.
    human : bool [n], whether it is one of these and a person gave the label.
    open : int64 [o], rows that are requested and have no answer yet.
    candidates : int64 [c], rows that may be asked for: without a label, in no audit, not excluded
        by the selection, and not picked or answered in any way before.
    audited : int64 [a], rows that could be asked for, were they in no audit.
    """

    run: Run
    features: Float32
    ids: NDArray[np.str_]
    names: list[str]
    labeled: NDArray[np.int64]
    classes: NDArray[np.int64]
    weights: NDArray[np.float64]
    human: NDArray[np.bool_]
    open: NDArray[np.int64]
    candidates: NDArray[np.int64]
    audited: NDArray[np.int64]

    def counts(self) -> dict[str, int]:
        """How many labels each class has."""
        found = np.bincount(self.classes, minlength=len(self.names))
        return dict(zip(self.names, found.tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class Said:
    """What a learner of the labels of a state says, and how right it thinks that is.

    ``learner`` is its name; ``probabilities`` float64 [n, C], an array or a table of the likeliest
    classes; ``estimate`` None where it has none.
    """

    learner: str
    probabilities: Probabilities | FewClasses
    estimate: float | None = None


@dataclass(frozen=True, eq=False)
class Learned(Said):
    """The same of a ``model`` on the features, whose learner can learn other labels: ``refit``."""

    model: Model = field(kw_only=True)
    refit: Refit = field(kw_only=True)


def state_of(opened: Opened) -> RunState:
    """The state of an opened run, as its split, its store and its earlier rounds say."""
    points = np.flatnonzero(opened.subsets == "train")
    rows, split = opened.split_rows()[points], opened.split
    ids, states = opened.ids[points], split.states[rows]
    usable = (states == "labeled") & (split.weights[rows] > 0)
    names, classes = numbered(split.labels[rows][usable].tolist())
    barred, audited = _barred(opened.run)
    free = (states == "unlabeled") & ~np.isin(ids, sorted(barred))
    judged = np.isin(ids, sorted(audited))
    return RunState(
        run=opened.run,
        features=taken(opened.space.features, points),
        ids=ids,
        names=names,
        labeled=np.flatnonzero(usable),
        classes=classes,
        weights=split.weights[rows][usable],
        human=usable & by_people(split.sources[rows]),
        open=np.flatnonzero(states == "requested"),
        candidates=np.flatnonzero(free & ~judged),
        audited=np.flatnonzero(free & judged),
    )


def _barred(run: Run) -> tuple[set[str], set[str]]:
    """Images that are never asked for: excluded, picked, answered, in dispute; and the audited."""
    found = read_excluded(run.path) | {name for one in run.rounds() for name in one.ids()}
    audited: set[str] = set()
    if store_path(run.path).is_file():
        with Store.open(run.path) as store:
            audited = audited_images(store)
            said = outcomes(store.history())
        found |= {name for name, one in said.items() if one.kind != OPEN}
    return found, audited


def learn(state: RunState, *, seed: int, progress: Progress) -> Learned | None:
    """Train the default learner; None while fewer than two classes have a label."""
    if len(state.names) < 2:
        return None
    module = FROZEN.load(LEARNER)
    n, width = state.features.shape
    expect(progress, *frozen_stages(module, LEARNER, n, 0, width, len(state.names)))
    refit = Refit(
        state.features,
        LEARNER,
        keep=KeepSearch().of(state.features),
        searched=searched_width(state.run),
        progress=progress,
    )
    model = refit.update(*every(state), len(state.names), seed=seed, progress=progress)
    said = train_probabilities(model, state.features)
    return Learned(LEARNER, said, getattr(model, "estimate", 0.0) or None, model=model, refit=refit)


def said_before(
    state: RunState, learned: Learned, *, seed: int
) -> Probabilities | FewClasses | None:
    """What the learner would say without the labels of the newest round that has any, [n, C].

    None where only the first selection has labels, or those before it are of fewer than two
    classes.
    """
    classes, weights = every(state)
    for one in reversed(state.run.rounds()[1:]):
        newest = np.isin(state.ids, one.ids()) & (classes >= 0)
        if newest.any():
            classes[newest] = -1
            break
    else:
        return None
    if len(np.unique(classes[classes >= 0])) < 2:
        return None
    model = learned.refit.update(classes, weights, len(state.names), seed=seed)
    return train_probabilities(model, state.features)


def every(state: RunState) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The class number of every row, int64 [n], -1 without a label, and the weights [n]."""
    classes, weights = np.full(len(state.ids), -1), np.ones(len(state.ids))
    classes[state.labeled], weights[state.labeled] = state.classes, state.weights
    return classes, weights


def likeliest(state: RunState, learned: Said | None) -> tuple[list[Any], NDArray[np.float64]]:
    """What every row is called, None where nothing is known, and how sure that is, NaN likewise."""
    n = len(state.ids)
    called, sure = np.full(n, None, dtype=object), np.full(n, np.nan)
    names = np.array(state.names, dtype=object)
    if learned is not None:
        best, sure = most_probable(learned.probabilities)
        called = names[best]
    called[state.labeled], sure[state.labeled] = names[state.classes], 1.0
    return called.tolist(), sure
