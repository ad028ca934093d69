"""Least confidence: the rows whose likeliest class is the least likely.

Lewis, Gale: A Sequential Algorithm for Training Text Classifiers (SIGIR 1994).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Query
from usl.core.progress import Progress
from usl.numeric.arrays import Float32
from usl.training.told import most_probable

NAME = "least confidence"
NEEDS_MODEL = True


def query(
    features: Float32,
    budget: int,
    *,
    labeled: NDArray[np.int64],
    classes: NDArray[np.int64],
    predictions: NDArray[np.float64],
    candidates: NDArray[np.int64],
    seed: int,
    progress: Progress,
) -> Query:
    """Ask for the rows of the smallest largest probability, of equal ones the lower row first."""
    best, confidence = most_probable(predictions, candidates)
    taken = np.argsort(confidence, kind="stable")[:budget]
    reasons = tuple(
        f"likeliest {{{likely}}}, with {sure:.0%} only"
        for likely, sure in zip(best[taken].tolist(), confidence[taken], strict=True)
    )
    return Query(candidates[taken], reasons, {"confidence": confidence[taken]})
