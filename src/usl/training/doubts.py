"""Doubts about a trained model that need no truth: near chance, or shares no labels speak for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

UNLIKELY = 1e-6  # picks are no random sample, so only what no sampling explains is told
NEAR_CHANCE = 1.25  # times the share that guessing would find


def doubts_of(
    predicted: NDArray[np.int64],
    classes: NDArray[np.int64],
    names: list[str],
    estimate: float | None = None,
) -> list[str]:
    """Sentences to tell, most often none.

    Parameters
    ----------
    predicted : int64 [n], the class of every train item.
    classes : int64 [n], the labels of people, -1 without one.
    names : of the classes.
    estimate : of the accuracy, by the method itself.
    """
    from scipy.special import bdtr

    found = []
    chance = 1.0 / len(names)
    if estimate is not None and estimate <= NEAR_CHANCE * chance:
        found.append(
            f"The model is hardly better than guessing by its own estimate ({100 * estimate:.0f}% "
            f"right, guessing {100 * chance:.0f}%). Label more images, or try other features."
        )
    given = classes[classes >= 0]
    rest = predicted[classes < 0]
    if not len(given) or not len(rest):
        return found
    shares = np.bincount(rest, minlength=len(names)) / len(rest)
    counts = np.bincount(given, minlength=len(names))
    top = int(shares.argmax())
    if shares[top] > counts[top] / len(given) and (
        bdtr(counts[top], len(given), shares[top]) < UNLIKELY
    ):
        found.append(
            f"{100 * shares[top]:.0f}% of the images without a label are called {names[top]!r}, "
            f"but {counts[top]} of {len(given)} labels are. Look at some of them before you rely "
            "on it; another --method may do better."
        )
    return found
