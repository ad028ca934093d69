"""The k-nearest-neighbour graph: weights, normalisation, diffusion over it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from usl.core.errors import UsageError
from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32
from usl.numeric.distances import nearest


def check_neighbors(k: int) -> None:
    """Refuse a graph without edges."""
    if k < 1:
        raise UsageError(f"k: {k} given; at least one neighbour is needed.")


def neighbor_weights(
    features: Float32, k: int, power: float, progress: Progress = silent
) -> sparse.csr_matrix:
    """W of the symmetric k-nearest-neighbour graph, sparse [n, n], zero diagonal.

    w_ij = max(cosine, 0)^power where either item is among the k nearest of the other.
    """
    check_neighbors(k)
    k = min(k, len(features) - 1)
    found, distances = nearest(features, features, k, exclude_self=True, progress=progress)
    return symmetric_weights(found, similarity(distances, power))


def similarity(distances: Float32, power: float) -> NDArray[np.float64]:
    """max(cosine, 0) ** power from distances on the unit sphere."""
    cosine = 1.0 - 0.5 * distances.astype(np.float64) ** 2
    return np.asarray(np.maximum(cosine, 0.0) ** power)


def symmetric_weights(found: NDArray[np.int64], values: NDArray[np.float64]) -> sparse.csr_matrix:
    """A sparse [n, n] from neighbours and the weights of these links, [n, k] both.

    Of the two weights of a pair, i to j and j to i, the larger holds.
    """
    n, k = found.shape
    directed = sparse.csr_matrix(
        (values.ravel(), found.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n)
    )
    return directed.maximum(directed.T).tocsr()


def normalized(weights: sparse.csr_matrix) -> sparse.csr_matrix:
    """S = D^-1/2 W D^-1/2, sparse [n, n]."""
    degree = np.asarray(weights.sum(axis=1)).ravel()
    scale = sparse.diags(1.0 / np.sqrt(np.maximum(degree, 1e-12)))
    return sparse.csr_matrix(scale @ weights @ scale)


def conjugate_gradients(
    graph: sparse.csr_matrix, right: NDArray[np.float64], alpha: float, tolerance: float
) -> NDArray[np.float64]:
    """F of (I - alpha S) F = R by conjugate gradients, one independent system per column.

    The matrix is symmetric and its eigenvalues are not negative: those of S lie in [-1, 1]. With
    alpha = 1 it is singular, and R must have no part in its null space (nor then has F).

    Parameters
    ----------
    graph : S, sparse [n, n]; right : R, float64 [n, C].
    tolerance : of each column, residual norm relative to the norm of R.
    """
    solution = np.zeros_like(right)
    residual = right.copy()
    direction = residual.copy()
    energy = np.einsum("nc,nc->c", residual, residual)
    target = tolerance**2 * np.maximum(energy, 1e-300)
    for _ in range(1000):
        if (energy <= target).all():
            break
        image = direction - alpha * (graph @ direction)
        curvature = np.einsum("nc,nc->c", direction, image)
        step = np.divide(energy, curvature, out=np.zeros_like(energy), where=curvature > 0)
        solution += step * direction
        residual -= step * image
        renewed = np.einsum("nc,nc->c", residual, residual)
        ratio = np.divide(renewed, energy, out=np.zeros_like(energy), where=energy > 0)
        direction = residual + ratio * direction
        energy = renewed
    return solution
