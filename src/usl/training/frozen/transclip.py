"""TransCLIP's mixture without its text: Gaussian classes and a graph (Zanella et al., 2024).

Boosting Vision-Language Models with Transduction, NeurIPS. Classes are Gaussians of one diagonal
covariance; an item's assignment z also follows those of its neighbours::

    z_i ~ exp(log p_i / t + sum_j (W_ij + W_ji) / (2 k) z_j)               (five times in a row)
    mu_c = unit(sum_i z_ic x_i / |Q| + 50 gamma sum_S y_jc x_j / |S|)
    sigma^2 = the mean of (x_i - mu_c)^2, weighted alike

W_ij is the cosine where j is one of i's k nearest, and labelled items keep their labels. z starts
as softmax(100 x . mu) and mu at the labelled means. Constants are those of the authors' release
(github.com/MaxZanella/transduction-for-vlms); its term that holds z to the text's predictions is
left out, and labelled items stand where their neighbours are (the release, which appends them to z,
puts them first in W). gamma is the release's: of four values the one whose z at the items nearest
to the labelled ones are right most often, the first of several. The release's t is 50 at CLIP's 512
dimensions; log p grows with the dimensions d, so t does here: 50 d / 512.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from usl.core.parameters import Positive
from usl.core.progress import Progress, silent
from usl.numeric.arrays import TINY, Float32, softmax
from usl.numeric.blocks import one_blas_thread
from usl.numeric.distances import nearest
from usl.numeric.neighbor_graph import similarity
from usl.numeric.neighbor_search import nearest_others
from usl.training.models import MixtureModel
from usl.training.shared.prototypes import Matrix, label_votes

NAME = "TransCLIP"
GAMMAS = (0.002, 0.01, 0.02, 0.2)
SCALE = 50.0  # of the labels
PER_DIMENSION = 50.0 / 512  # what log p is divided by
SHARP = 100.0  # CLIP's temperature, of the first z
INNER = 5  # updates of z between those of the classes


def fit(
    features: Float32,
    classes: NDArray[np.int64],
    weights: NDArray[np.float64],
    n_classes: int,
    *,
    seed: int = 0,
    progress: Progress = silent,
    k: Annotated[int, Positive] = 3,
    gamma: Annotated[float | None, Positive] = None,
    steps: Annotated[int, Positive] = 10,
    affinity: sparse.csr_matrix | None = None,
) -> MixtureModel:
    """Alternate the assignments and the classes.

    Parameters
    ----------
    k : neighbours of each item in the graph.
    gamma : weight of the labels against the unlabelled items; left out, one of four is chosen.
    steps : updates of the classes.
    affinity : from :func:`prepare`, to train many times on the same features.
    """
    if affinity is None:
        affinity = prepare(features, k=k, progress=progress)["affinity"]
    rows, votes = label_votes(classes, weights, n_classes)
    rest = classes < 0
    near = _nearest_unlabelled(features, rows, rest)
    best: tuple[float, MixtureModel] | None = None
    for tried in GAMMAS if gamma is None else (gamma,):
        with one_blas_thread():
            model = _mixture(features, rows, votes, affinity, tried, steps, k)
        guess = model.scores[near].argmax(axis=1)
        right = float(weights[rows][guess == classes[rows]].sum())
        if best is None or right > best[0]:
            best = right, model
        progress(GAMMAS.index(tried) + 1 if gamma is None else 1, len(GAMMAS), "transclip")
    assert best is not None
    return best[1]


def prepare(
    features: Float32, *, k: int = 3, progress: Progress = silent, **others: object
) -> dict[str, sparse.csr_matrix]:
    """What :func:`fit` needs of the features alone: (W + W^T) / (2 k)."""
    n, k = len(features), min(k, len(features) - 1)
    found, distances = nearest_others(features, k, progress=progress)
    directed = sparse.csr_matrix(
        (similarity(distances, 1.0).ravel(), found.ravel(), np.arange(0, n * k + 1, k)), (n, n)
    )
    return {"affinity": sparse.csr_matrix((directed + directed.T) / (2 * k))}


def _nearest_unlabelled(
    features: Float32, rows: NDArray[np.int64], rest: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """The unlabelled item nearest to each labelled one; itself where all are labelled."""
    others = np.flatnonzero(rest)
    if not len(others):
        return rows
    return np.asarray(others[nearest(features[rows], features[others], 1)[0][:, 0]])


def _mixture(
    features: Float32,
    rows: NDArray[np.int64],
    votes: Matrix,
    affinity: sparse.csr_matrix,
    gamma: float,
    steps: int,
    k: int,
) -> MixtureModel:
    """Fit with one gamma."""
    labelled = votes.sum(axis=1, keepdims=True)
    one_hot = votes / np.maximum(labelled, TINY)
    rest = np.ones(len(features), dtype=bool)
    rest[rows] = False
    count = max(1, int(rest.sum()))
    pull = SCALE * gamma / labelled.sum()
    means = _unit(votes.T @ features[rows])
    variance = np.full(features.shape[1], 1.0 / features.shape[1])
    squares = np.einsum("nd,nd->d", features[rest], features[rest], dtype=np.float64) / count
    squares += pull * (labelled.T @ features[rows].astype(np.float64) ** 2)[0]
    z = softmax(SHARP * features @ means.T)
    z[rows] = one_hot
    for step in range(steps + 1):
        weight, bias = _gaussian(means, variance)
        logits = features @ weight.T + bias
        for _ in range(INNER):
            z = softmax(logits + affinity @ z)
            z[rows] = one_hot
        if step < steps:
            free = np.where(rest[:, None], z, 0.0)
            sums = free.T @ features / count + pull * votes.T @ features[rows]
            mass = free.sum(axis=0) / count + pull * votes.sum(axis=0)
            means = _unit(sums / np.maximum(mass, TINY)[:, None])
            spread = squares - 2 * np.einsum("cd,cd->d", means, sums) + mass @ means**2
            variance = np.maximum(spread / mass.sum(), TINY)
    return MixtureModel(features, z, k, 1.0, *_gaussian(means, variance), graph=1.0)


def _gaussian(means: Matrix, variance: Matrix) -> tuple[Matrix, Matrix]:
    """Log p / t of each class up to what all share: weights [C, d] and biases [C]."""
    weight = means / variance / (PER_DIMENSION * len(variance))
    return weight, -0.5 * np.einsum("cd,cd->c", weight, means)


def _unit(rows: Matrix) -> Matrix:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), TINY))
