"""Second opinions: what each label would be judged to be by all the others.

Items are averaged over their surroundings (``STEPS`` half steps over the neighbour graph, where
there is one) and scaled to unit length. Each label is left out in turn; its item then goes to the
class means of the others with probability softmax(cosine / temperature). The temperature is the
one at which the given labels are likeliest. A label that gets little is suspicious: wrong, or of an
item that is unlike its class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize_scalar

from usl.numeric.arrays import TINY, Float32, softmax
from usl.numeric.blocks import one_blas_thread
from usl.training.unlike import row_normalized

SUSPICIOUS = 0.05  # support below this is told
STEPS = 2
COLDEST, HOTTEST = 0.05, 0.5  # temperatures

Values = NDArray[np.float64]


@dataclass(frozen=True)
class SecondOpinions:
    """What the other labels say of each of m labels.

    ``classes`` int64 [m], the likeliest class, -1 where there is no saying: the only label of its
    class. ``support`` float64 [m], the probability of the class that was given, then NaN.
    """

    classes: NDArray[np.int64]
    support: Values


def second_opinions(
    points: Float32, graph: sparse.csr_matrix | None, rows: NDArray[np.int64], votes: Values
) -> SecondOpinions:
    """Judge each label by the others.

    Parameters
    ----------
    points : float32 [n, e], unit rows, centred.
    graph : W, symmetric, sparse [n, n]; None: items are taken as they are.
    rows : int64 [m], the labelled items; ``votes`` float64 [m, C], their one-hot labels times their
        weights.
    """
    given = votes.argmax(axis=1)
    weights = votes[np.arange(len(rows)), given]
    with one_blas_thread():
        own = _unit(_surroundings(points, graph, rows))
        sums = votes.T @ own
        cosines = own @ _unit(sums).T
        left = sums[given] - weights[:, None] * own
        cosines[np.arange(len(rows)), given] = np.einsum("me,me->m", own, _unit(left))
    totals = votes.sum(axis=0)
    cosines[:, totals <= TINY] = -np.inf
    known = totals[given] - weights > TINY * np.maximum(totals[given], 1)
    known &= np.bincount(given, minlength=len(totals))[given] > 1
    found = np.where(known, cosines.argmax(axis=1), -1)
    support = np.full(len(rows), np.nan)
    if known.any():
        chances = softmax(cosines[known] / _temperature(cosines[known], given[known]))
        support[known] = chances[np.arange(len(chances)), given[known]]
    return SecondOpinions(found, support)


def _surroundings(
    points: Float32, graph: sparse.csr_matrix | None, rows: NDArray[np.int64]
) -> Values:
    """The labelled items averaged over the graph, float64 [m, e]; only they are computed."""
    if graph is None:
        return points[rows].astype(np.float64)
    step = 0.5 * (sparse.identity(graph.shape[0], format="csr") + row_normalized(graph))
    reach = step[rows]
    for _ in range(STEPS - 1):
        reach = reach @ step
    return np.asarray(reach @ points)


def _temperature(cosines: Values, given: NDArray[np.int64]) -> float:
    """The temperature at which the given labels are likeliest."""

    def loss(log_temperature: float) -> float:
        logits = cosines / np.exp(log_temperature)
        top = logits.max(axis=1)
        total = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
        return float((total - logits[np.arange(len(given)), given]).mean())

    bounds = (float(np.log(COLDEST)), float(np.log(HOTTEST)))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def _unit(rows: Values) -> Values:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), TINY))
