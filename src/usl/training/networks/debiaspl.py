"""DebiasPL: what the model predicts too often by habit is taken off its pseudo-labels.

Source: X. Wang, Z. Wu, L. Lian, S. X. Yu, "Debiased learning from naturally imbalanced
pseudo-labels", CVPR 2022, sections 4.1 (counterfactual reasoning) and 4.2 (adaptive margins).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from usl.learning.loop import Views
from usl.learning.moving_mean import MovingMean
from usl.learning.optim import Optimizer
from usl.learning.ranks import gather
from usl.learning.recipe import Recipe
from usl.training.networks.fixmatch import RECIPES as FIXMATCH
from usl.training.networks.fixmatch import FixMatch, pseudo_label_loss

RECIPES = {
    "cpu": FIXMATCH["cpu"],
    "cifar": FIXMATCH["cifar"],
    # The authors' scripts for 0.2% (for 1%, momentum 0.999), without their second pair of views
    # and their CLD loss.
    "imagenet": Recipe(
        Optimizer("sgd", lr=0.003, weight_decay=1e-4, decay_all=True, warmup=0.1),
        batch_size=64,
        ratio=5,
        steps=200_000,
        labeled_in_unlabeled=False,
        parameters={"tau": 0.8, "lam": 10.0, "eman": True},
        network="resnet50",
    ),
}


class DebiasPL(FixMatch):
    """FixMatch without the bias.

    Parameters
    ----------
    tau : confidence, after the bias is taken off, from which a pseudo-label counts.
    t : how much of the bias is taken off, and put on as a margin; 0 is FixMatch. It evens the
        classes out, part of the way at t = 0.4.
    momentum : share of the mean prediction that stays in a step.

    Attributes
    ----------
    habit : q_t, mean probability of each class on the weak views [C]; at first 1 / C.
    """

    def __init__(
        self,
        backbone: Any,
        n_classes: int,
        *,
        t: float = 0.4,
        momentum: float = 0.99,
        **shared: Any,
    ) -> None:
        super().__init__(backbone, n_classes, **shared)
        self.t = t
        self.habit = MovingMean(torch.full((n_classes,), 1 / n_classes), momentum)

    def consistency(
        self, weak: Tensor, strong: Tensor, views: Views
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """FixMatch's, of z_w - t log q_(t-1) and z_s + t log q_t.

        Without its bias a prediction names a class; the margin makes the model earn it, the more
        the rarer the class: log q is least there.
        """
        confidence, hard = (weak - self.t * log(self.habit.value)).softmax(1).max(1)
        counted = (confidence >= self.tau).to(strong.dtype)
        # q is the mean of what the model says itself: with the bias.
        habit = self.habit(gather(weak).softmax(1).mean(0))
        figures = {"above_tau": counted.mean(), "rarest": habit.min()}
        return pseudo_label_loss(strong + self.t * log(habit), hard, counted), figures

    def after_step(self) -> None:
        """Move the teacher and q."""
        super().after_step()
        self.habit.after_step()


build = DebiasPL


def log(habit: Tensor) -> Tensor:
    """Log q; finite for a class that is never predicted."""
    return habit.clamp(min=1e-8).log()
