"""FreeMatch: the thresholds follow how sure the model is, over all and of every class.

Source: Y. Wang et al., "FreeMatch: self-adaptive thresholding for semi-supervised learning",
ICLR 2023, section 4.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from usl.learning.loop import Views
from usl.learning.moving_mean import MovingMean
from usl.learning.precision import full_precision
from usl.learning.ranks import gather
from usl.training.networks.fixmatch import Consistency, pseudo_label_loss
from usl.training.networks.flexmatch import RECIPES as FLEXMATCH

RECIPES = {
    # 1,200 steps are too few for a mean over the last 1,000.
    "cpu": FLEXMATCH["cpu"].with_parameters(momentum=0.99),
    # 0.001 is what the authors' configuration has for 40 labels of CIFAR-10.
    "cifar": FLEXMATCH["cifar"].with_parameters(fairness=0.001),
    # No configuration has been released: FlexMatch's, and the default of the authors' library.
    "imagenet": FLEXMATCH["imagenet"].with_parameters(fairness=0.01),
}


class FreeMatch(Consistency):
    """FixMatch with thresholds that adapt themselves.

    Parameters
    ----------
    momentum : share of the moving means (confidence, class probabilities, histogram) that stays in
        a step; less for short trainings.
    fairness : w_f, weight of the fairness loss relative to the unlabelled one; it is meant to keep
        predictions from gathering in few classes. The literature's presets have 0.001 and 0.01;
        0 leaves it out, where classes may be unequally frequent.

    Attributes
    ----------
    confidence : tau_t, mean of the greatest probability; at first 1 / C.
    expected : p~_t, mean probability of each class [C]; at first 1 / C.
    histogram : h~_t, share of the images whose pseudo-label is each class [C]; at first 1 / C.
    """

    def __init__(
        self,
        backbone: Any,
        n_classes: int,
        *,
        momentum: float = 0.999,
        fairness: float = 0.0,
        **shared: Any,
    ) -> None:
        super().__init__(backbone, n_classes, **shared)
        self.fairness = fairness
        even = torch.full((n_classes,), 1 / n_classes)
        self.confidence = MovingMean(even.mean(), momentum)
        self.expected = MovingMean(even.clone(), momentum)
        self.histogram = MovingMean(even.clone(), momentum)

    def consistency(
        self, weak: Tensor, strong: Tensor, views: Views
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """L_u + w_f L_f, above thresholds that this batch has moved already."""
        everyone = gather(weak).softmax(1)
        surest, classes = everyone.max(1)
        counts = torch.bincount(classes, minlength=everyone.shape[1])
        histogram = self.histogram(counts / len(classes))
        expected = self.expected(everyone.mean(0))
        bars = thresholds(self.confidence(surest.mean()), expected)
        confidence, hard = weak.softmax(1).max(1)
        counted = confidence >= bars[hard]
        loss = pseudo_label_loss(strong, hard, counted.to(strong.dtype))
        figures = {"above_threshold": counted.float().mean(), "threshold": bars.max()}
        if self.fairness:
            fair = fairness_loss(strong, counted, expected, histogram)
            loss = loss + self.fairness * fair
            figures["fairness_loss"] = fair.detach()
        return loss, figures

    def after_step(self) -> None:
        """Move the teacher and the means."""
        super().after_step()
        for mean in (self.confidence, self.expected, self.histogram):
            mean.after_step()


build = FreeMatch


def thresholds(confidence: Tensor, expected: Tensor) -> Tensor:
    """tau(c) = tau p~(c) / max_c' p~(c'), float [C]: the surest class has the threshold tau.

    Parameters
    ----------
    confidence : tau, a scalar; expected : p~, float [C].
    """
    return confidence * expected / expected.max()


@full_precision
def fairness_loss(strong: Tensor, counted: Tensor, expected: Tensor, histogram: Tensor) -> Tensor:
    """L_f = -H(a, b) = sum over c of a_c log b_c, with

        a = norm(p~ / h~),    b = norm(p / h),    norm(x) = x / sum(x)

    where p is the mean probability of the strong views that are counted, and h the shares of the
    classes among their likeliest. Classes that are the likeliest of no view (h_c = 0) are left out
    of b: nothing can be learned from them, so that the sum is over the others. 0 where no view is
    counted. Over the views of one process; p~ and h~ are of all.

    Parameters
    ----------
    strong : logits [b, C]; counted : bool [b]; expected, histogram : p~ and h~, float [C].
    """
    probabilities = strong.softmax(1)[counted]
    if len(probabilities) == 0:
        return strong.sum() * 0
    shares = torch.bincount(probabilities.argmax(1), minlength=strong.shape[1])
    present = shares > 0
    a = expected / histogram.clamp(min=torch.finfo(histogram.dtype).tiny)
    b = probabilities.mean(0)[present] / shares[present]
    return ((a / a.sum())[present] * (b / b.sum()).log()).sum()
