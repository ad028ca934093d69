"""Poisson learning: labels are sources and sinks on the neighbour graph (Calder et al., 2020).

u solves L u = sum_j w_j (y_j - y-bar) delta_j (their Eq. 2.3, with a weight per label), where
L = D - W is the Laplacian of the symmetric k-nearest-neighbour graph of all items, y_j the one-hot
label of item j, w_j its weight and y-bar = sum_j w_j y_j / sum_j w_j; u has mean zero with respect
to the degrees, sum_i d_i u_i = 0. With S = D^-1/2 W D^-1/2 the equation is
(I - S) D^1/2 u = D^-1/2 b, whose conjugate gradients are those of L preconditioned by D.

The graph need not be connected: each component is solved by itself, with the mean of its own
labels. A class without a label in a component cannot be reached there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from usl.core.neighbors import Float32
from usl.core.progress import Progress, silent
from usl.training.contract import NeighborModel
from usl.training.graph import (
    check_neighbors,
    conjugate_gradients,
    neighbor_weights,
    normalized,
)
from usl.training.priors import ClassPrior

TOLERANCE = 1e-3  # of the residual, relative, as theirs; decisions no longer change below it


def fit(
    features: Float32,
    classes: NDArray[np.int64],
    weights: NDArray[np.float64],
    n_classes: int,
    *,
    seed: int = 0,
    progress: Progress = silent,
    k: int = 10,
    power: float = 4.0,
    sharpness: float = 3.0,
    class_prior: ClassPrior = None,
    graph: sparse.csr_matrix | None = None,
) -> NeighborModel:
    """Solve for all rows; new items are predicted by their neighbours.

    Parameters
    ----------
    k : neighbours of each item in the graph.
    power : exponent of the cosine similarity in the edge weights.
    """
    check_neighbors(k)
    if graph is None:
        graph = neighbor_weights(features, k, power, progress)
    raise NotImplementedError


def potentials(
    graph: sparse.csr_matrix,
    classes: NDArray[np.int64],
    weights: NDArray[np.float64],
    n_classes: int,
    tolerance: float = TOLERANCE,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """U [n, C], and the label shares y-bar of each item's component [n, C] (0 without labels).

    Parameters
    ----------
    graph : W, sparse [n, n].
    classes, weights : int64 [n] with -1 for unlabelled items, float64 [n].
    """
    n = len(classes)
    graph = graph.copy()
    graph.setdiag(0)
    graph.eliminate_zeros()  # an edge of no weight joins nothing
    count, part = connected_components(graph, directed=False)
    member = sparse.csr_matrix((np.ones(n), (part, np.arange(n))), shape=(count, n))
    rows = np.flatnonzero(classes >= 0)
    source = np.zeros((n, n_classes))
    source[rows, classes[rows]] = weights[rows]
    total = member @ source
    shares = total / np.maximum(total.sum(axis=1, keepdims=True), 1e-300)
    source[rows] -= weights[rows, None] * shares[part[rows]]

    degree = np.asarray(graph.sum(axis=1)).ravel()
    root = np.sqrt(np.maximum(degree, 1e-12))[:, None]
    solution = conjugate_gradients(normalized(graph), source / root, 1.0, tolerance) / root
    volume = np.maximum(member @ degree, 1e-12)[:, None]
    solution -= ((member @ (degree[:, None] * solution)) / volume)[part]
    return solution, shares[part]
