"""LLAL: a network that learns what its own loss on a picture would be, and asks for the largest.

Yoo, Kweon: Learning Loss for Active Learning (CVPR 2019). A module on the stages of the network
(:mod:`usl.active.shared.loss_prediction`) is trained beside it. After 60% of the training it no
longer moves the network, "because learning the loss may interfere" with the task (section 4.1).
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from torch import Tensor
from torch.nn import functional

from usl.active.shared.loss_prediction import LossPrediction, pair_loss
from usl.active.shared.task_recipes import CPU, PUBLISHED
from usl.core.errors import UsageError
from usl.core.parameters import Between, NotNegative, Positive
from usl.learning.loop import Views
from usl.learning.seeded import seeded
from usl.training.networks.supervised import Supervised

FIGURE, REASON = "predicted_loss", "a large loss is predicted"
RECIPES = {"cpu": CPU, "cifar": PUBLISHED}


class LossLearning(Supervised):
    """Cross entropy, and the pair loss of what is predicted of it.

    What is kept are the last weights, as in the paper: the module has learned the losses of these,
    and not of an average. Its own loss counts every label alike, whatever its weight.

    Parameters
    ----------
    margin : xi of Eq. 2, by how much the predictions of a pair shall differ.
    lam : weight of the predictions' loss.
    moved : share of the training in which that loss moves the network, too (authors: 120 epochs of
        200).
    flip : mirror half of the views; off where left and right matter, as in digits and letters.
    """

    def __init__(
        self,
        backbone: Any,
        n_classes: int,
        *,
        seed: int = 0,
        margin: Annotated[float, Positive] = 1.0,
        lam: Annotated[float, NotNegative] = 1.0,
        moved: Annotated[float, Between(0, 1)] = 0.6,
        flip: bool = True,
    ) -> None:
        super().__init__(backbone, n_classes, flip=flip, seed=seed, ema=0.0)
        widths = getattr(getattr(backbone, "network", backbone), "widths", None)
        if widths is None:
            raise UsageError(
                f"network: llal predicts the loss from the stages of a network, and those of "
                f"{backbone.name!r} are not known. Take compact, resnet18 or wrn28_2."
            )
        with seeded(seed):
            self.prediction = LossPrediction(widths)
        self.margin, self.lam, self.moved, self.last_moved = margin, lam, moved, 0

    def prepare(self, *, images: int, unlabeled: int, steps: int) -> None:
        """See :meth:`usl.training.shared.student.Student.prepare`."""
        super().prepare(images=images, unlabeled=unlabeled, steps=steps)
        self.last_moved = round(self.moved * steps)

    def forward(self, views: Views) -> tuple[Tensor, dict[str, Tensor]]:
        """L = mean of l + lambda L_loss(l predicted, l), l the cross entropy of each picture."""
        stages = self.classifier.backbone.stages(views["labeled"])
        logits = self.classifier.classify(stages[-1])
        losses = functional.cross_entropy(logits, views["classes"], reduction="none")
        if int(self.steps) >= self.last_moved:
            stages = [stage.detach() for stage in stages]
        predicted = self.prediction(stages).float()
        paired = pair_loss(predicted, losses.detach(), self.margin)
        loss = (losses * views["weights"]).mean()
        return loss + self.lam * paired, {
            "labeled_loss": loss.detach(),
            "pair_loss": paired.detach(),
        }

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def wanted(self, images: Tensor) -> Tensor:
        """The predicted loss of pictures, [b]."""
        return self.prediction(self.classifier.backbone.stages(images))


build = LossLearning
