"""``usl next``: learn from the labels of a run, and ask for the images that would teach the most.

A round is one more selection (:mod:`usl.run.rounds`): its requests follow those that are still open
in ``split.csv``, and whatever labels images goes on with them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

from usl.active.contract import DEFAULT, STRATEGIES, refuse_oracle, takes
from usl.active.learner_round import through_learner
from usl.active.round_record import (
    named_reasons,
    plain,
    record_of,
    table_of,
    tell_changes,
)
from usl.active.state import RunState, likeliest, state_of
from usl.active.tasks import STRATEGY_KINDS, asker_of
from usl.core.errors import UsageError, did_you_mean
from usl.core.methods import find_method
from usl.core.parameters import check_value
from usl.core.progress import Progress, silent
from usl.core.seeds import seed_number
from usl.core.version import __version__
from usl.core.words import counted, verb_for
from usl.data.collection import Collection
from usl.labeling.answers.requests import RoundAddedError, request_round, withdraw_round
from usl.labeling.answers.sync import checked_split
from usl.run.before import before_table, called_of
from usl.run.folder import Run
from usl.run.rounds import SelectionRound
from usl.run.tables import ID
from usl.selection.select import check_whole
from usl.training.open_run import open_run

Seen = Literal["features", "pictures"]


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
    task: str | None = None,
    views: Seen = "features",
    seed: int = 0,
    collection: Collection | None = None,
    source: str | None = None,
    dry_run: bool = False,
    progress: Progress = silent,
    **method_params: Any,
) -> NextRound:
    """Ask for ``budget`` images more, those whose labels would teach the most after what is known.

    The default learner is trained on the labels there are, which takes seconds, or with ``task`` a
    network on the images; the run's models stay as they are. While fewer than two classes have a
    label, the default goes on as the first selection began. Images that are labelled, called bad or
    undecidable, in an audit, or were asked for before are never asked for again.

    Parameters
    ----------
    run : run folder.
    budget : how many images more you are willing to label.
    method : how to pick: a query strategy, or any selection method, which then covers what the
        labels do not.
    class_ : a class that you want more of, such as a rare one: asks for the images likeliest to be
        of it, the surest first, no near-duplicates. In place of a method.
    task : train a network on the images, and ask through it. The task is what it learns: a method
        of usl train that trains one, such as supervised, mixmatch or fixmatch; llal, mcdal,
        revival, tod or vaal, made for the strategies of these names; or ``own``, the one that the
        method was published with. Options of the training: --task NAME --help.
    views : what a strategy that looks at random views of an image sees: its ``features``, of which
        a third drops out, or views of the ``pictures``, cropped, mirrored and in other light. Each
        of these takes as long as encoding all images, once. With a task they are of pictures.
    seed : of every random draw; the same labels and the same seed give the same picks.
    collection : the images, where they live in memory.
    source : where the images are now, if they have moved.
    dry_run : say what would be asked for, and change nothing.
    **method_params : the method's own parameters; with a task those of the training, too, which a
        name belongs to that both have.

    Raises
    ------
    UsageError : a budget above what is left, an unknown method, parameter or class; a method that
        needs a model while fewer than two classes have a label.
    DataError : no run, or images that changed since the selection.
    """
    seed = seed_number(seed)
    if task is None:
        check_method(method, class_, method_params)
    else:
        check_task(method, task, class_, method_params)
    check_views(method, views)
    check_whole(budget)
    run = run if isinstance(run, Run) else Run.open(run)
    opened = open_run(run, collection=collection, source=source, progress=progress)
    while True:
        since = [one.number for one in run.rounds()]
        state = state_of(opened)
        check_budget(state, budget)
        if class_ is not None:
            check_class(state, class_)
        if task is None:
            chosen = through_learner(
                opened, state, budget, method, class_, views, seed, progress, method_params
            )
        else:
            from usl.active.network_round import through_network

            chosen = through_network(
                opened, state, budget, method, task, seed, progress, method_params, dry_run=dry_run
            )
        called, sure = likeliest(state, chosen.said)
        before = before_table(state.ids, called, sure, state.human)
        info = {
            "method": chosen.method,
            **({} if class_ is None else {"class": class_}),
            "budget": int(budget),
            "seed": seed,
            "parameters": plain(chosen.query.parameters),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "version": __version__,
            **record_of(state, chosen.said, called_of(before)),
            **({} if chosen.network is None else {"network": plain(chosen.network)}),
            "passed": [[str(state.ids[row]), place] for row, place in chosen.passed],
        }
        table = table_of(state, chosen.query, called, sure)
        reasons = named_reasons(chosen.query.reasons, state.names)
        asked = NextRound(run, None, table[ID].to_pylist(), reasons, info)
        tell_changes(run, state, chosen.said, info)
        if dry_run:
            return asked
        try:
            made = request_round(run, table, info, before=before, since=since, files=chosen.files)
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
    kind, module = find_method(STRATEGY_KINDS, method)
    if class_ is not None and (method != DEFAULT or params):
        raise UsageError(
            "class: it says how to pick by itself. Leave the method out, or the class."
        )
    refuse_oracle(method, module)
    kind.check(method, module, params)


def check_task(method: str, task: str, class_: str | None, params: dict[str, Any]) -> None:
    """UsageError for a network that cannot be asked through, as far as it can be told at once."""
    asker = asker_of(method, task)
    if class_ is not None:
        raise UsageError("class: it goes by the default learner. Leave the task out, or the class.")
    own, training = asker.divided(params)
    asker.check(own)
    of_task = asker.kind.parameters(asker.module)
    asker.kind.check(
        asker.task,
        asker.module,
        {name: value for name, value in training.items() if name in of_task},
    )


def check_views(method: str, views: str) -> None:
    """UsageError for views of pictures where the method looks at none."""
    check_value("views", views, Seen)
    if views == "features":
        return
    kind, module = find_method(STRATEGY_KINDS, method)
    if not (kind is STRATEGIES and takes(module, "views")):
        raise UsageError(f"views: {method!r} does not look at views. Leave it out.")


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
