"""ALFA-Mix: rows whose predicted class changes when they are mixed a little with labelled ones.

Parvaneh, Abbasnejad, Teney, Haffari, van den Hengel, Shi: Active Learning by Feature Mixing (CVPR
2022). A row z is mixed with the mean z* of the labelled rows of each class. The shares that raise
the loss under the predicted class the most, with a length of at most epsilon, have a closed form:
the mixed row is z + epsilon |z* - z| g / |g|, with g the gradient of that loss at z. Rows that get
another class with any z* are the candidates; k-means divides them into as many clusters as rows are
asked for, and the row nearest to each centre is asked.

The head is a logistic regression on the labels, as in ``dropquery``.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Query
from usl.active.shared.central_rows import central_or_first
from usl.active.shared.doubt import two_likeliest
from usl.active.shared.head import logistic_head
from usl.core.parameters import Positive
from usl.core.progress import Progress
from usl.core.words import counted
from usl.numeric.arrays import TINY, Float32, Rows, Values, softmax
from usl.numeric.distances import squared_distances
from usl.numeric.table import Table, as_table
from usl.training.models import LinearModel

NAME = "ALFA-Mix"
NEEDS_MODEL = True
DRAWN = "k-means starts from random rows"
BLOCK = 4096  # rows; fixed, because products are rounded block by block


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
    epsilon: Annotated[float, Positive] = 0.2,
) -> Query:
    """Ask for what stands in the middle of the rows that change their class.

    Where fewer rows than the budget change it, all of them are asked, those that the most classes
    change first, then the smallest p1 - p2 of the head; the authors fill up at random. The figure
    ``mixes`` is the number of classes that change a row's class, ``margin`` that p1 - p2.

    Parameters
    ----------
    epsilon : length of the mixing shares, times sqrt(d) (authors: 0.2).
    """
    table = as_table(features)
    head, numbers = logistic_head(table, labeled, classes, "alfamix")
    points = table.take(labeled)
    anchors = np.stack([points[classes == one].mean(axis=0) for one in numbers])
    length = epsilon / np.sqrt(table.shape[1])
    likely, margin, mixes = mixed(table, candidates, head, anchors, length)
    order = np.lexsort((margin, -mixes))
    places = central_or_first(table, candidates, mixes > 0, order, budget, seed, progress)
    reasons = tuple(
        f"{{{numbers[likely[place]]}}}, but another class when mixed a little with labels of "
        f"{counted(int(mixes[place]), 'class', 'classes')}"
        for place in places.tolist()
    )
    figures = {"mixes": mixes[places].astype(np.float64), "margin": margin[places]}
    return Query(candidates[places], reasons, figures, {"epsilon": epsilon})


def mixed(
    table: Table, rows: Rows, head: LinearModel, anchors: Float32, length: float
) -> tuple[Rows, Values, Rows]:
    """The head's class of each of ``rows``, its p1 - p2, and how many anchors change it: [r]."""

    def block(points: Float32) -> tuple[Rows, Values, Rows]:
        rows = np.arange(len(points))
        logits = points @ head.weight.T + head.bias
        p = softmax(logits)
        likely, _, margin = two_likeliest(p)
        p[rows, likely] -= 1
        gradient = p @ head.weight  # of the loss under the likeliest class
        gradient /= np.maximum(np.linalg.norm(gradient, axis=1, keepdims=True), TINY)
        along = gradient @ head.weight.T
        # Logits change in proportion to the way: as soon as one class overtakes the likeliest, that
        # one never leads again. So it is enough to know how far the first overtaking is.
        lead = logits[rows, likely][:, None] - logits
        gain = along - along[rows, likely][:, None]
        ways = np.divide(lead, gain, out=np.full_like(lead, np.inf), where=gain > 0)
        way = length * np.sqrt(squared_distances(points, anchors))
        return likely, margin, (way > ways.min(axis=1)[:, None]).sum(axis=1)

    parts: Any = zip(*table.map(block, block=BLOCK, rows=rows), strict=True)
    likely, margin, changes = (np.concatenate(part) for part in parts)
    return likely, margin, changes
