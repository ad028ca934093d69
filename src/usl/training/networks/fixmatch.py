"""FixMatch: what the model is sure of on a weak view, it has to say on a strong one too.

Source: K. Sohn et al., "FixMatch: simplifying semi-supervised learning with consistency and
confidence", NeurIPS 2020, Eq. 3-4; with ``eman``: Z. Cai et al., "Exponential moving average
normalization for self-supervised and semi-supervised learning", CVPR 2021.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from usl.learning.augment import ViewPair, view_of, view_pair
from usl.learning.loop import Views
from usl.learning.optim import Optimizer
from usl.learning.precision import full_precision
from usl.learning.recipe import Recipe
from usl.training.shared.student import Student, labeled_loss

# Its teacher's pace is constant, and its last layer begins as torch's.
EMAN = {"ema_warmup": False, "uniform_head": True}

RECIPES = {
    "cpu": Recipe(
        Optimizer("sgd", lr=0.03, weight_decay=5e-4, nesterov=True, schedule="fixmatch"),
        batch_size=16,
        ratio=4,
        steps=900,
    ),
    # The authors' settings; the paper of this project (6.12) takes a weight decay of 1e-3, and the
    # code kekmodel/FixMatch-pytorch.
    "cifar": Recipe(
        Optimizer("sgd", lr=0.03, weight_decay=1e-3, nesterov=True, schedule="fixmatch"),
        batch_size=64,
        ratio=7,
        steps=2**20,
        parameters={"views": "fixmatch-pytorch", "ema_warmup": False},
        network="wrn28_2",
    ),
    # 6.12: 50 epochs over 1.28 M images, 5 of them warm-up, rate times 0.1 at 30 and 40.
    "imagenet": Recipe(
        Optimizer(
            "sgd",
            lr=0.03,
            weight_decay=1e-4,
            decay_all=True,
            schedule="steps",
            warmup=0.1,
            milestones=(0.6, 0.8),
        ),
        batch_size=64,
        ratio=5,
        steps=200_000,
        labeled_in_unlabeled=False,  # EMAN draws from the other 99%
        parameters={"tau": 0.7, "lam": 10.0, "eman": True, **EMAN},
        network="resnet50",
        whole=True,
    ),
}


class Consistency(Student):
    """What the model says of a weak view is what it is taught to say of a strong one.

    Parameters
    ----------
    views : the weak and the strong one: ``fixmatch``'s, or ``fixmatch-pytorch`` with a cutout that
        is a pixel longer; ``usb``'s, the authors' library, with RandAugment(3, 5), or
        ``usb-large`` for large pictures; ``eman``'s.
    lam : lambda_u, weight of the unlabelled loss.
    eman : the moving average, its batch statistics averaged too, gives the pseudo-labels; views
        are EMAN's: random crops of 8% of the image and more, flips, and for the strong ones
        RandAugment(2, 10) without cutout.
    flip : mirror half of the views; off where left and right matter, as in digits and letters.
    """

    def __init__(
        self,
        backbone: Any,
        n_classes: int,
        *,
        views: ViewPair = "fixmatch",
        lam: float = 1.0,
        eman: bool = False,
        flip: bool = True,
        **shared: Any,
    ) -> None:
        weak, strong = view_pair("eman" if eman else views, backbone.size, flip)
        super().__init__(backbone, n_classes, weak, eman, **shared)
        self.strong, self.lam = strong, lam

    def views(self, batch: Mapping[str, Any], generator: torch.Generator) -> Views:
        """As in :class:`Student`, and ``weak`` and ``strong`` views of the unlabelled images."""
        return {
            **super().views(batch, generator),
            "weak": view_of(batch, "unlabeled", self.weak, generator),
            "strong": view_of(batch, "unlabeled", self.strong, generator),
        }

    def forward(self, views: Views) -> tuple[Tensor, dict[str, Tensor]]:
        """L = L_x + lambda_u L_u."""
        labeled, weak, strong = self.logits(views)
        supervised = labeled_loss(labeled, views["classes"], views["weights"])
        unsupervised, figures = self.consistency(weak, strong, views)
        others, more = self.others(weak, strong)
        return supervised + self.lam * unsupervised + others, {
            "labeled_loss": supervised.detach(),
            "unlabeled_loss": unsupervised.detach(),
            **figures,
            **more,
        }

    def consistency(
        self, weak: Tensor, strong: Tensor, views: Views
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """L_u of logits [b, C] and figures to log."""
        raise NotImplementedError

    def others(self, weak: Tensor, strong: Tensor) -> tuple[Tensor | float, dict[str, Tensor]]:
        """What else the loss of a step consists of, with its weight, and figures to log."""
        return 0.0, {}

    def logits(self, views: Views) -> tuple[Tensor, Tensor, Tensor]:
        """Of the labelled, weak and strong views; one batch, so that they share statistics."""
        parts = [views["labeled"], views["strong"]]
        if self.eman:
            with torch.no_grad():
                weak = self.teacher(views["weak"])
            labeled, strong = self.classifier(torch.cat(parts)).split([len(p) for p in parts])
            return labeled, weak, strong
        parts.insert(1, views["weak"])
        labeled, weak, strong = self.classifier(torch.cat(parts)).split([len(p) for p in parts])
        return labeled, weak.detach(), strong


class FixMatch(Consistency):
    """A student that teaches itself, or with ``eman`` is taught by its teacher.

    Parameters
    ----------
    tau : confidence from which a pseudo-label counts.
    """

    def __init__(self, backbone: Any, n_classes: int, *, tau: float = 0.95, **shared: Any) -> None:
        super().__init__(backbone, n_classes, **shared)
        self.tau = tau

    def consistency(
        self, weak: Tensor, strong: Tensor, views: Views
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of those images that the model is sure of."""
        loss, counted = unlabeled_loss(weak, strong, self.tau)
        return loss, {"above_tau": counted}


build = FixMatch


@full_precision
def unlabeled_loss(weak: Tensor, strong: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """Eq. 4: mean over the batch of 1(max p >= tau) CE(strong, argmax p), p = softmax(weak).

    Parameters
    ----------
    weak, strong : logits [b, C]; no gradient goes through ``weak``.

    Returns
    -------
    loss : scalar.
    counted : share of the images that are sure enough.
    """
    confidence, hard = weak.detach().softmax(1).max(1)
    sure = (confidence >= tau).to(strong.dtype)
    return pseudo_label_loss(strong, hard, sure), sure.mean()


@full_precision
def pseudo_label_loss(strong: Tensor, hard: Tensor, weights: Tensor) -> Tensor:
    """Mean over the batch, not over the weights, of w_i CE(strong_i, hard_i).

    Parameters
    ----------
    strong : logits [b, C]; hard : pseudo-labels, int64 [b]; weights : float [b], 0 leaves out.
    """
    return (functional.cross_entropy(strong, hard, reduction="none") * weights).mean()
