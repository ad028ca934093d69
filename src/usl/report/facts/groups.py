"""The colours of the map: true or predicted classes, or the pick that stands for an image.

The first ten of the light page are those of Petroff (2021, "Accessible Color Sequences for Data
Visualization", arXiv:2107.02270). The others, and the dark page's, were searched by his criterion,
the largest least difference of any two to eyes with full and with each dichromatic colour vision
(Machado, Oliveira & Fernandes, 2009), here by CIEDE2000. Twenty colours are too many for colour
alone, so the second ten are squares; ``tests/report/test_report_colours.py`` has the bounds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usl.report.facts.facts import Facts

PALETTE = 20  # colours of report.css; the second ten are drawn as squares
NAMED = PALETTE  # groups with a colour and a place in the legend; the others are grey
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Groups:
    """What the colours mean: ``names`` of the groups, ``of`` int64 [n] of each row, -1 unknown.

    The first ``named`` have a colour of their own and are in the legend. ``by`` tells where they
    come from: ``truth``, ``told`` (the predictions), ``stands`` (the pick that stands for a row),
    or nothing.
    """

    names: list[str]
    of: NDArray[np.int64]
    meaning: str
    named: int = 0
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
        again = f"; the {PALETTE} colours come again and again" if len(names) > PALETTE else ""
        meaning = f"Colour: the pick that stands for the {facts.noun}{again}."
        return Groups(names, facts.stands, meaning, by="stands")
    return Groups([], np.full(n, -1), "")


def named_groups(labels: NDArray[np.object_], meaning: str, by: str = "") -> Groups:
    """Groups by label, None for unknown; the commonest of many come first, with colours."""
    counts = Counter(label for label in labels.tolist() if label is not None)
    common = sorted(counts, key=lambda name: (-counts[name], name))[:NAMED]
    names = sorted(common) + sorted(counts.keys() - common)
    number = {name: i for i, name in enumerate(names)}
    of = np.array([number.get(label, -1) for label in labels.tolist()], dtype=np.int64)
    if len(names) > NAMED:
        meaning = f"{meaning[:-1]}, of the {NAMED} commonest of {len(names)}; all others are grey."
    return Groups(names, of, meaning, named=len(common), by=by)


def colour(number: int, groups: Groups) -> str:
    """The colour of a group as a CSS value."""
    if number < 0 or (groups.named and number >= groups.named):
        return "var(--other)"
    return f"var(--k{number % PALETTE})"


def is_square(number: int, groups: Groups) -> bool:
    """Whether a group's dots are squares, which tell the second ten colours from the first."""
    return "--k" in colour(number, groups) and number % PALETTE >= PALETTE // 2


def squares(groups: Groups) -> list[int]:
    """The numbers of the groups whose dots are squares."""
    return [number for number in range(len(groups.names)) if is_square(number, groups)]
