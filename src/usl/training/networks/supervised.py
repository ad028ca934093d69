"""Labels only: what the other methods have to beat.

Every preset is FixMatch's without the unlabelled images, so that the difference between the two
is what those images are worth.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from usl.learning.augment import Augmentation, ResizedCropFlip, Weak
from usl.learning.loop import Views
from usl.training.networks.fixmatch import EMAN
from usl.training.networks.fixmatch import RECIPES as FIXMATCH
from usl.training.shared.student import Student, labeled_loss

RECIPES = {
    "cpu": replace(FIXMATCH["cpu"], ratio=0),
    "cifar": replace(FIXMATCH["cifar"], ratio=0, parameters={"ema_warmup": False}),
    "imagenet": replace(FIXMATCH["imagenet"], ratio=0, parameters={"crop": True, **EMAN}),
}


class Supervised(Student):
    """Cross entropy on weak views of the labelled images.

    Parameters
    ----------
    weak : other views than those that ``crop`` and ``flip`` choose.
    ema : momentum of the moving average that is kept; 0 keeps the last weights.
    crop : views are random crops of 8% of the image and more, for large pictures; otherwise
        the image moved by up to an eighth.
    flip : mirror half of the views; off where left and right matter, as in digits and letters.
    """

    def __init__(
        self,
        backbone: Any,
        n_classes: int,
        weak: Augmentation | None = None,
        *,
        crop: bool = False,
        flip: bool = True,
        **shared: Any,
    ) -> None:
        weak = weak or (ResizedCropFlip if crop else Weak)(backbone.size, flip=flip)
        super().__init__(backbone, n_classes, weak, **shared)

    def forward(self, views: Views) -> tuple[Tensor, dict[str, Tensor]]:
        """L = L_x, and the share of the views that are classified as their labels say."""
        logits = self.classifier(views["labeled"])
        loss = labeled_loss(logits, views["classes"], views["weights"])
        right = (logits.detach().argmax(1) == views["classes"]).float().mean()
        return loss, {"accuracy": right}


build = Supervised
