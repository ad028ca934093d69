"""The losses of USL-T (paper 2.3), each as value and gradient with respect to the logits.

For heads on frozen features, without torch; the network that is trained end to end has its own
(:mod:`usl.selection.methods.usl_t.network`). Every gradient has the form prediction minus target,
divided by the batch size: the target is a constant, as in the paper's KL(target || y-hat).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from usl.numeric.arrays import TINY, Float32, Rows, Values, softmax

Reweight = Literal["off", "sure", "batch"]


def global_loss(
    prediction: Float32,
    reference: Float32,
    *,
    tau: float,
    weights: Float32 | None = None,
) -> tuple[float, Float32]:
    """Learnable k-means (Eq. 10): KL(y || y-hat) over the items that are sure of their cluster.

    Parameters
    ----------
    prediction : soft assignments [b, C], the softmax of the logits to be trained.
    reference : soft assignments [b, C] that give the hard ones y (Eq. 8, whose argmin over the
        similarity is an argmax) and the confidence; the same array where there are no views.
    tau : items whose largest ``reference`` is below this do not count.
    weights : per item [b], those of :func:`class_weights`; None for equal weights.

    Returns
    -------
    The loss and its gradient [b, C] with respect to the logits behind ``prediction``.
    """
    rows = np.arange(len(prediction))
    hard = reference.argmax(axis=1)
    counted = (reference[rows, hard] >= tau).astype(prediction.dtype)
    if weights is not None:
        counted = counted * weights
    chosen = np.maximum(prediction[rows, hard], TINY)
    value = float(-(counted * np.log(chosen)).sum() / len(rows))
    return value, global_gradient(prediction, hard, counted, len(rows))


def global_gradient(prediction: Float32, hard: Rows, counted: Float32, batch: int) -> Float32:
    """The gradient of :func:`global_loss` for some of ``batch`` items, [b, C]; 0 for the others.

    ``counted`` [b] : 1, or the weight, of those that are sure of their cluster ``hard`` [b].
    """
    gradient = prediction * counted[:, None]
    gradient[np.arange(len(hard)), hard] -= counted
    gradient /= np.float32(batch)
    return gradient


def class_weights(confidence: Float32, hard: Rows, tau: float, by: Reweight = "sure") -> Float32:
    """Weights [b] that give every cluster the same share of Eq. 10, as the released code does.

    With n the items of the batch that are sure of their cluster and n_c those of them in cluster
    c, a sure item weighs n / n_c and any other 0. :func:`global_loss` then divides by the batch.

    Parameters
    ----------
    confidence, hard : largest soft assignment and its cluster, of every item of the batch [b].
    tau : items below are not sure.
    by : ``batch`` leaves it at that (the release's CIFAR-100 run); ``sure`` scales to a mean of 1
        over the batch, for the weighted mean over the sure ones (its CIFAR-10 run).
    """
    sure = confidence >= tau
    weights = np.zeros(len(hard))
    if sure.any():
        counts = np.bincount(hard[sure])
        weights[sure] = 1.0 / counts[hard[sure]]
        weights *= len(weights) / weights.sum() if by == "sure" else sure.sum()
    return weights.astype(np.float32)


def local_target(neighbor_logits: Float32, mean: Values, *, alpha: float, t: float) -> Float32:
    """P(z', z-bar, t) of Eq. 11 and 13: the neighbour's assignment, adjusted and sharpened.

    Parameters
    ----------
    neighbor_logits : z' [b, C], of one random neighbour of each item.
    mean : z-bar [C], moving average of the assignments; clusters above average are held back.
    alpha : strength of the adjustment, against one cluster taking all.
    t : temperature, against equal shares for everyone.
    """
    adjustment = (alpha * np.log(np.maximum(mean, TINY))).astype(neighbor_logits.dtype)
    sharpened = neighbor_logits - adjustment
    sharpened /= neighbor_logits.dtype.type(t)
    return softmax(sharpened, out=sharpened)


def local_loss(prediction: Float32, target: Float32) -> tuple[float, Float32]:
    """Neighbours share a cluster (Eq. 14): mean KL(target || y-hat), and its gradient [b, C].

    ``target`` [b, C] comes from :func:`local_target` and is a constant.
    """
    ratio = np.log(np.maximum(target, TINY)) - np.log(np.maximum(prediction, TINY))
    value = float((target * ratio).sum() / len(prediction))
    return value, local_gradient(prediction, target)


def local_gradient(prediction: Float32, target: Float32) -> Float32:
    """The gradient of :func:`local_loss`, [b, C]."""
    gradient = prediction - target
    gradient /= np.float32(len(prediction))
    return gradient


def moving_mean(mean: Values, batch_mean: Values, momentum: float) -> Values:
    """z-bar of Eq. 12 after a batch whose mean assignment is ``batch_mean`` [C]."""
    return np.asarray(momentum * batch_mean + (1 - momentum) * mean)
