"""None of these: how little each item is like any class that has a label.

Two figures speak of every item. One is its cosine with the nearest of the classes' labelled means,
averaged over its surroundings (``STEPS`` half steps over the neighbour graph). The other is its
reach: labels spread over the graph (label spreading with alpha ``ALPHA``, each class with the same
total), and minus the logarithm of what arrives, per link. Each is taken over its interquartile
range; their sum is in units of its own spread, which the lower half of the items tells: items of
unknown classes lie above it and cannot widen it.

The score is 0 for the item in the middle, and an item with a score of 1 or more is said to be like
no class. That is ``DEVIATIONS`` spreads above the middle, which 2.3% of like items exceed if they
are normally distributed. No item is named that is less unlike than the surroundings of labelled
ones are. docs/learner.md has the evidence.

A new item gets its neighbours' mean, or, if it lies farther from its neighbours than nearly all of
the training items do from theirs, the score of that distance: ``FAR`` of them have 1 or more.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from usl.numeric.arrays import TINY, Float32
from usl.numeric.blocks import map_blocks, one_blas_thread, rows_per_block
from usl.numeric.neighbor_graph import conjugate_gradients, normalized
from usl.training.models import NeighborModel

LIMIT = 1.0  # scores from here on: like no class
STEPS = 6
ALPHA = 0.97
DEVIATIONS = 2.0
LABELLED = 0.98  # share of the labels whose surroundings are below the limit
FAR = 0.01
TOLERANCE = 1e-12  # what arrives far from every label is tiny, and is compared, too
LEAST_COSINE, LEAST_REACH = 0.01, 0.05  # interquartile ranges are taken to be so much at least
LEAST_SPREAD = 0.25
UNREACHED = 1e-9  # of the largest reach

Values = NDArray[np.float64]


def unlikeness(
    points: Float32, graph: sparse.csr_matrix, rows: NDArray[np.int64], votes: Values
) -> Values:
    """The score of every item, float64 [n]; 1 or more: like no class.

    Parameters
    ----------
    points : float32 [n, e], unit rows, centred.
    graph : W, symmetric, sparse [n, n].
    rows : int64 [m], the labelled items; ``votes`` float64 [m, C], their one-hot labels times their
        weights.
    """
    votes = votes[:, votes.sum(axis=0) > TINY]
    steps = row_normalized(graph)
    far = 1.0 - nearest_mean_cosine(points, points[rows], votes)
    for _ in range(STEPS):
        far = 0.5 * (far + steps @ far)
    reach = -np.log(reached(graph, rows, votes))
    total = _scaled(far, LEAST_COSINE) + _scaled(reach, LEAST_REACH)
    low, middle = np.quantile(total, [0.15865525, 0.5])  # one deviation of a normal distribution
    score = np.asarray((total - middle) / (DEVIATIONS * max(middle - low, LEAST_SPREAD)))
    around = (steps @ score)[rows]
    score[rows] = around  # as others see it: a label is near to itself
    most = float(np.quantile(around, LABELLED, method="higher"))
    return np.asarray(score / max(1.0, np.nextafter(most, np.inf)))


def row_normalized(graph: sparse.csr_matrix) -> sparse.csr_matrix:
    """D^-1 W, float64 [n, n]."""
    degree = np.asarray(graph.sum(axis=1)).ravel()
    return sparse.csr_matrix(sparse.diags(1.0 / np.maximum(degree, TINY)) @ graph)


def nearest_mean_cosine(points: Float32, labelled: Float32, votes: Values) -> Values:
    """Cosine of each item with the nearest mean of the ``labelled`` [m, e], float64 [n]."""
    with one_blas_thread():
        means = votes.T @ labelled.astype(np.float64)
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), TINY)
    directions = means.astype(np.float32)

    def block(start: int, stop: int) -> Values:
        cosines: Float32 = points[start:stop] @ directions.T
        nearest: Values = cosines.max(axis=1).astype(np.float64)
        return nearest

    found = list(map_blocks(block, len(points), rows_per_block(4 * len(means))))
    return np.asarray(np.concatenate(found))


def reached(graph: sparse.csr_matrix, rows: NDArray[np.int64], votes: Values) -> Values:
    """How much of the labels arrives at each item per link, the largest being 1, float64 [n]."""
    degree = np.sqrt(np.maximum(np.asarray(graph.sum(axis=1)).ravel(), TINY))
    sources = np.zeros((len(degree), 1))
    sources[rows, 0] = (votes / votes.sum(axis=0)).sum(axis=1)
    arrived = conjugate_gradients(normalized(graph), sources, ALPHA, TOLERANCE)[:, 0] / degree
    return np.asarray(np.maximum(arrived / max(float(arrived.max()), TINY), UNREACHED))


def usual_cosines(features: Float32, graph: sparse.csr_matrix, k: int) -> Float32:
    """Median, and ``FAR`` quantile, of an item's cosine with its k-th neighbour, float32 [2].

    A row of the graph holds the item's own k neighbours and those whose neighbour it is; these are
    farther than its k-th.
    """
    counts = np.diff(graph.indptr)
    owner = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((-graph.data, owner))
    has = np.flatnonzero(counts)
    place = graph.indptr[:-1][has] + np.minimum(counts[has], k) - 1
    kth = graph.indices[order[place]]

    def block(start: int, stop: int) -> Float32:
        near = features[kth[start:stop]]
        return np.asarray(np.einsum("nd,nd->n", features[has[start:stop]], near))

    cosines = list(map_blocks(block, len(has), rows_per_block(8 * features.shape[1])))
    if not cosines:
        return np.array([1.0, -1.0], dtype=np.float32)
    return np.quantile(np.concatenate(cosines), [0.5, FAR]).astype(np.float32)


def with_unlikeness(
    model: NeighborModel,
    points: Float32,
    graph: sparse.csr_matrix,
    rows: NDArray[np.int64],
    votes: Values,
) -> NeighborModel:
    """The model, knowing how unlike its training items are, and so those that come later."""
    found = unlikeness(points, graph, rows, votes).astype(np.float32)
    return replace(model, unlike=found, usual=usual_cosines(model.train, graph, model.k))


def unlikeness_of_new(
    model: NeighborModel, features: Float32, found: NDArray[np.int64], weights: Values
) -> Values:
    """The score of new items with these links, float64 [q]; NaN where the model has none."""
    if not len(model.unlike):
        return np.full(len(features), np.nan)
    near = np.einsum("qk,qk->q", weights, model.unlike[found])
    farthest = np.einsum("qd,qd->q", features, model.train[found[:, -1]])
    middle, low = (float(one) for one in model.usual)
    return np.asarray(np.maximum(near, (middle - farthest) / max(middle - low, LEAST_COSINE)))


def _scaled(values: Values, least: float) -> Values:
    """About the median, over the interquartile range."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return np.asarray((values - middle) / max(high - low, least))
