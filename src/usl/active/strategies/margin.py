"""Margin: the rows whose two likeliest classes are nearest to each other.

Scheffer, Decomain, Wrobel: Active Hidden Markov Models for Information Extraction (IDA 2001).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Query
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
    among = predictions[candidates]
    order = np.argsort(among, axis=1)
    first, second = order[:, -1], order[:, -2]
    rows = np.arange(len(among))
    margin = among[rows, first] - among[rows, second]
    taken = np.argsort(margin, kind="stable")[:budget]
    pairs: list[Any] = np.stack([first, second], axis=1)[taken].tolist()
    reasons = tuple(f"between {{{a}}} and {{{b}}}" for a, b in pairs)
    return Query(candidates[taken], reasons, {"margin": margin[taken]})
