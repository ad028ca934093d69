"""Label spreading: labels diffuse over the neighbour graph of all items (Zhou et al., 2004).

F = (I - alpha S)^-1 Y with S = D^-1/2 W D^-1/2, W the symmetric k-nearest-neighbour graph with
weights max(cosine, 0)^power, and Y the one-hot labels times their weights. The columns of F are
scaled until their sums are as the classes' shares (:mod:`usl.training.shared.class_shares`), unless
that is off.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from usl.core.parameters import Between, Positive
from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32
from usl.numeric.distances import nearest
from usl.numeric.neighbor_graph import (
    SEARCHED,
    conjugate_gradients,
    neighbor_weights,
    normalized,
)
from usl.numeric.stage_cache import NOTHING, Keep
from usl.training.models import NeighborModel
from usl.training.shared.class_shares import ClassPrior, prior_shares

NAME = "label spreading"
# Scores far from every label are tiny, and they too are compared class by class.
TOLERANCE = 1e-12


def fit(
    features: Float32,
    classes: NDArray[np.int64],
    weights: NDArray[np.float64],
    n_classes: int,
    *,
    seed: int = 0,
    progress: Progress = silent,
    k: Annotated[int, Positive] = 10,
    alpha: Annotated[float, Between(0, 1, above=True, below=True)] = 0.99,
    power: float = 4.0,
    class_prior: ClassPrior = None,
    graph: sparse.csr_matrix | None = None,
) -> NeighborModel:
    """Spread the labels over all rows; new items are predicted by their neighbours.

    Parameters
    ----------
    k : neighbours of each item in the graph.
    alpha : share of a score that comes from the neighbours, 0 < alpha < 1.
    power : exponent of the cosine similarity in the edge weights.
    class_prior : sums of the classes' scores: ``uniform``, all equal, or ``labels``, as among the
        labels. Either helps where the classes are that frequent, and costs several points where
        they are not. Left out, they are estimated from the labels' votes on all items. ``off``:
        scores as they are, as published.
    graph : from :func:`prepare`, to train many times on the same features.
    """
    shares = prior_shares(class_prior, features, classes, weights, n_classes)
    if graph is None:
        graph = neighbor_weights(features, k, power, progress)
    rows = np.flatnonzero(classes >= 0)
    labels = np.zeros((len(features), n_classes))
    labels[rows, classes[rows]] = weights[rows]
    solved = conjugate_gradients(normalized(graph), labels, alpha, TOLERANCE)
    scores = np.maximum(solved, 0.0)
    if shares is not None:
        scores *= shares / np.maximum(scores.sum(axis=0, keepdims=True), 1e-300)
    totals = scores.sum(axis=1, keepdims=True)
    # Items no label can reach (another component of the graph) take the nearest label's class.
    lost = np.flatnonzero(totals[:, 0] <= 1e-12 * totals.max())
    if len(lost):
        closest = nearest(features[lost], features[rows], 1)[0][:, 0]
        scores[lost] = np.eye(n_classes)[classes[rows[closest]]] + 1.0 / n_classes
        totals = scores.sum(axis=1, keepdims=True)
    return NeighborModel(features, scores / totals, k, power)


def prepare(
    features: Float32,
    *,
    k: int = 10,
    power: float = 4.0,
    keep: Keep = NOTHING,
    searched: int = SEARCHED,
    progress: Progress = silent,
    **others: object,
) -> dict[str, sparse.csr_matrix]:
    """What :func:`fit` needs of the features alone: pass it on as keyword arguments.

    ``keep`` and ``searched`` : see :func:`usl.numeric.neighbor_graph.neighbor_weights`.
    """
    found = neighbor_weights(features, k, power, progress, keep=keep, searched=searched)
    return {"graph": found}
