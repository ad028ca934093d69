"""DebiasPL: what the model predicts too often by habit is taken off its pseudo-labels.

Source: X. Wang, Z. Wu, L. Lian, S. X. Yu, "Debiased learning from naturally imbalanced
pseudo-labels", CVPR 2022, sections 4.1 (counterfactual reasoning) and 4.2 (adaptive margins). The
second pair of views and the group loss are those of the code released with it,
frank-xwang/debiased-pseudo-labeling; its paper has neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from usl.core.parameters import NotNegative
from usl.learning.loop import Views
from usl.learning.moving_mean import MovingMean
from usl.learning.optim import Optimizer
from usl.learning.precision import full_precision
from usl.learning.ranks import gather
from usl.learning.recipe import Recipe
from usl.training.networks.fixmatch import EMAN, FixMatch, pseudo_label_loss
from usl.training.networks.fixmatch import RECIPES as FIXMATCH

GROUP_TEMPERATURE = 0.07

RECIPES = {
    "cpu": FIXMATCH["cpu"],
    "cifar": FIXMATCH["cifar"],
    # The authors' scripts for 0.2%; for 1%, momentum 0.999 and a group loss of 0.3.
    "imagenet": Recipe(
        Optimizer("sgd", lr=0.003, weight_decay=1e-4, decay_all=True, warmup=0.1),
        batch_size=64,
        ratio=5,
        steps=200_000,
        labeled_in_unlabeled=False,
        parameters={
            "tau": 0.8,
            "lam": 10.0,
            "eman": True,
            "pairs": 2,
            "group": 0.1,
            **EMAN,
        },
        network="resnet50",
        whole=True,
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
    pairs : of a weak and a strong view of every unlabelled image. With 2, either weak view and the
        mean of both give a pseudo-label, and either strong view is taught all three.
    group : weight of the loss of those groups of images that have their least likely class in
        common, CLD's on probabilities.

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
        pairs: Literal[1, 2] = 1,
        group: Annotated[float, NotNegative] = 0.0,
        **shared: Any,
    ) -> None:
        super().__init__(backbone, n_classes, **shared)
        self.t, self.pairs, self.group = t, pairs, group
        self.habit = MovingMean(torch.full((n_classes,), 1 / n_classes), momentum)

    def views(self, batch: Mapping[str, Any], generator: torch.Generator) -> Views:
        """As in :class:`FixMatch`; of a second pair the views come after those of the first."""
        views = super().views(batch, generator)
        if self.pairs > 1:
            others = super().views(batch, generator)
            views |= {name: torch.cat([views[name], others[name]]) for name in ("weak", "strong")}
        return views

    def consistency(
        self, weak: Tensor, strong: Tensor, views: Views
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """FixMatch's, of z_w - t log q_(t-1) and z_s + t log q_t.

        Without its bias a prediction names a class; the margin makes the model earn it, the more
        the rarer the class: log q is least there. Of two pairs it is the mean of all.
        """
        mean, parts = self.mean_of_pairs(weak), weak.chunk(self.pairs)
        bias = self.t * log(self.habit.value)
        # q is the mean of what the model says itself: with the bias.
        habit = self.habit(gather(mean).softmax(1).mean(0))
        margin = self.t * log(habit)
        losses, shares = [], []
        for told in (mean, *parts) if self.pairs > 1 else parts:
            confidence, hard = (told - bias).softmax(1).max(1)
            counted = (confidence >= self.tau).to(strong.dtype)
            shares.append(counted.mean())
            losses += [
                pseudo_label_loss(own + margin, hard, counted) for own in strong.chunk(self.pairs)
            ]
        figures = {"above_tau": torch.stack(shares).mean(), "rarest": habit.min()}
        return torch.stack(losses).mean(), figures

    def others(self, weak: Tensor, strong: Tensor) -> tuple[Tensor | float, dict[str, Tensor]]:
        """The group loss."""
        if not self.group:
            return 0.0, {}
        loss = group_loss(self.mean_of_pairs(weak), self.mean_of_pairs(strong))
        return self.group * loss, {"group_loss": loss.detach()}

    def mean_of_pairs(self, logits: Tensor) -> Tensor:
        """The mean over the views of each image, [u, C] of [pairs u, C]."""
        return torch.stack(logits.chunk(self.pairs)).mean(0)

    def after_step(self) -> None:
        """Move the teacher and q."""
        super().after_step()
        self.habit.after_step()


build = DebiasPL


@full_precision
def group_loss(weak: Tensor, strong: Tensor) -> Tensor:
    """Mean over the images of CE(p_s C^T / 0.07, l), with p the softmax of the logits.

    l is an image's least likely class by its weak view, and row k of C the mean p_w of the images
    that have the least likely class k; 0 where there is none.

    Parameters
    ----------
    weak, strong : logits [u, C]; no gradient goes through ``weak``.
    """
    told = weak.detach().softmax(1)
    groups = told.argmin(1)
    members = functional.one_hot(groups, told.shape[1]).to(told.dtype)
    centroids = members.T @ told / members.sum(0).clamp(min=1)[:, None]
    return functional.cross_entropy(strong.softmax(1) @ centroids.T / GROUP_TEMPERATURE, groups)


def log(habit: Tensor) -> Tensor:
    """Log q; finite for a class that is never predicted."""
    return habit.clamp(min=1e-8).log()
