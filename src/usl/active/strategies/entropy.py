"""Entropy: the rows whose predicted classes are spread the widest.

Settles: Active Learning Literature Survey (2009), Section 3.1; Shannon (1948) for the measure.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Query
from usl.active.shared.doubt import entropies
from usl.core.progress import Progress
from usl.numeric.arrays import Float32

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
    """Ask for the rows of the largest -sum p log p, of equal ones the lower row first.

    The figure ``entropy`` is in nats. The reason speaks of its exponential: as many classes, all
    equally likely, would be as hard to guess.
    """
    entropy = entropies(predictions, candidates)
    taken = np.argsort(-entropy, kind="stable")[:budget]
    likeliest = predictions[candidates[taken]].argmax(axis=1).tolist()
    reasons = tuple(
        f"as open as among {classes_alike:.1f} classes, likeliest {{{likely}}}"
        for classes_alike, likely in zip(np.exp(entropy[taken]), likeliest, strict=True)
    )
    return Query(candidates[taken], reasons, {"entropy": entropy[taken]})
