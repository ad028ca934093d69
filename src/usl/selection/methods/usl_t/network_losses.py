"""The losses of USL-T for a network that is trained end to end, for all heads at once (2.3).

Those for heads on frozen features, with the equations, are
:mod:`usl.selection.methods.usl_t.losses`; torch derives the gradients here.
"""

from __future__ import annotations

from torch import Tensor

from usl.numeric.arrays import TINY
from usl.selection.methods.usl_t.losses import Reweight


def global_loss(prediction: Tensor, hard: Tensor, counted: Tensor) -> Tensor:
    """Eq. 10 for every head: float [H].

    Parameters
    ----------
    prediction : log y-hat of the strong views [H, b, C].
    hard : clusters of the plain pictures [H, b].
    counted : weights [H, b], 0 for those that are not sure enough.
    """
    chosen = prediction.gather(2, hard[..., None])[..., 0]
    return -(chosen * counted).mean(1)


def class_weights(hard: Tensor, sure: Tensor, n_clusters: int, by: Reweight = "sure") -> Tensor:
    """:func:`usl.selection.methods.usl_t.losses.class_weights` for every head, float [H, b].

    Parameters
    ----------
    hard : clusters of the plain pictures [H, b]; sure : which are sure enough, bool [H, b].
    by : ``sure`` for the weighted mean over the sure ones, ``batch`` to divide by the batch.
    """
    counted = sure.float()
    counts = counted.new_zeros(len(hard), n_clusters).scatter_add_(1, hard, counted)
    weights = counted / counts.gather(1, hard).clamp(min=1)
    if by == "batch":
        return weights * counted.sum(1, keepdim=True)
    return weights / weights.mean(1, keepdim=True).clamp(min=TINY)


def local_target(neighbor: Tensor, mean: Tensor, *, alpha: float, t: float) -> Tensor:
    """P(z', z-bar, t) of Eq. 11 and 13: [H, b, C] from logits [H, b, C] and means [H, C]."""
    adjusted = neighbor - alpha * mean.clamp(min=TINY).log()[:, None]
    return (adjusted / t).softmax(2)


def local_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Eq. 14 for every head: KL(target || y-hat) [H]; ``prediction`` is log y-hat."""
    ratio = target.clamp(min=TINY).log() - prediction
    return (target * ratio).sum(2).mean(1)
