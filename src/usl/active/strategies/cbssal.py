"""CBSSAL: the rows on whose random views the model agrees with itself the least.

Gao, Zhang, Yu, Arik, Davis, Pfister: Consistency-Based Semi-Supervised Active Learning: Towards
Minimizing Labeling Cost (ECCV 2020). A learner that has been trained to say the same of a row and
of its views has failed where it does not, and a label helps there::

    sum over the classes c of Var[ p_c(x), p_c(x_1) ... p_c(x_N) ],     x_1 ... x_N views of x

What the paper trains is MixMatch; here it is whatever learner predicts.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Query, Views
from usl.active.shared.doubt import between, two_likeliest
from usl.core.parameters import Positive
from usl.core.progress import Progress
from usl.numeric.arrays import Float32

NAME = "CBSSAL"
NEEDS_MODEL = True
TASK = "mixmatch"
DRAWN = "looks at random views of the rows"


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
    views: Views,
    looks: Annotated[int, Positive] = 50,
) -> Query:
    """Ask for the rows of the largest variance, of equal ones the lower row first.

    Parameters
    ----------
    looks : random views of a row (authors: 50), beside the row itself.
    """
    # Mean and sum of squared differences follow one view after another (Welford, 1962): no table of
    # all views is held, and nothing cancels out.
    mean = predictions[candidates]
    squares = np.zeros(len(candidates))
    for done, seen in enumerate(views(looks), 1):
        change = seen[candidates] - mean
        mean = mean + change / (done + 1)
        squares += (change * (seen[candidates] - mean)).sum(axis=1)
        progress(done, looks, "views")
    variance = squares / (looks + 1)
    taken = np.argsort(-variance, kind="stable")[:budget]
    first, second, _ = two_likeliest(mean[taken])
    return Query(
        candidates[taken], between(first, second), {"variance": variance[taken]}, {"looks": looks}
    )
