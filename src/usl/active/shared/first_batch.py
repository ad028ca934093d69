"""What strategies ask for that need something labelled, while nothing is: a random batch."""

from __future__ import annotations

import numpy as np

from usl.active.contract import Query
from usl.numeric.arrays import Rows

REASON = "drawn at random, as nothing is labelled yet"


def first_batch(candidates: Rows, budget: int, seed: int) -> Query:
    """``budget`` random candidates, as the first batch of those papers is."""
    drawn = np.random.default_rng(seed).choice(candidates, budget, replace=False)
    return Query(drawn, (REASON,) * budget)
