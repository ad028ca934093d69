"""The k-nearest-neighbour graph: weights, normalisation, diffusion over it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from usl.core.errors import UsageError
from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32, Rows
from usl.numeric.stage_cache import NEIGHBORS, NOTHING, Keep
from usl.numeric.table import Table, as_table
from usl.numeric.unit_rows import unit_rows
from usl.numeric.workspace import Workspace

SEARCHED = 20  # neighbours that quorum searches for: its search serves a training
IN_MEMORY = 2 << 30  # bytes of a table that is not copied to a file for the search


def check_neighbors(k: int) -> None:
    """Refuse a graph without edges."""
    if k < 1:
        raise UsageError(f"k: {k} given; at least one neighbour is needed.")


def neighbor_weights(
    features: Any,
    k: int,
    power: float,
    progress: Progress = silent,
    *,
    keep: Keep = NOTHING,
    searched: int = SEARCHED,
) -> sparse.csr_matrix:
    """W of the symmetric k-nearest-neighbour graph, sparse [n, n], zero diagonal.

    w_ij = max(cosine, 0)^power where either item is among the k nearest of the other. Neighbours
    are exact up to :data:`usl.numeric.neighbor_search.EXACT_ROWS` rows, and approximate above.

    Parameters
    ----------
    features : [n, d] of any float type, in memory or in a file.
    keep : where the search is kept; one of a selection from the same rows serves.
    searched : neighbours that are searched for at least, of which the first k count.
    """
    check_neighbors(k)
    n = len(features)
    if n < 2:
        return sparse.csr_matrix((n, n))
    rows = unit_rows(features, Workspace(IN_MEMORY), tell=False)
    k, wide = min(k, n - 1), min(max(k, searched), n - 1)
    found, distances = kept_nearest(as_table(rows), wide, keep=keep.of(rows), progress=progress)
    return symmetric_weights(found[:, :k], similarity(distances[:, :k], power))


def kept_nearest(
    table: Table, k: int, *, keep: Keep, rows: Rows | None = None, progress: Progress = silent
) -> tuple[Rows, Float32]:
    """The k nearest others of every row, as of :meth:`usl.numeric.table.Table.nearest`.

    ``rows`` : which of the table that ``keep`` knows ``table`` holds; None for all.
    """

    def compute() -> dict[str, NDArray[Any]]:
        found, distances = table.nearest(k, progress=progress)
        return {"found": found.astype(np.int32), "distances": distances}

    made = keep.arrays(NEIGHBORS, {"k": k, "rows": rows}, compute)
    return made["found"].astype(np.int64), made["distances"]


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
