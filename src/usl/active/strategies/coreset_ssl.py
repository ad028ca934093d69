"""CoreSetSSL: greedy k-centre of what a semi-supervised learner says of the rows.

Sener, Savarese: Active Learning for Convolutional Neural Networks: A Core-Set Approach (ICLR 2018),
with a semi-supervised learner in place of a supervised one, as Gao et al. (ECCV 2020) compare it.
Their k-centre works on the features of the trained network. On frozen features nothing is trained
below the head, and k-centre of the features themselves is ``coreset``; what semi-supervised
learning does shape is the answer. So the distance of two rows is that of their probabilities. Asked
through a network (:mod:`usl.active.tasks`), it is ``coreset`` on the features that MixMatch has
trained, the method as it was published.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Query
from usl.active.shared.doubt import between, two_likeliest
from usl.core.progress import Progress
from usl.numeric.arrays import Float32
from usl.numeric.table import as_table
from usl.selection.shared.farthest_first import farthest_first

NAME = "CoreSetSSL"
NEEDS_MODEL = True
TASK, ON_NETWORK = "mixmatch", "coreset"


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
    """Ask, again and again, for the candidate whose probabilities no label and no pick comes near.

    Equally far candidates go by the lower row. The figure ``margin`` is p1 - p2.
    """
    said = np.asarray(
        predictions, dtype=np.float32
    )  # inside the unit ball, as rows of features are
    picks = farthest_first(as_table(said).farthest(labeled), [], candidates, budget, progress)
    first, second, margin = two_likeliest(predictions[picks])
    return Query(picks, between(first, second), {"margin": margin})
