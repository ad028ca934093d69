"""Class shares (priors): told by the user, or estimated from the labels.

Being told is never the default: a wrong prior costs more than a right one gains. What is found out
is rough, but labels answer for unequal parts of the collection, and it is those parts that count:
without it a class with many labels close together grows at the cost of others.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from usl.core.parameters import check_value
from usl.numeric.arrays import Float32, softmax
from usl.numeric.blocks import map_blocks, rows_per_block

ClassPrior = Literal["uniform", "labels", "off"] | None

TEMPERATURE = 0.05  # of the votes: about the nearest few labels count
TOWARDS_EQUAL = 0.1  # a label's share for all classes alike: none is driven out
SAMPLE = 8192  # items that the votes are counted on


def prior_shares(
    class_prior: ClassPrior,
    features: Float32,
    classes: NDArray[np.int64],
    weights: NDArray[np.float64],
    n_classes: int,
) -> NDArray[np.float64] | None:
    """Share of each class among all items, float64 [C] of sum 1; None where nothing is held.

    Parameters
    ----------
    class_prior : ``uniform``: all classes are equally frequent. ``labels``: each is as frequent as
        among the labels, by weight. None: found out by :func:`voted_shares`. ``off``: nothing.
    features : float32 [n, d], unit rows.
    classes, weights : int64 [n] with -1 for unlabelled items, float64 [n].
    """
    check_value("class_prior", class_prior, ClassPrior)
    if class_prior == "off":
        return None
    if class_prior is None:
        return voted_shares(features, classes, weights, n_classes)
    if class_prior == "uniform":
        return np.full(n_classes, 1.0 / n_classes)
    rows = classes >= 0
    totals = np.bincount(classes[rows], weights=weights[rows], minlength=n_classes)
    return np.asarray(totals / totals.sum())


def voted_shares(
    features: Float32,
    classes: NDArray[np.int64],
    weights: NDArray[np.float64],
    n_classes: int,
) -> NDArray[np.float64]:
    """Mean vote of the labels on all items, float64 [C] of sum 1.

    Label j has the share w_j exp(x . x_j / ``TEMPERATURE``) in the vote on item x. Temperatures of
    0.02 and 0.1 and the single nearest label were no better on digits and Fashion-MNIST, balanced
    and not.
    """
    labelled = np.flatnonzero(classes >= 0)
    supports = features[labelled].T
    log_weights = np.log(np.maximum(weights[labelled], 1e-12)).astype(np.float32)
    sample = features[:: max(1, len(features) // SAMPLE)]

    def block(start: int, stop: int) -> NDArray[np.float64]:
        logits = sample[start:stop] @ supports / np.float32(TEMPERATURE) + log_weights
        return np.asarray(softmax(logits).sum(axis=0, dtype=np.float64))

    votes = sum(map_blocks(block, len(sample), rows_per_block(8 * len(labelled))))
    totals = np.bincount(classes[labelled], weights=votes, minlength=n_classes)
    return np.asarray((1 - TOWARDS_EQUAL) * totals / totals.sum() + TOWARDS_EQUAL / n_classes)


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
