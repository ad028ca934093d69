"""The colours of the map: true or predicted classes, or the pick that stands for an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usl.report.facts.facts import Facts

PALETTE = 10  # colours that are told apart by people of any colour vision; see report.css
NAMED = 20  # groups in the legend, at most
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Groups:
    """What the colours mean: ``names`` of the groups, ``of`` int64 [n] of each row, -1 unknown.

    ``by`` tells where they come from: ``truth``, ``told`` (the predictions), ``stands`` (the pick
    that stands for a row), or nothing.
    """

    names: list[str]
    of: NDArray[np.int64]
    meaning: str
    legend: bool = True
    by: str = ""


def groups_of(facts: Facts) -> Groups:
    """True classes if the source knows them, else predicted ones, else who stands for whom."""
    n = len(facts.collection)
    if facts.truth is not None:
        return named_groups(facts.truth, "Colour: the true class.", "truth")
    if facts.predictions is not None:
        told = facts.predictions.labels
        return named_groups(told, "Colour: the predicted class.", "told")
    if (facts.stands >= 0).any():
        names = [f"stood for by pick {pick.rank}" for pick in facts.picks]
        meaning = (
            f"Colour: the pick that stands for the {facts.noun}; neighbouring colours are close."
        )
        return Groups(names, facts.stands, meaning, legend=False, by="stands")
    return Groups([], np.full(n, -1), "")


def named_groups(labels: NDArray[np.object_], meaning: str, by: str = "") -> Groups:
    """Groups by label, None for unknown."""
    names = sorted({label for label in labels.tolist() if label is not None})
    number = {name: i for i, name in enumerate(names)}
    of = np.array([number.get(label, -1) for label in labels.tolist()], dtype=np.int64)
    if len(names) > NAMED:
        meaning = f"{meaning[:-1]} ({len(names)} of them: neighbouring colours are close)."
    return Groups(names, of, meaning, legend=len(names) <= NAMED, by=by)


def colour(number: int, groups: Groups) -> str:
    """The colour of a group as a CSS value."""
    if number < 0:
        return "var(--faint)"
    if len(groups.names) <= PALETTE:
        return f"var(--k{number})"
    return f"hsl({number * 137.508 % 360:.0f} 55% var(--lightness))"  # the golden angle apart
