"""TOD-Semi: a network whose outputs shall not change over time, not even on unlabelled pictures.

Huang, Wang, Xiong, Huan, Dou: Semi-Supervised Active Learning with Temporal Output Discrepancy
(ICCV 2021). Beside the classifier z a second last layer gives z_cons, which is held to the moving
average of the network, and z to z_cons. The strategy of the same name then asks for pictures whose
predictions have changed the most since the round before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from usl.active.shared.task_recipes import CPU, PUBLISHED, with_others
from usl.core.parameters import NotNegative
from usl.learning.augment import view_of
from usl.learning.loop import Views
from usl.learning.precision import full_precision
from usl.learning.seeded import seeded
from usl.training.networks.mixmatch import still_statistics
from usl.training.networks.supervised import Supervised
from usl.training.shared.student import Classifier, labeled_loss

RECIPES = {"cpu": with_others(CPU), "cifar": with_others(PUBLISHED)}


class TemporalConsistency(Supervised):
    """Cross entropy, and what holds the outputs to those of the moving average.

    What is kept are the last weights, as in the authors' code; the average is a target alone. It
    normalises by the statistics of the batch, as theirs: its running ones say little in the
    beginning, and targets far off would drive the outputs apart.

    Parameters
    ----------
    lam : weight of the consistency.
    ema : momentum of the moving average.
    flip : mirror half of the views; off where left and right matter, as in digits and letters.
    """

    def __init__(
        self,
        backbone: Any,
        n_classes: int,
        *,
        seed: int = 0,
        lam: Annotated[float, NotNegative] = 0.02,
        ema: float = 0.999,
        flip: bool = True,
    ) -> None:
        super().__init__(backbone, n_classes, flip=flip, seed=seed, ema=ema)
        with seeded(seed):
            self.consistent = nn.Linear(backbone.dim, n_classes)
        self.lam = lam

    @property
    def kept(self) -> Classifier:
        """The classifier that the training is for: the one in training, not its average."""
        return self.classifier

    def views(self, batch: Mapping[str, Any], generator: torch.Generator) -> Views:
        """As in :class:`Supervised`, and ``weak`` views of the unlabelled pictures."""
        return {
            **super().views(batch, generator),
            "weak": view_of(batch, "unlabeled", self.weak, generator),
        }

    def forward(self, views: Views) -> tuple[Tensor, dict[str, Tensor]]:
        """L = L_x + lambda [L_cons of the labelled + L_cons of the unlabelled pictures]."""
        count = len(views["classes"])
        pictures = torch.cat([views["labeled"], views["weak"]])
        features = self.classifier.backbone(pictures)
        logits = self.classifier.classify(features)
        with torch.autocast(features.device.type, enabled=False):
            held = self.consistent(features.float())
        average = self.averaged(pictures)
        loss = labeled_loss(logits[:count], views["classes"], views["weights"])
        parts = (slice(None, count), slice(count, None))
        changes = [consistency(logits[one], held[one], average[one]) for one in parts]
        return loss + self.lam * (changes[0] + changes[1]), {
            "labeled_loss": loss.detach(),
            "consistency_loss": (changes[0] + changes[1]).detach(),
        }

    def momentum_of(self, step: int) -> float:
        """The share of the average that stays: that of a plain mean, until it is ``ema``."""
        return min(step / (step + 1), self.ema)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def averaged(self, pictures: Tensor) -> Tensor:
        """Logits of the moving average, normalised by the batch's own statistics, [b, C]."""
        with still_statistics(self.teacher):
            self.teacher.train()
            average = self.teacher(pictures)
            self.teacher.eval()
        return average


build = TemporalConsistency


@full_precision
def consistency(logits: Tensor, held: Tensor, average: Tensor) -> Tensor:
    """MSE(z, z_cons) + MSE(z_cons, z_ema), means over pictures and classes.

    Parameters
    ----------
    logits, held, average : z, z_cons and z_ema, [b, C].
    """
    return functional.mse_loss(logits, held) + functional.mse_loss(held, average)
