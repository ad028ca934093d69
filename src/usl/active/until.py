"""``usl next RUN --until 0.95``: is the whole collection that right, and if not, what next?

The verdict is that of the audits alone (:mod:`usl.active.looks`); what is cheapest next, and how
long it takes, follows from the model's calibrated confidences (:mod:`usl.active.advice`). Nothing
of the run is changed but ``until.json``, which counts the looks.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.active.advice import SWEEP, Advice, Standing, advise
from usl.active.forecast import errors_after, exponent_between
from usl.active.looks import Look, quantile
from usl.active.pace import Pace
from usl.core.errors import DataError, UsageError
from usl.core.words import quoted
from usl.labeling.answers.audit import accuracy_of_collection
from usl.labeling.answers.entries import LABEL, is_swept
from usl.labeling.answers.outcomes import outcomes
from usl.labeling.answers.store import Store, store_path
from usl.labeling.answers.sync import sync
from usl.run.folder import Run
from usl.run.identity import writing
from usl.run.models import active_model
from usl.run.predictions import Predictions, machine_labelled
from usl.run.split import Split
from usl.run.split_csv import SWEPT
from usl.run.until_record import read_until, write_until

POINTS = 33  # of a kept curve
RECENT = 5  # rounds whose exponents count
KNOWN_SWEPT = 20.0  # swept labels that count as found right before an audit judges any


@dataclass(frozen=True, eq=False)
class Until:
    """What ``usl.until`` says of a run.

    Attributes
    ----------
    run : the run.
    advice : verdict, next step and forecast (:class:`usl.active.advice.Advice`).
    audit : what all audits so far say of the present labels, with the usual 95% interval
        (:func:`usl.labeling.answers.audit.accuracy_of_collection`); None before the first.
    ids : the images of the next step, the ones to begin with first; none of an audit.
    classes : of a sweep, how many of them the model calls what, most first.
    below : of a sweep, the confidence from which on nothing needs to be looked at; else None.
    new_labels : labels of people since the model was trained.
    """

    run: Run
    advice: Advice
    audit: dict[str, Any] | None = field(repr=False)
    ids: list[str] = field(repr=False)
    classes: dict[str, int]
    below: float | None
    new_labels: int


def until(run: Run | str | os.PathLike[str], target: float) -> Until:
    """Say whether a share ``target`` of all labels is right, and what is the cheapest next step.

    A look at a finished audit is spent once: the same state is told again for nothing, and after
    more labels a new audit is needed for a new verdict.

    Parameters
    ----------
    run : run folder, trained.
    target : share of right labels to reach in the whole train subset, such as 0.95.

    Raises
    ------
    UsageError : a target that is no share between 0 and 1.
    DataError : no run, nothing predicted yet, or ``until.json`` cannot be read.
    """
    check_target(target)
    run = run if isinstance(run, Run) else Run.open(run)
    with Store.open(run.path) if store_path(run.path).is_file() else nullcontext() as store:
        split = sync(run, store)
        machine = machine_labelled(run.path, split)
        if machine is None:
            raise DataError(
                f"{run.path}: nothing is predicted yet. First: usl train {quoted(run.path)}"
            )
        return _told(run, split, store, machine, target)


def check_target(target: float) -> None:
    """UsageError for what is no share strictly between 0 and 1."""
    if isinstance(target, bool) or not isinstance(target, int | float | np.number):
        raise UsageError(f"until: {target!r} given; it must be a number, such as 0.95.")
    if not 0 < target < 1:
        percent = f" Did you mean {target / 100:g}?" if 1 < target < 100 else ""
        raise UsageError(
            f"until: {target:g} given; it must be a share between 0 and 1, such as 0.95.{percent}"
        )


def _told(
    run: Run, split: Split, store: Store | None, machine: Predictions, target: float
) -> Until:
    train = split.subsets == "train"
    labeled = int((train & (split.sources == "human")).sum())
    swept = int((train & (split.sources == SWEPT)).sum())
    model = active_model(run.path)
    state = [labeled, swept, None if model is None else str(model.info.get("stamp"))]
    looks, rounds = read_until(run.path)
    audit = None if store is None else accuracy_of_collection(run, split, store, machine)
    look = None
    if store is not None and audit is not None:
        look = _look(run, split, store, machine, audit, looks, state)
    sure, right, swept_right = _judged(split, store, machine)
    standing = Standing(
        confidence=machine.confidence,
        labeled=labeled,
        swept=swept,
        judged_confidence=sure,
        judged_right=right,
        judged=0 if audit is None else audit["judged"] + audit["passed"],
        waiting=0 if audit is None else audit["pending"],
        looks=len(looks),
        look=look,
        swept_right=swept_right,
        exponents=_exponents(rounds),
        pace=_pace(store),
    )
    advice = advise(standing, target)
    rounds = _with_round(rounds, state, labeled + swept, 1 - advice.right)
    with writing(run.path, run.identity):
        write_until(run.path, looks, rounds)
    called = machine.labels[advice.places].tolist()
    return Until(
        run=run,
        advice=advice,
        audit=audit,
        ids=machine.ids[advice.places].tolist(),
        classes=dict(Counter(called).most_common()) if advice.step == SWEEP else {},
        below=_below(machine.confidence[advice.places]) if advice.step == SWEEP else None,
        new_labels=0 if model is None else max(0, labeled + swept - _trained_on(model.info)),
    )


def _below(sure: NDArray[np.float64]) -> float:
    """The least confidence in thousandths that is above all of these."""
    return min(1.0, float(np.floor(1_000 * sure.max()) + 1) / 1_000)


def _look(
    run: Run,
    split: Split,
    store: Store,
    machine: Predictions,
    audit: dict[str, Any],
    looks: list[dict[str, Any]],
    state: list[Any],
) -> Look | None:
    """The look at the present state, None where there is none.

    It is a new one, appended to ``looks``, where an audit is new and finished; else the former one,
    if nothing has changed since.
    """
    last = looks[-1] if looks else None
    finished = not audit["pending"] and audit["judged"]
    if finished and set(audit["rounds"]) - set(last["audits"] if last else ()):
        z = quantile(len(looks) + 1)
        found = accuracy_of_collection(run, split, store, machine, z=z)
        assert found is not None
        whole = {name: found["collection"][name] for name in ("accuracy", "low", "high")}
        last = {"number": len(looks) + 1, "audits": audit["rounds"], "state": state}
        last |= {"judged": audit["judged"] + audit["passed"], **whole}
        looks.append(last)
    if last is None or last["state"] != state:
        return None
    return Look(*(last[name] for name in ("number", "judged", "accuracy", "low", "high")))


def _judged(
    split: Split, store: Store | None, machine: Predictions
) -> tuple[NDArray[np.float64], NDArray[np.bool_], float]:
    """Confidence and rightness of the judged predictions; the share of right swept labels."""
    if store is None:
        return np.empty(0), np.empty(0, dtype=bool), 1.0
    names = store.names()
    said = {
        image: one.label
        for image, one in outcomes(store.history(), audit=True).items()
        if one.kind == LABEL
    }
    rows = [row for row, name in enumerate(machine.ids.tolist()) if name in said]
    right = [said[machine.ids[row]] == names.present(machine.labels[row]) for row in rows]
    swept = np.flatnonzero((split.sources == SWEPT) & (split.subsets == "train"))
    hits = [
        said[name] == label
        for name, label in zip(split.ids[swept].tolist(), split.labels[swept], strict=True)
        if name in said
    ]
    share = (KNOWN_SWEPT + sum(hits)) / (KNOWN_SWEPT + len(hits))
    return machine.confidence[rows], np.array(right, dtype=bool), share


def _pace(store: Store | None) -> Pace:
    """The person's pace, by the answers to single images."""
    history = [] if store is None else store.history()
    single = [one for one in history if one.kind == LABEL and not is_swept(one.round)]
    return Pace().of_answers(one.seconds for one in single)


def _exponents(rounds: list[dict[str, Any]]) -> tuple[float, ...]:
    """What each round before the present one showed of the learning curve."""
    found = []
    for before, after in pairwise(rounds):
        more = after["labels"] - before["labels"]
        without = float(np.interp(more, before["more"], before["errors"]))
        seen = exponent_between(without, before["labels"], more, after["errors"][0])
        if seen is not None:
            found.append(seen)
    return tuple(found[-RECENT:])


def _with_round(
    rounds: list[dict[str, Any]], state: list[Any], people: int, wrong: NDArray[np.float64]
) -> list[dict[str, Any]]:
    """The rounds with the present one; of one training, the newest state counts."""
    more = np.unique(np.linspace(0, len(wrong), POINTS).astype(np.int64))
    errors = errors_after(wrong, max(1, people), more, 0.0)
    one = {"model": state[-1], "labels": people, "more": more.tolist()}
    one["errors"] = np.round(errors, 3).tolist()
    return [*(known for known in rounds if known["model"] != state[-1]), one]


def _trained_on(info: dict[str, Any]) -> int:
    """Labels of people that a model was trained on; all that there are where that is not known."""
    found = info.get("labels")
    return found if isinstance(found, int) else 2**62
