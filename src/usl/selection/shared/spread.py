"""Label spreading from picks over the neighbour graph, and the mutual information they have."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from usl.numeric.arrays import TINY, Float32, Rows, Values

DAMPING = 0.8  # alpha of the spread: how much of an item's score comes from its neighbours
COLUMNS = 128  # anchors spread at once
STEPS = 10  # of the spread; what is left out is 0.8^11, or 9% of it


def spread(
    graph: sparse.csr_matrix,
    anchors: Rows,
    groups: Rows | None = None,
    count: int | None = None,
    *,
    rows: Rows | None = None,
) -> Float32:
    """Scores of all items for each anchor, float32 [n, a]: what reaches them over the graph.

    A score of 1 at an anchor spreads; at each of ``STEPS`` steps ``DAMPING`` of it is passed on. No
    score is less than ``TINY``, so that an item that nothing reaches knows nothing.

    Parameters
    ----------
    graph : normalised weights, sparse float32 [n, n]; anchors : int64 [a].
    groups, count : int64 [a] from 0, and their number: anchors of a group spread together, and the
        result is [n, count]. Each is alone by default.
    rows : int64 [r], the items whose scores come back, [r, count]; all by default.
    """
    columns = np.arange(len(anchors)) if groups is None else groups
    count = len(anchors) if count is None else count
    asked = graph.shape[0] if rows is None else len(rows)
    result = np.empty((asked, count), dtype=np.float32)
    for first in range(0, count, COLUMNS):
        here = (columns >= first) & (columns < first + COLUMNS)
        sources = anchors[here], columns[here] - first
        width = min(COLUMNS, count - first)
        scores = np.zeros((graph.shape[0], width), dtype=np.float32)
        scores[sources] = 1.0
        for _ in range(STEPS):
            scores = graph @ scores
            scores *= np.float32(DAMPING)
            scores[sources] += 1.0
        result[:, first : first + COLUMNS] = scores if rows is None else scores[rows]
    return np.maximum(result, np.float32(TINY), out=result)


def information(scores: Float32, weights: Values) -> float:
    """What anchors tell about the items they are spread to, in nats: 0 to log of their number.

    An item's scores, divided by their sum, say to which anchor it belongs. The figure is the mutual
    information of items and anchors: the entropy of the mean over all items, less the mean entropy
    of an item. It is large where every item knows its anchor and no anchor holds much more than its
    share.

    Parameters
    ----------
    scores : those of :func:`spread`, float32 [n, a].
    weights : how much an item counts in the means, float64 [n].
    """
    shares = scores / scores.sum(axis=1, keepdims=True)
    counts = weights / weights.sum()
    # No matrix products: BLAS rounds by the number of its threads, and near ties are decided here.
    whole = np.einsum("n,na->a", counts, shares)
    own = np.einsum("na,na->n", shares, np.log(shares))
    return float((counts * own).sum() - (whole * np.log(whole)).sum())
