"""Rounds of questions: the picks, an audit (a random sample) and a check (the doubtful ones).

``labels``: the images that the split file requests, and those that were unmarked in a sweep; always
there. ``audit-1``, ``audit-2``...: drawn once, uniformly, from the train images that no person has
labelled by itself, predictions and swept labels alike; the answers stay out of the split file and
of every training, so they are an honest test of later models too. ``check-1``...: labels that the
others contradict, then the predictions that the model is least sure of; the answers become labels.
``sweep-1``: sheets of images that are predicted to be one class (:mod:`usl.labeling.sweep`).

An image is in one audit only, and audited images are in no check.
"""

from __future__ import annotations

import numpy as np

from usl.core.errors import DataError, UsageError
from usl.core.seeds import seed_number
from usl.core.words import quoted
from usl.labeling.answers.entries import AUDIT, CHECK, LABELS, Round, is_audit
from usl.labeling.answers.outcomes import OPEN, outcomes, unmarks
from usl.labeling.answers.store import Store
from usl.labeling.answers.suspicious import contradicted
from usl.labeling.answers.sync import sync
from usl.labeling.answers.sync_state import originally_requested
from usl.run.folder import Run
from usl.run.predictions import Predictions, machine_labelled
from usl.run.split import Split
from usl.run.split_csv import SWEPT


def round_images(run: Run, store: Store, name: str = LABELS) -> list[str]:
    """The images of a round in the order of asking; those answered already stay among them.

    Raises :class:`UsageError` for a round that was never drawn.
    """
    if name == LABELS:
        split, before = run.split(), originally_requested(store)
        pairs = zip(split.ids.tolist(), split.states.tolist(), strict=True)
        asked = [image for image, state in pairs if state == "requested" or image in before]
        unmarked = [one.image_id for one in store.history() if unmarks(one)]
        return list(dict.fromkeys([*asked, *unmarked]))
    return list(find_round(store, name).images)


def find_round(store: Store, name: str) -> Round:
    """A round that was drawn. Raises :class:`UsageError` where there is none of this name."""
    known = {one.name: one for one in store.rounds()}
    if name not in known:
        raise UsageError(f"round: there is no {name!r}; known are {', '.join([LABELS, *known])}.")
    return known[name]


def draw_audit(run: Run, store: Store, count: int, *, seed: int = 0) -> Round:
    """Draw predictions and swept labels uniformly at random, and keep the draw.

    Images come in random order, so whoever stops early has still a uniform sample. ``count`` is
    cut to what there is.

    Raises
    ------
    UsageError : ``count`` below 1.
    DataError : nothing is predicted yet, or every prediction is in an audit already.
    """
    seed = seed_number(seed)
    split, machine = _predictions(run, store, count)
    swept = split.ids[(split.sources == SWEPT) & (split.subsets == "train")]
    judgeable = sorted({*machine.ids.tolist(), *swept.tolist()})
    if not judgeable:
        raise DataError(f"{run.path}: a person has labelled every image; no prediction to ask of.")
    with store.transaction():
        audited = audited_images(store)
        open_ids = [name for name in judgeable if name not in audited]
        if not open_ids:
            raise DataError(
                f"{run.path}: all {len(judgeable):,} predictions are in an audit already."
            )
        order = np.random.default_rng(seed).permutation(len(open_ids))[:count]
        drawn = tuple(open_ids[row] for row in order.tolist())
        return store.add_round(Round("", AUDIT, drawn, seed=seed, population=len(open_ids)))


def draw_check(run: Run, store: Store, count: int) -> Round:
    """Take what is most doubtful, and keep the draw: labels first, then predictions.

    Up to half of the images are labels that the others contradict, the most suspicious first
    (:mod:`usl.labeling.answers.suspicious`); the rest are the predictions that the model is least
    sure of. Audited images and those that somebody has called bad or undecidable are passed over.

    Raises
    ------
    UsageError : ``count`` below 1.
    DataError : nothing is predicted yet, or nothing is left to check.
    """
    split, machine = _predictions(run, store, count)
    contradictions = [one.image_id for one in contradicted(run, split, store)]
    with store.transaction():
        audited = audited_images(store)
        answered = {name for name, one in outcomes(store.history()).items() if one.kind != OPEN}
        suspects = [name for name in contradictions if name not in audited]
        taken = suspects[: max((count + 1) // 2, count - len(machine))][:count]
        passed: list[tuple[str, int]] = []
        for row in np.argsort(machine.confidence, kind="stable").tolist():
            name = str(machine.ids[row])
            if len(taken) == count:
                break
            if name in audited:
                passed.append((name, len(taken)))
            elif name not in answered:
                taken.append(name)
        if not taken:
            raise DataError(f"{run.path}: no label and no prediction is left to check.")
        passed = [(name, place) for name, place in passed if place < len(taken)]
        population = len(machine)
        return store.add_round(
            Round("", CHECK, tuple(taken), population=population, passed=tuple(passed))
        )


def answered_images(store: Store, one: Round) -> set[str]:
    """The images of an audit or a check that have been answered in it, or elsewhere since."""
    audit = one.kind == AUDIT
    history = [entry for entry in store.history() if is_audit(entry.round) == audit]
    found = outcomes(history, audit=audit)
    since = {entry.image_id for entry in history if entry.time >= one.time and not entry.undone}
    return {name for name in one.images if name in since and found[name].kind != OPEN}


def audited_images(store: Store) -> set[str]:
    """Images of all audits."""
    return {name for one in store.rounds() if one.kind == AUDIT for name in one.images}


def _predictions(run: Run, store: Store, count: int) -> tuple[Split, Predictions]:
    """The split after a sync, and the predictions that no label has replaced."""
    if count < 1:
        raise UsageError(f"count: {count} images cannot be drawn; give at least 1.")
    split = sync(run, store)
    machine = machine_labelled(run.path, split)
    if machine is None:
        raise DataError(
            f"{run.path}: nothing is predicted yet. First: usl train {quoted(run.path)}"
        )
    return split, machine
