"""PCB: of the most uncertain rows, in turn one of the predicted class that has the fewest labels.

Bang, Ahn, Lee: Active Prompt Learning in Vision Language Models (CVPR 2024): pseudo-class balance.
The most uncertain tenth of all rows is looked at, by entropy. The next row is drawn among those of
the predicted class with the fewest labels so far, a drawn row counting as a label of that class.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Query
from usl.active.shared.doubt import entropies
from usl.core.parameters import Between
from usl.core.progress import Progress
from usl.core.words import counted
from usl.numeric.arrays import Float32
from usl.training.told import most_probable

NAME = "PCB"
NEEDS_MODEL = True
DRAWN = "draws among the rows of a predicted class"


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
    share: Annotated[float, Between(0, 1, above=True)] = 0.1,
) -> Query:
    """Serve the predicted class with the fewest labels, of equal ones the lower number.

    A class that none of the rows looked at is predicted to be is passed over; in the authors' code
    all further rows are then drawn regardless of class.

    Parameters
    ----------
    share : of all rows, the most uncertain of which are looked at (authors: a tenth); never below
        the budget.
    """
    entropy = entropies(predictions, candidates)
    count = max(budget, int(share * len(predictions)))
    open_ = np.argsort(-entropy, kind="stable")[:count]
    predicted = most_probable(predictions, candidates[open_])[0]
    order = np.random.default_rng(seed).permutation(len(open_))
    waiting = {int(c): order[predicted[order] == c].tolist() for c in np.unique(predicted)}
    labels = np.bincount(classes, minlength=predictions.shape[1])
    places: list[int] = []
    reasons: list[str] = []
    while len(places) < budget:
        serve = min((c for c in waiting if waiting[c]), key=lambda c: (labels[c], c))
        places.append(int(open_[waiting[serve].pop()]))
        reasons.append(f"likely {{{serve}}}, which has {counted(int(labels[serve]), 'label')}")
        labels[serve] += 1
    figures = {"entropy": entropy[places]}
    return Query(candidates[places], tuple(reasons), figures, {"share": share})
