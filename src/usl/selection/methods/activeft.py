"""ActiveFT: centroids are trained until their distribution is that of the rows (Xie et al., 2023).

With c the centroids, scaled to unit length, s_i = max over k of f_i . c_k / tau the similarity of
row i to its own centroid k(i), and E_k = sum over j of exp(c_k . c_j / tau), the loss is

    J = - mean over rows i of log( exp(s_i) / (exp(s_i) + E_k(i)) ):

rows pull their centroid, centroids push each other. As in the released code, the sum in E_k
includes j = k, and the gradient of E_k is taken for c_k alone, c_j being held. With
w_i = E_k(i) / (exp(s_i) + E_k(i)) it is

    dJ / dc_k = sum over the rows i of k of w_i (mean_k - f_i) / (n tau),

mean_k = sum over j of softmax_j(c_k . c_j / tau) c_j.

Then each centroid takes the nearest candidate that is still free.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from usl.core.parameters import NotNegative, Positive
from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32, Values
from usl.numeric.blocks import one_blas_thread, rows_per_block
from usl.numeric.table import Table, as_table
from usl.selection.contract import Picks

DRAWN = "centroids start from random rows"
BLOCK = 4096  # rows; fixed, because sums are rounded block by block


def pick(
    features: Float32,
    budget: int,
    *,
    labeled: NDArray[np.int64],
    candidates: NDArray[np.int64],
    seed: int = 0,
    progress: Progress = silent,
    tau: Annotated[float, Positive] = 0.07,
    lr: Annotated[float, Positive] = 1e-3,
    iterations: Annotated[int, NotNegative] = 300,
) -> Picks:
    """Train one centroid per pick, from random candidates; pick the nearest candidate of each.

    Centroids choose one after another, in the order of the draw, which is no rank. Labelled rows
    take part as centroids that do not move: they serve the rows near them and push the others.

    Parameters
    ----------
    tau : temperature (authors: 0.07).
    lr : step of Adam (authors: 1e-3).
    iterations : full-batch steps (authors: 300).
    """
    start = np.random.default_rng(seed).choice(candidates, budget, replace=False)
    table = as_table(features)
    centroids, fixed = table.take(start).astype(np.float64), table.take(labeled)
    mean, square = np.zeros_like(centroids), np.zeros_like(centroids)
    with one_blas_thread():
        for step in range(1, iterations + 1):
            _, gradient = loss_and_gradient(table, centroids, fixed, tau)
            mean = 0.9 * mean + 0.1 * gradient
            square = 0.999 * square + 0.001 * gradient**2
            scaled = np.sqrt(square / (1 - 0.999**step)) + 1e-8
            centroids -= lr * mean / (1 - 0.9**step) / scaled
            progress(step, iterations, "centroids")
        own = {"tau": tau, "lr": lr, "iterations": iterations}
        return Picks(_nearest_free(table, centroids, candidates), parameters=own)


def loss_and_gradient(
    table: Table, centroids: Values, fixed: NDArray[np.floating[Any]], tau: float
) -> tuple[float, NDArray[np.float64]]:
    """J and its gradient for ``centroids`` [m, d] of any length; in the precision of ``table``.

    Rows whose own centroid is one of ``fixed`` [L, d] have no part in either.
    """
    n, m = len(table), len(centroids)
    lengths = np.maximum(np.linalg.norm(centroids, axis=1, keepdims=True), 1e-12)
    unit = centroids / lengths
    anchors = np.concatenate([unit, fixed])
    closeness = unit @ anchors.T / tau
    top = closeness.max(axis=1, keepdims=True)
    pushes = np.exp(closeness - top)
    totals = pushes.sum(axis=1, keepdims=True)
    log_e = np.append((np.log(totals) + top)[:, 0], np.full(len(fixed), -np.inf))
    right = (anchors.T / tau).astype(fixed.dtype)

    def block(rows: NDArray[np.floating[Any]]) -> tuple[float, Values, Values]:
        similarity = rows @ right
        of = similarity.argmax(axis=1)
        log_odds = log_e[of] - similarity[np.arange(len(rows)), of]  # -inf if fixed: weight, J 0
        weight = 1 / (1 + np.exp(-np.maximum(log_odds, -700)))
        weight[np.isneginf(log_odds)] = 0
        spans = np.arange(len(rows) + 1)
        values, shape = weight.astype(rows.dtype), (len(anchors), len(rows))
        member = sparse.csc_matrix((values, of, spans), shape)
        pulls = np.asarray((member @ rows)[:m], dtype=np.float64)
        loss = float(np.logaddexp(0, log_odds).sum())
        shares = np.bincount(of, weight.astype(np.float64), minlength=len(anchors))
        return loss, pulls, np.asarray(shares[:m], dtype=np.float64)

    loss, pulls, weights = 0.0, np.zeros_like(unit), np.zeros(m)
    size = min(BLOCK, rows_per_block(8 * len(anchors)))
    for part_loss, part_pulls, part_weights in table.map(block, block=size):
        loss += part_loss
        pulls += part_pulls
        weights += part_weights
    gradient = (weights[:, None] * (pushes / totals @ anchors) - pulls) / (n * tau)
    along = (gradient * unit).sum(axis=1, keepdims=True) * unit
    return loss / n, (gradient - along) / lengths


def _nearest_free(
    table: Table, centroids: Values, candidates: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The candidate most similar to each centroid, each candidate once; int64 [m]."""
    taken = np.zeros(len(candidates), dtype=bool)
    order: list[int] = []
    for centroid in centroids.astype(np.float32):

        def along(points: Float32, centroid: Float32 = centroid) -> Float32:
            return np.asarray(points @ centroid)

        similarity = np.concatenate(list(table.map(along, rows=candidates, block=BLOCK)))
        similarity[taken] = -np.inf
        best = int(similarity.argmax())
        taken[best] = True
        order.append(best)
    return candidates[order]
