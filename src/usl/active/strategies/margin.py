"""Margin: the rows whose two likeliest classes are nearest to each other.

Scheffer, Decomain, Wrobel: Active Hidden Markov Models for Information Extraction (IDA 2001).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Query
from usl.active.shared.doubt import between, two_likeliest
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
    """Ask for the rows of the smallest p1 - p2, of equal ones the lower row first."""
    first, second, margin = two_likeliest(predictions, candidates)
    taken = np.argsort(margin, kind="stable")[:budget]
    reasons = between(first[taken], second[taken])
    return Query(candidates[taken], reasons, {"margin": margin[taken]})
