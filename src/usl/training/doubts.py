"""Doubts about a trained model that need no truth: near chance, or shares no labels speak for.

``usl train`` decides once; ``run.json`` keeps the sentences with the training, and every later verb
tells these (:func:`known_doubts`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNLIKELY = 1e-6  # picks are no random sample, so only what no sampling explains is told
NEAR_CHANCE = 1.25  # times the share that guessing would find
ENOUGH = 10  # labels that the others judge, to say something of them
SHOWN = 3  # classes named in one sentence

Counts = NDArray[np.int64]


def known_doubts(training: Mapping[str, Any] | None) -> list[str]:
    """The doubts that a record of a training keeps; none before there were any."""
    return [str(one) for one in (training or {}).get("doubts", ())]


def doubts_of(
    predicted: NDArray[np.int64],
    classes: NDArray[np.int64],
    names: list[str],
    estimate: float | None = None,
    found_again: tuple[int, int] = (0, 0),
) -> list[str]:
    """Sentences to tell, most often none.

    Parameters
    ----------
    predicted : int64 [n], the class of every train item.
    classes : int64 [n], the labels of people that have weight, -1 without one.
    names : of the classes.
    estimate : of the accuracy, by the method itself, if it makes one.
    found_again : how many labels the others find, of how many that could be judged
        (:mod:`usl.training.second_opinions`); it speaks where the method makes no estimate.
    """
    found = []
    chance = 1.0 / len(names)
    if estimate is not None and estimate <= NEAR_CHANCE * chance:
        found.append(
            f"The model is hardly better than guessing by its own estimate ({100 * estimate:.0f}% "
            f"right, guessing {100 * chance:.0f}%). Label more images, or try other features."
        )
    right, judged = found_again
    told = estimate is None and judged >= max(ENOUGH, len(names))
    if told and right <= NEAR_CHANCE * chance * judged:
        found.append(
            f"The labels hardly speak for each other: left out in turn, {right} of {judged} are "
            f"found by the others, and guessing finds {chance * judged:.0f}. Label more images, or "
            "try other features."
        )
    given = classes[classes >= 0]
    rest = predicted[classes < 0]
    if len(given) and len(rest):
        labels = np.bincount(given, minlength=len(names))
        items = np.bincount(rest, minlength=len(names))
        found += _too_many(items, labels, names) or _too_few(items, labels, names)
    return found


def _too_many(items: Counts, labels: Counts, names: list[str]) -> list[str]:
    """A class that takes more of the items than its share of the labels can explain."""
    from scipy.special import bdtr

    shares, total = items / items.sum(), int(labels.sum())
    top = int(shares.argmax())
    if shares[top] <= labels[top] / total:
        return []
    if bdtr(labels[top], total, shares[top]) >= UNLIKELY:
        return []
    return [
        f"{100 * shares[top]:.0f}% of the images without a label are called {names[top]!r}, "
        f"but {labels[top]} of {total} labels are. Look at some of them before you rely "
        "on it; another --method may do better."
    ]


def _too_few(items: Counts, labels: Counts, names: list[str]) -> list[str]:
    """Classes that get fewer items than they have labels, where far more are to be expected."""
    from scipy.special import bdtrc

    total = int(labels.sum())
    shares = np.maximum(items, 1) / items.sum()
    lost = (items < labels) & (bdtrc(labels - 1, total, shares) < UNLIKELY)
    if not lost.any():
        return []
    named = [
        f"{names[c]!r} ({items[c]:,} images, {labels[c]} of {total} labels)"
        for c in np.flatnonzero(lost)
    ]
    more = f" and {len(named) - SHOWN} more classes" if len(named) > SHOWN else ""
    return [
        f"Hardly any of the {items.sum():,} images without a label is called "
        f"{', '.join(named[:SHOWN])}{more}. Look at the images with these labels before you rely "
        "on it; another --method may do better."
    ]
