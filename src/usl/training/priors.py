"""What a method may be told about how frequent the classes are.

Nothing here is on unless asked for: a wrong prior costs more than a right one gains.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import UsageError

ClassPrior = Literal["uniform", "labels"] | None


def prior_shares(
    class_prior: ClassPrior,
    classes: NDArray[np.int64],
    weights: NDArray[np.float64],
    n_classes: int,
) -> NDArray[np.float64] | None:
    """Share of each class among all items, float64 [C] of sum 1; None where nothing is assumed.

    Parameters
    ----------
    class_prior : ``uniform``: all classes are equally frequent. ``labels``: each is as frequent as
        among the labels, by weight.
    classes, weights : int64 [n] with -1 for unlabelled items, float64 [n].
    """
    if class_prior not in (None, "uniform", "labels"):
        raise UsageError(
            f"class_prior: {class_prior!r} given; use uniform or labels, or leave it out."
        )
    if class_prior is None:
        return None
    if class_prior == "uniform":
        return np.full(n_classes, 1.0 / n_classes)
    rows = classes >= 0
    totals = np.bincount(classes[rows], weights=weights[rows], minlength=n_classes)
    return np.asarray(totals / totals.sum())


def match_shares(
    probabilities: NDArray[np.float64], shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Scale the classes so that their mean probabilities become ``shares``; rows sum to 1 again.

    The one factor per class is found by Sinkhorn's alternation of columns and rows.

    Parameters
    ----------
    probabilities : float64 [n, C]; shares : float64 [C] of sum 1.
    """
    factors = np.ones(len(shares))
    for _ in range(300):
        rows = np.einsum("nc,c->n", probabilities, factors)
        found = factors * np.einsum("nc,n->c", probabilities, 1.0 / np.maximum(rows, 1e-300))
        found /= len(probabilities)
        if np.abs(found - shares).max() < 1e-6:
            break
        factors *= shares / np.maximum(found, 1e-300)
        factors = np.clip(factors / factors.max(), 1e-100, 1.0)
    scaled = probabilities * factors
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True))
