"""Estimate the accuracy of the whole labelled collection from an audit of predictions.

The audited images are a uniform sample of the predictions, and people judged them without seeing
what the model said: the share on which both agree estimates the accuracy of all predictions.
People's own labels count as right; swept labels, which a person has confirmed at a glance, do not:
the audit judges them as it judges predictions.

One thing can spoil the sample. A check takes the most doubtful predictions and makes labels of
them, as a round of ``usl next`` does, but leaves audited images alone; afterwards the audit holds
more doubtful images than what is left to the model. Those that were passed over therefore speak for
themselves only, and the others for all the rest (a stratified estimate).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from usl.labeling.answers.entries import AUDIT, CHECK, LABEL
from usl.labeling.answers.outcomes import CONFLICT, OPEN, outcomes
from usl.labeling.answers.store import Store
from usl.run.folder import Run
from usl.run.predictions import Predictions, machine_labelled
from usl.run.split import Split
from usl.run.split_csv import SWEPT

Z95 = 1.959963984540054  # the standard normal quantile of 0.975
COUNTS = (
    "judged",
    "right",
    "unclear",
    "pending",
    "labeled",
    "passed",
    "passed_right",
    "gone",
)
ENOUGH = 10  # judged predictions of a class, to say something about that class


def wilson(right: float, n: int, *, z: float = Z95) -> tuple[float, float]:
    """The score interval of a share, 95% by default (Wilson, JASA 22, 1927).

    ``(low, high)`` solve ``|right / n - p| = z sqrt(p (1 - p) / n)``; (0, 1) without observations.
    """
    if n == 0:
        return 0.0, 1.0
    share, weight = right / n, z * z / n
    middle = (share + weight / 2) / (1 + weight)
    reach = z * math.sqrt(share * (1 - share) / n + weight / (4 * n)) / (1 + weight)
    low = 0.0 if right == 0 else max(0.0, middle - reach)
    high = 1.0 if right == n else min(1.0, middle + reach)
    return low, high


def accuracy_of_collection(
    run: Run,
    split: Split,
    store: Store,
    machine: Predictions | None = None,
    *,
    z: float = Z95,
) -> dict[str, Any] | None:
    """What the audits say of the run's present predictions; None without audit or predictions.

    Parameters
    ----------
    split : the run's split, after a sync.
    machine : the predictions, if they have been read already.
    z : how wide the intervals are: 95% by default, more where one looks again and again.

    Returns
    -------
    Counts: ``asked`` images of all audits; of them ``judged`` (and ``right``), ``unclear`` (called
    bad or undecidable, or in dispute), ``pending``, ``labeled`` (a person's label since),
    ``passed`` (and ``passed_right``: judged, but speaking for themselves only) and ``gone``
    (without a prediction now).

    ``machine``: ``n`` predictions (and ``swept`` labels, which are judged alike), ``accuracy``,
    ``low``, ``high``; ``collection``: the same of all ``n`` labels, ``human`` of them a person's;
    ``worst``: of the collection if all unclear were wrong. ``classes``: per predicted class
    ``label``, ``n``, ``precision``, ``low``, ``high`` where 10 or more were judged. ``wrong``:
    ``image_id``, ``predicted``, ``answer``. Shares are None
    while nothing is judged.
    """
    audits = [one for one in store.rounds() if one.kind == AUDIT]
    machine = machine_labelled(run.path, split) if machine is None else machine
    if not audits or machine is None:
        return None
    names = store.names()  # a class may have been renamed since the training
    labels = [names.present(label) for label in machine.labels.tolist()]
    predicted = dict(zip(machine.ids.tolist(), labels, strict=True))
    people, swept = (
        (split.sources == source) & (split.subsets == "train") for source in ("human", SWEPT)
    )
    predicted |= zip(split.ids[swept].tolist(), split.labels[swept].tolist(), strict=True)
    human = set(split.ids[people].tolist())
    passed = _passed_over(run, store, human)
    found = outcomes(store.history(), audit=True)
    count: Counter[str] = Counter()
    wrong: list[dict[str, str]] = []
    by_class: dict[str, list[bool]] = {}
    images = [image for one in audits for image in one.images]
    for image in images:
        outcome = found.get(image)
        if image in human:
            count["labeled"] += 1
        elif image not in predicted:
            count["gone"] += 1
        elif outcome is None or outcome.kind == OPEN:
            count["pending"] += 1
        elif outcome.kind != LABEL:
            count["unclear"] += 1
        else:
            right = outcome.label == predicted[image]
            if image in passed:
                count["passed"] += 1
                count["passed_right"] += right
            else:
                count["judged"] += 1
                count["right"] += right
                by_class.setdefault(predicted[image], []).append(right)
            if not right:
                wrong.append(
                    {
                        "image_id": image,
                        "predicted": predicted[image],
                        "answer": str(outcome.label),
                    }
                )
    known = (count["passed_right"], count["passed"])
    n, m = count["judged"], len(predicted)
    estimate = _estimate(count["right"], n, m, known, z)
    worst = _estimate(count["right"], n + count["unclear"], m, known, z)
    return {
        "rounds": [one.name for one in audits],
        "asked": len(images),
        **{name: count[name] for name in COUNTS},
        "machine": {"n": m, **estimate},
        "swept": int(swept.sum()),
        "collection": _of_collection(estimate, m, len(human)),
        "worst": _of_collection(worst, m, len(human)),
        "classes": [
            {"label": name, "n": len(hits), "precision": sum(hits) / len(hits)}
            | dict(zip(("low", "high"), wilson(sum(hits), len(hits)), strict=True))
            for name, hits in sorted(by_class.items())
            if len(hits) >= ENOUGH
        ],
        "wrong": wrong,
        "disputed": [i for i in images if i in found and found[i].kind == CONFLICT],
    }


def audit_in_words(audit: dict[str, Any] | None) -> tuple[str, str]:
    """What an audit says of all labels, and how sure that is: ``97.3%`` and a sentence.

    The first is empty while nothing is judged.
    """
    if audit is None or not audit["judged"]:
        return "", "No prediction has been judged yet: the accuracy of the labels is not known."
    whole, n = audit["collection"], audit["judged"] + audit["passed"]
    share, low, high = (f"{100 * whole[name]:.1f}%" for name in ("accuracy", "low", "high"))
    text = (
        f"of all {whole['n']:,} labels are right, by an audit of {n:,} "
        f"prediction{'' if n == 1 else 's'} (95% interval {low} to {high})."
    )
    if audit["unclear"]:
        worst = whole["n"] and f"{100 * audit['worst']['low']:.1f}%"
        text += (
            f" {audit['unclear']:,} more could not be told, or were in dispute; were the model "
            f"wrong on all of them, it would be {worst} at the least."
        )
    if audit["pending"]:
        text += f" {audit['pending']:,} are not judged yet."
    return share, text


def _estimate(
    right: int, n: int, m: int, known: tuple[int, int], z: float
) -> dict[str, float | None]:
    """Share of m predictions that are right, and its interval.

    ``right`` of the n drawn speak for all but the ``known`` (right, number). The interval goes
    never beyond what the judged ones alone make certain.
    """
    if not n:
        return {"accuracy": None, "low": None, "high": None}
    rest = m - known[1]
    low, high = wilson(right, n, z=z)
    shares = {
        "accuracy": right / n,
        "low": max(low, right / rest),
        "high": min(high, 1 - (n - right) / rest),
    }
    return {name: (known[0] + rest * share) / m for name, share in shares.items()}


def _of_collection(machine: dict[str, float | None], m: int, human: int) -> dict[str, Any]:
    """The same share of all labels, a person's counted as right."""
    total = m + human
    shares = {
        name: None if share is None else (human + m * share) / total
        for name, share in machine.items()
    }
    return {"n": total, "human": human, **shares}


def _passed_over(run: Run, store: Store, human: set[str]) -> set[str]:
    """Audited images that would have become labels by now, had they not been audited.

    A check or a round of ``usl next`` wanted them no less than images that people have labelled
    since.
    """
    asked: list[tuple[Sequence[str], Iterable[tuple[str, int]]]] = [
        (one.images, one.passed) for one in store.rounds() if one.kind == CHECK
    ]
    asked += [(one.ids(), one.passed()) for one in run.rounds() if one.passed()]
    found: set[str] = set()
    for images, passed in asked:
        reached = max((i for i, name in enumerate(images) if name in human), default=-1)
        found |= {name for name, place in passed if place <= reached}
    return found
