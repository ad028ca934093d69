"""``usl next``: learn from the labels of a run, and ask for the images that would teach the most.

A round is one more selection (:mod:`usl.run.rounds`): its requests follow those that are still open
in ``split.csv``, and whatever labels images goes on with them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import DEFAULT, STRATEGIES, Query, refuse_oracle, takes
from usl.active.likely import likely
from usl.active.passed_over import pick_past
from usl.active.query import query
from usl.active.round_record import named_reasons, plain, record_of, table_of, tell_changes
from usl.active.state import Learned, RunState, learn, likeliest, said_before, state_of
from usl.core.errors import UsageError, did_you_mean
from usl.core.methods import find_method
from usl.core.progress import Progress, silent
from usl.core.seeds import seed_number
from usl.core.version import __version__
from usl.core.words import counted, verb_for
from usl.data.collection import Collection
from usl.labeling.answers.requests import RoundAddedError, request_round, withdraw_round
from usl.labeling.answers.sync import checked_split
from usl.numeric.stage_cache import KeepSearch
from usl.run.before import before_table, called_of
from usl.run.folder import Run
from usl.run.rounds import SelectionRound
from usl.run.tables import ID
from usl.selection.contract import DEFAULT as COLD_START
from usl.selection.contract import METHODS
from usl.selection.select import check_whole
from usl.training.contract import DEFAULT as LEARNER
from usl.training.open_run import open_run

KINDS = [STRATEGIES, METHODS]
LIKELY = "likely"  # what the record calls the way to pick of a class


@dataclass(frozen=True, eq=False)
class NextRound:
    """What a round asks for, and why.

    Attributes
    ----------
    run : the run.
    number : of the round; None where it was only planned.
    ids : the images, the most wanted first.
    reasons : why, one each; empty where all have the same.
    info : the record of the round: method, budget, seed, parameters, what was known before it
        (``labels``, ``classes``, ``open`` requests, the learner's own ``estimate`` of its accuracy,
        how many images it ``predicted`` as each class) and what has changed ``since`` the round
        before (:func:`usl.run.before.changes`; None for the first).
    """

    run: Run
    number: int | None
    ids: list[str]
    reasons: list[str]
    info: dict[str, Any] = field(repr=False)


def next_round(
    run: Run | str | os.PathLike[str],
    budget: int,
    *,
    method: str = DEFAULT,
    class_: str | None = None,
    seed: int = 0,
    collection: Collection | None = None,
    source: str | None = None,
    dry_run: bool = False,
    progress: Progress = silent,
    **method_params: Any,
) -> NextRound:
    """Ask for ``budget`` images more, those whose labels would teach the most after what is known.

    The default learner is trained on the labels there are, which takes seconds; the run's models
    stay as they are. While fewer than two classes have a label, the default goes on as the first
    selection began. Images that are labelled, called bad or undecidable, in an audit, or were asked
    for before are never asked for again.

    Parameters
    ----------
    run : run folder.
    budget : how many images more you are willing to label.
    method : how to pick: a query strategy, or any selection method, which then covers what the
        labels do not.
    class_ : a class that you want more of, such as a rare one: asks for the images likeliest to be
        of it, the surest first, no near-duplicates. In place of a method.
    seed : of every random draw; the same labels and the same seed give the same picks.
    collection : the images, where they live in memory.
    source : where the images are now, if they have moved.
    dry_run : say what would be asked for, and change nothing.
    **method_params : the method's own parameters.

    Raises
    ------
    UsageError : a budget above what is left, an unknown method, parameter or class; a method that
        needs a model while fewer than two classes have a label.
    DataError : no run, or images that changed since the selection.
    """
    seed = seed_number(seed)
    check_method(method, class_, method_params)
    check_whole(budget)
    run = run if isinstance(run, Run) else Run.open(run)
    opened = open_run(run, collection=collection, source=source, progress=progress)
    while True:
        since = [one.number for one in run.rounds()]
        state = state_of(opened)
        check_budget(state, budget)
        if class_ is not None:
            check_class(state, class_)
        learned = learn(state, seed=seed, progress=progress)
        if class_ is not None and learned is not None:
            used, pick = LIKELY, partial(_likely, state, learned, class_)
        else:
            used = _method_for(method, learned)
            pick = partial(_query, state, learned, used, seed, progress, method_params)
        found, passed = pick_past(pick, int(budget), state.candidates, state.audited)
        called, sure = likeliest(state, learned)
        before = before_table(state.ids, called, sure, state.human)
        info = {
            "method": used,
            **({} if class_ is None else {"class": class_}),
            "budget": int(budget),
            "seed": seed,
            "parameters": plain(found.parameters),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "version": __version__,
            **record_of(state, learned, called_of(before)),
            "passed": [[str(state.ids[row]), place] for row, place in passed],
        }
        table = table_of(state, found, called, sure)
        asked = NextRound(
            run, None, table[ID].to_pylist(), named_reasons(found.reasons, state.names), info
        )
        tell_changes(run, state, learned, info)
        if dry_run:
            return asked
        try:
            made = request_round(run, table, info, before=before, since=since)
        except RoundAddedError:  # by another command: what it asks for is not asked for twice
            opened = replace(opened, split=checked_split(run, opened.collection))
            continue
        return replace(asked, number=made.number)


def undo_round(run: Run | str | os.PathLike[str]) -> SelectionRound:
    """Take the last round back, while none of its images is answered.

    Parameters
    ----------
    run : run folder.

    Raises
    ------
    UsageError : there is no round after the first selection, or somebody has answered.
    """
    return withdraw_round(run if isinstance(run, Run) else Run.open(run))


def check_method(method: str, class_: str | None, params: dict[str, Any]) -> None:
    """UsageError for a method, or a class beside one, that can be refused at once."""
    kind, module = find_method(KINDS, method)
    if class_ is not None and (method != DEFAULT or params):
        raise UsageError(
            "class: it says how to pick by itself. Leave the method out, or the class."
        )
    refuse_oracle(method, module)
    kind.check(method, module, params)


def check_budget(state: RunState, budget: int) -> None:
    """UsageError for a budget that the images left cannot meet."""
    left = len(state.candidates)
    if left and 1 <= budget <= left:
        return
    n, labels, waiting = len(state.ids), len(state.labeled), len(state.open)
    said = (
        f"of {counted(n, 'train image')} {labels:,} {verb_for(labels, 'has', 'have')} a label, "
        f"{waiting:,} {verb_for(waiting, 'is', 'are')} asked for, and the rest were answered "
        "otherwise, are in an audit or excluded"
    )
    if not left:
        raise UsageError(f"budget: nothing is left to ask for: {said}.")
    raise UsageError(
        f"budget: {budget} given, but {counted(left, 'image')} {verb_for(left, 'is', 'are')} left "
        f"to ask for ({said}); it must be between 1 and {left}."
    )


def check_class(state: RunState, name: str) -> None:
    """UsageError for a class that no label has, or that is the only one."""
    if name not in state.names:
        known = f"labelled are {', '.join(state.names)}" if state.names else "nothing is labelled"
        raise UsageError(
            f"class: no image is labelled {name!r}; {known}. Label one or two of it first: usl "
            f"look shows the whole collection.{did_you_mean(name, state.names)}"
        )
    if len(state.names) < 2:
        raise UsageError(
            f"class: {name!r} is the only class with a label, so nothing tells it from others. "
            "Label an image of another class first."
        )


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
    seed: int,
    progress: Progress,
    params: dict[str, Any],
    budget: int,
    candidates: NDArray[np.int64],
) -> Query:
    """Pick by a strategy, or by a selection method, to which open requests count as covered."""
    labeled, classes = state.labeled, state.classes
    kind, module = find_method(KINDS, method)
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
        learner=LEARNER if learned is None else learned.refit,
        candidates=candidates,
        seed=seed,
        keep=KeepSearch(),
        progress=progress,
        **params,
    )
