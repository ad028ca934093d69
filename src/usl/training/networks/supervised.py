"""Labels only: what the other methods have to beat.

Every preset is FixMatch's without the unlabelled images, so that the difference between the two
is what those images are worth.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from usl.learning.augment import ResizedCropFlip, Weak
from usl.learning.loop import Views
from usl.training.networks.fixmatch import RECIPES as FIXMATCH
from usl.training.shared.student import Student, labeled_loss

RECIPES = {
    "cpu": replace(FIXMATCH["cpu"], ratio=0),
    "cifar": replace(FIXMATCH["cifar"], ratio=0),
    "imagenet": replace(FIXMATCH["imagenet"], ratio=0, parameters={"crop": True}),
}


def build(
    backbone: Any,
    n_classes: int,
    *,
    seed: int = 0,
    ema: float = 0.999,
    crop: bool = False,
    flip: bool = True,
) -> Supervised:
    """Cross entropy on weak views of the labelled images.

    Parameters
    ----------
    seed : of the head's initial weights.
    ema : momentum of the moving average that is kept; 0 keeps the last weights.
    crop : views are random crops of 8% of the image and more, for large pictures; otherwise
        the image moved by up to an eighth.
    flip : mirror half of the views; off where left and right matter, as in digits and letters.
    """
    size = backbone.size
    weak = ResizedCropFlip(size, flip=flip) if crop else Weak(size, flip=flip)
    return Supervised(backbone, n_classes, seed=seed, ema=ema, weak=weak)


class Supervised(Student):
    """A classifier trained on its labels alone."""

    def forward(self, views: Views) -> tuple[Tensor, dict[str, Tensor]]:
        """L = L_x, and the share of the views that are classified as their labels say."""
        logits = self.classifier(views["labeled"])
        loss = labeled_loss(logits, views["classes"], views["weights"])
        right = (logits.detach().argmax(1) == views["classes"]).float().mean()
        return loss, {"accuracy": right}
