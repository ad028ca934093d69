"""MMA: the rows whose two likeliest classes are nearest to each other over several views.

Song, Berthelot, Rostamizadeh: Combining MixMatch and Active Learning for Better Accuracy with Fewer
Labels (2019), ``diff2.aug-direct`` in the authors' code. Predictions of two random views of a row
are averaged, and the rows of the smallest p1 - p2 are asked. What the paper trains is MixMatch;
here it is whatever learner predicts.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Query, Views
from usl.active.shared.doubt import between, two_likeliest
from usl.active.shared.mean_view import mean_view
from usl.core.parameters import Positive
from usl.core.progress import Progress
from usl.numeric.arrays import Float32

NAME = "MMA"
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
    looks: Annotated[int, Positive] = 2,
) -> Query:
    """Ask for the rows of the smallest p1 - p2 of the mean view, of equal ones the lower first.

    Parameters
    ----------
    looks : random views of a row, whose predictions are averaged (authors: 2). The authors' code
        cuts ``.aug`` off the name of the measure before it looks for it, so that it never makes
        views; the paper does, and so does this.
    """
    first, second, margin = two_likeliest(mean_view(views, looks, candidates, progress))
    taken = np.argsort(margin, kind="stable")[:budget]
    reasons = between(first[taken], second[taken])
    return Query(candidates[taken], reasons, {"margin": margin[taken]}, {"looks": looks})
