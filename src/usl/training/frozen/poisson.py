"""Poisson learning: labels are sources and sinks on the neighbour graph (Calder et al., 2020).

u solves L u = sum_j w_j (y_j - y-bar) delta_j (their Eq. 2.1, here with a weight per label), where
L = D - W is the Laplacian of the symmetric k-nearest-neighbour graph of all items, y_j the one-hot
label of item j, w_j its weight and y-bar = sum_j w_j y_j / sum_j w_j; u has mean zero with respect
to the degrees, sum_i d_i u_i = 0. With S = D^-1/2 W D^-1/2 the equation is
(I - S) D^1/2 u = D^-1/2 b, whose conjugate gradients are those of L preconditioned by D.

In the paper the class of an item is that of its largest u. That is no neutral rule: u has mean
zero, so of two classes either gets about half the items, however many labels it has. Here classes
are scaled until their mean probabilities are their shares
(:mod:`usl.training.shared.class_shares`).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from usl.core.parameters import Positive
from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32, softmax
from usl.numeric.distances import nearest
from usl.numeric.neighbor_graph import (
    conjugate_gradients,
    neighbor_weights,
    normalized,
)
from usl.training.frozen.label_spreading import prepare as prepare
from usl.training.models import NeighborModel, Probabilities
from usl.training.shared.class_shares import ClassPrior, match_shares, prior_shares

TOLERANCE = 1e-3  # of the residual, relative: below it 1 decision in 1,000 changes


def fit(
    features: Float32,
    classes: NDArray[np.int64],
    weights: NDArray[np.float64],
    n_classes: int,
    *,
    seed: int = 0,
    progress: Progress = silent,
    k: Annotated[int, Positive] = 10,
    power: float = 4.0,
    sharpness: Annotated[float, Positive] = 3.0,
    class_prior: ClassPrior = None,
    graph: sparse.csr_matrix | None = None,
) -> NeighborModel:
    """Solve for all rows; new items are predicted by their neighbours.

    Parameters
    ----------
    k : neighbours of each item in the graph.
    power : exponent of the cosine similarity in the edge weights.
    sharpness : probabilities are the softmax of this times u over the root mean square of u. At 3
        the mean confidence was within 8 points of the accuracy with a class prior, on CIFAR-10 and
        Fashion-MNIST. With class_prior ``off`` it does not change the decision.
    class_prior : mean probabilities of the classes: ``uniform``, or ``labels`` as among the
        labels. Either is worth points where it holds and costs as many where it does not;
        ``labels`` does not hold when a fixed number was labelled per class. Left out, they are
        estimated from the labels' votes on all items. ``off``: the largest u, as published.
    graph : from ``prepare``, to train many times on the same features.
    """
    shares = prior_shares(class_prior, features, classes, weights, n_classes)
    if graph is None:
        graph = neighbor_weights(features, k, power, progress)
    solution, offsets = potentials(graph, classes, weights, n_classes)
    reached = np.isfinite(offsets).any(axis=1)
    scores = np.empty_like(solution)
    scores[reached] = soften(solution[reached], offsets[reached], sharpness)
    if shares is not None:
        scores[reached] = match_shares(scores[reached], shares)
    if not reached.all():  # a component without a label takes the nearest label's class
        rows = np.flatnonzero(classes >= 0)
        closest = nearest(features[~reached], features[rows], 1)[0][:, 0]
        scores[~reached] = 0.5 * np.eye(n_classes)[classes[rows[closest]]] + 0.5 / n_classes
    return NeighborModel(features, scores, k, power)


def potentials(
    graph: sparse.csr_matrix,
    classes: NDArray[np.int64],
    weights: NDArray[np.float64],
    n_classes: int,
    tolerance: float = TOLERANCE,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Potentials u [n, C], and log(y-bar' / y-bar) of each item's component, [n, C].

    The latter is 0 on a connected graph, -inf for a class without a label in the component.

    Parameters
    ----------
    graph : W, symmetric, sparse [n, n], zero diagonal.
    classes, weights : int64 [n] with -1 for unlabelled items, float64 [n].
    """
    n = len(classes)
    graph = sparse.csr_matrix(graph, copy=True)
    graph.eliminate_zeros()  # an edge of no weight joins nothing

    # 1. Sources: labels minus their mean, within each component.
    count, part = connected_components(graph, directed=False)
    member = sparse.csr_matrix((np.ones(n), (part, np.arange(n))), shape=(count, n))
    rows = np.flatnonzero(classes >= 0)
    source = np.zeros((n, n_classes))
    source[rows, classes[rows]] = weights[rows]
    total = member @ source
    mean = total / np.maximum(total.sum(axis=1, keepdims=True), 1e-300)
    source[rows] -= weights[rows, None] * mean[part[rows]]

    # 2. The equation, in D^1/2 u.
    degree = np.asarray(graph.sum(axis=1)).ravel()
    root = np.sqrt(np.maximum(degree, 1e-12))[:, None]
    solution = conjugate_gradients(normalized(graph), source / root, 1.0, tolerance) / root

    # 3. Mean zero with respect to the degrees, within each component.
    volume = np.maximum(member @ degree, 1e-12)[:, None]
    solution -= ((member @ (degree[:, None] * solution)) / volume)[part]
    with np.errstate(divide="ignore", invalid="ignore"):
        offsets = np.log(mean / (total.sum(axis=0) / total.sum()))
    return solution, np.nan_to_num(offsets, nan=-np.inf, neginf=-np.inf)[part]


def soften(
    solution: NDArray[np.float64], offsets: NDArray[np.float64], sharpness: float
) -> Probabilities:
    """Softmax of ``sharpness`` u / rms(u) plus the offsets, float64 [n, C]."""
    size = np.sqrt(np.mean(solution**2))
    return softmax(sharpness * solution / max(size, 1e-300) + offsets)
