"""A round of ``usl next`` that asks through the default learner, on the features of the run."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import DEFAULT, Query, Views, takes
from usl.active.likely import likely
from usl.active.passed_over import pick_past
from usl.active.picture_views import picture_views
from usl.active.query import query
from usl.active.round_record import Chosen
from usl.active.shared.feature_views import feature_views
from usl.active.state import Learned, RunState, learn, said_before
from usl.active.tasks import STRATEGY_KINDS
from usl.core.methods import find_method
from usl.core.progress import Progress
from usl.numeric.stage_cache import KeepSearch
from usl.selection.contract import DEFAULT as COLD_START
from usl.selection.contract import METHODS
from usl.training.contract import DEFAULT as LEARNER
from usl.training.open_run import Opened

LIKELY = "likely"  # what the record calls the way to pick of a class


def through_learner(
    opened: Opened,
    state: RunState,
    budget: int,
    method: str,
    class_: str | None,
    views: str,
    seed: int,
    progress: Progress,
    params: dict[str, Any],
) -> Chosen:
    """Train the default learner on the labels of a run, and pick by what it says.

    ``class_`` is a class that more is wanted of, in place of a method; ``views`` says what a method
    that looks at views sees, features or pictures.
    """
    learned = learn(state, seed=seed, progress=progress)
    if class_ is not None and learned is not None:
        used, pick = LIKELY, partial(_likely, state, learned, class_)
    else:
        used = _method_for(method, learned)
        seen = None
        if learned is not None and views == "pictures":
            seen = picture_views(opened, learned.model, progress)
        elif learned is not None:
            seen = feature_views(state.features, learned.model, seed, KeepSearch())
        pick = partial(_query, state, learned, used, seen, seed, progress, params)
    return Chosen(used, learned, *pick_past(pick, int(budget), state.candidates, state.audited))


def _likely(
    state: RunState, learned: Learned, class_: str, budget: int, candidates: NDArray[np.int64]
) -> Query:
    """The images likeliest to be of a class, by its name."""
    return likely(
        state.features,
        budget,
        wanted=state.names.index(class_),
        labeled=state.labeled,
        predictions=learned.probabilities,
        candidates=candidates,
    )


def _method_for(method: str, learned: Learned | None) -> str:
    """The method to pick by: while there is no model, the default goes on as a selection began.

    To a selection method open requests count as covered, to a query strategy they do not.
    """
    return COLD_START if learned is None and method == DEFAULT else method


def _query(
    state: RunState,
    learned: Learned | None,
    method: str,
    views: Views | None,
    seed: int,
    progress: Progress,
    params: dict[str, Any],
    budget: int,
    candidates: NDArray[np.int64],
) -> Query:
    """Pick by a strategy, or by a selection method, to which open requests count as covered."""
    labeled, classes = state.labeled, state.classes
    kind, module = find_method(STRATEGY_KINDS, method)
    previous = None
    if kind is METHODS:
        labeled = np.sort(np.concatenate([labeled, state.open]))
        classes = np.zeros(len(labeled), dtype=np.int64)  # coverage does not look at them
    elif learned is not None and takes(module, "previous"):
        previous = said_before(state, learned, seed=seed)
    return query(
        state.features,
        budget,
        labeled=labeled,
        classes=classes,
        method=method,
        predictions=None if learned is None else learned.probabilities,
        previous=previous,
        views=views,
        learner=LEARNER if learned is None else learned.refit,
        candidates=candidates,
        seed=seed,
        keep=KeepSearch(),
        progress=progress,
        **params,
    )
