"""MCDAL: two more classifiers on the network's features, driven apart where nothing is labelled.

Cho, Kim, Jung, Kweon: MCDAL: Maximum Classifier Discrepancy for Active Learning (2021). What the
three say differs most near the boundaries between classes, and there it asks
(:mod:`usl.active.shared.discrepancy`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from usl.active.shared.discrepancy import agreed_loss, apart_loss, total_distance
from usl.active.shared.task_recipes import CPU, PUBLISHED, with_others
from usl.learning.augment import view_of
from usl.learning.loop import Views
from usl.learning.seeded import seeded
from usl.training.networks.supervised import Supervised
from usl.training.shared.student import labeled_loss

FIGURE, REASON = "distance", "three classifiers disagree"
RECIPES = {
    "cpu": with_others(CPU),
    # The authors' code: rate 0.1, times 0.2 after 30, 60 and 80 of 100 epochs; all weights decay.
    # An epoch is taken to be one of the unlabelled images, 42,500 of them in batches of 128.
    "cifar": with_others(
        replace(
            PUBLISHED,
            optimizer=replace(PUBLISHED.optimizer, schedule="fifths", milestones=(0.3, 0.6, 0.8)),
            steps=100 * 333,
        )
    ),
}


class Discrepancy(Supervised):
    """The classifier, and two that see its features and do not move them.

    The authors take two steps in turn: the two learn the labels, then learn them and drift apart
    on unlabelled pictures. Here a step takes both losses at once, which at a small rate is the
    same. What is kept are the last weights, as theirs. A label's weight counts for the classifier
    alone.

    Parameters
    ----------
    flip : mirror half of the views; off where left and right matter, as in digits and letters.
    """

    def __init__(self, backbone: Any, n_classes: int, *, seed: int = 0, flip: bool = True) -> None:
        super().__init__(backbone, n_classes, flip=flip, seed=seed, ema=0.0)
        with seeded(seed):
            self.auxiliary = nn.ModuleList(nn.Linear(backbone.dim, n_classes) for _ in range(2))

    def views(self, batch: Mapping[str, Any], generator: torch.Generator) -> Views:
        """As in :class:`Supervised`, and ``weak`` views of the unlabelled pictures."""
        return {
            **super().views(batch, generator),
            "weak": view_of(batch, "unlabeled", self.weak, generator),
        }

    def forward(self, views: Views) -> tuple[Tensor, dict[str, Tensor]]:
        """L = L_x + (CE1 + CE2) + (CE1 + CE2 - distances); the last two move the two alone."""
        count, classes = len(views["classes"]), views["classes"]
        features = self.classifier.backbone(torch.cat([views["labeled"], views["weak"]]))
        main = self.classifier.classify(features)
        others = self.others(features.detach())
        labeled = [logits[:count] for logits in others]
        unlabeled = [main[count:].detach(), *(logits[count:] for logits in others)]
        loss = labeled_loss(main[:count], classes, views["weights"])
        agreed = agreed_loss(labeled, classes)
        apart = apart_loss(labeled, classes, unlabeled)
        return loss + agreed + apart, {
            "labeled_loss": loss.detach(),
            "auxiliary_loss": agreed.detach(),
            "distance": total_distance(unlabeled).mean().detach(),
        }

    def others(self, features: Tensor) -> list[Tensor]:
        """Logits of the two, float32 [b, C] each."""
        with torch.autocast(features.device.type, enabled=False):
            return [head(features.float()) for head in self.auxiliary]

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def wanted(self, images: Tensor) -> Tensor:
        """How far the three are apart on pictures, [b]."""
        features = self.classifier.backbone(images)
        return total_distance([self.classifier.classify(features), *self.others(features)])


build = Discrepancy
