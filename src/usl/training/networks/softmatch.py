"""SoftMatch: every image counts, the less the further its confidence is below the mean.

Source: H. Chen et al., "SoftMatch: addressing the quantity-quality trade-off in semi-supervised
learning", ICLR 2023, section 3.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor

from usl.core.parameters import Positive
from usl.learning.loop import Views
from usl.learning.moving_mean import MovingMean
from usl.learning.ranks import gather
from usl.training.networks.fixmatch import Consistency, pseudo_label_loss
from usl.training.networks.flexmatch import RECIPES as FLEXMATCH

RECIPES = {
    # 1,200 steps are too few for a mean over the last 1,000.
    "cpu": FLEXMATCH["cpu"].with_parameters(momentum=0.99),
    "cifar": FLEXMATCH["cifar"].with_parameters(align=True),
    # No configuration has been released: FlexMatch's.
    "imagenet": FLEXMATCH["imagenet"].with_parameters(align=True),
}


class SoftMatch(Consistency):
    """FixMatch with weights for its threshold.

    Parameters
    ----------
    momentum : share of the moving means of the confidence that stays in a step; less for short
        trainings.
    n_sigma : n, how fast a weight falls: one standard deviation below the mean it is exp(-n^2 / 2).
    align : uniform alignment: weigh images as if all classes were equally frequent. Only where
        they are; on in the literature's presets.

    Attributes
    ----------
    mean, variance : mu_t and sigma_t^2 of the confidence; at first 1 / C and 1.
    expected : p~_t, mean probability of each class [C]; at first that of the first batch. Moves
        with ``align`` only.
    """

    def __init__(
        self,
        backbone: Any,
        n_classes: int,
        *,
        momentum: float = 0.999,
        n_sigma: Annotated[float, Positive] = 2.0,
        align: bool = False,
        **shared: Any,
    ) -> None:
        super().__init__(backbone, n_classes, **shared)
        self.n_sigma, self.align = n_sigma, align
        even = torch.full((n_classes,), 1 / n_classes)
        self.mean = MovingMean(even.mean(), momentum)
        self.variance = MovingMean(torch.ones(()), momentum)
        self.expected = MovingMean(even, momentum, from_first=True)

    def consistency(
        self, weak: Tensor, strong: Tensor, views: Views
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean of weight times CE(strong, argmax weak); this batch has moved the means already."""
        own, everyone = weak.softmax(1), gather(weak).softmax(1)
        hard = own.argmax(1)
        if self.align:
            expected = self.expected(everyone.mean(0))
            own, everyone = aligned(own, expected), aligned(everyone, expected)
        surest = everyone.amax(1)
        mean = self.mean(surest.mean())
        variance = self.variance(surest.var(correction=min(1, len(surest) - 1)))
        weights = gaussian_weights(own.amax(1), mean, variance, self.n_sigma)
        return pseudo_label_loss(strong, hard, weights), {"weight": weights.mean()}

    def after_step(self) -> None:
        """Move the teacher and the means."""
        super().after_step()
        for mean in (self.mean, self.variance, self.expected):
            mean.after_step()


build = SoftMatch


def gaussian_weights(confidence: Tensor, mean: Tensor, variance: Tensor, n_sigma: float) -> Tensor:
    """exp(-min(0, c - mu)^2 n^2 / (2 sigma^2)) of each confidence c, float [b], 0 to 1.

    Parameters
    ----------
    confidence : float [b]; mean, variance : mu and sigma^2, scalars; n_sigma : n.
    """
    below = (confidence - mean).clamp(max=0)
    return torch.exp(-below.square() * n_sigma**2 / (2 * variance.clamp(min=1e-12)))


def aligned(probabilities: Tensor, expected: Tensor) -> Tensor:
    """UA(p) = norm(p / (C p~)), rows of [b, C]: as if the mean over the images were uniform.

    Parameters
    ----------
    probabilities : rows p [b, C]; expected : p~, float [C].
    """
    ratio = probabilities / expected.clamp(min=1e-6)
    return ratio / ratio.sum(1, keepdim=True)
