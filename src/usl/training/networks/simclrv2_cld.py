"""SimCLRv2-CLD: a linear layer on the frozen features of a network that CLD has pretrained.

Source: the paper of this project, 6.12. The backbone is frozen, since a few labels would be
learned by heart; start from an encoder that has been trained.
"""

from __future__ import annotations

from typing import Any

from usl.learning.augment import Augmentation, MoCoV2, Weak
from usl.learning.optim import Optimizer
from usl.learning.recipe import Recipe
from usl.training.networks.supervised import Supervised

OPTIMIZER = Optimizer(
    "sgd", lr=0.01, weight_decay=1e-4, decay_all=True, nesterov=True, schedule="constant"
)

RECIPES = {
    # 5 epochs over the labels, each 100 times: with 40 labels 5 x 31 batches of 128. That is the
    # paper's setting; with 250 labels it would be --steps 975. The views are those of the code
    # released with it; its moving statistics are an option, since the paper freezes the network.
    "cpu": Recipe(OPTIMIZER, batch_size=128, steps=155),
    "cifar": Recipe(
        OPTIMIZER,
        batch_size=128,
        steps=155,
        parameters={"jitter": True, "uniform_head": True},
        network="resnet18",
    ),
    # Nothing is published; 5 epochs over 12,820 labels, without repetition.
    "imagenet": Recipe(OPTIMIZER, batch_size=128, steps=500, network="resnet50"),
}


class SimCLRv2CLD(Supervised):
    """A linear layer on a frozen backbone.

    Parameters
    ----------
    weak : other views than those that ``jitter`` chooses.
    seed : of the layer's initial weights.
    moving_statistics : batch normalisation in the frozen network goes on with the statistics of
        the labelled images, as in the code released with the paper.
    flip : mirror half of the views; off where left and right matter, as in digits and letters.
    jitter : views are MoCo v2's, with changed colours and blur; otherwise moved and mirrored.
    uniform_head : the layer begins uniform within 1 / sqrt(width), as in the code released with the
        paper; else normal (Glorot).
    """

    def __init__(
        self,
        backbone: Any,
        n_classes: int,
        weak: Augmentation | None = None,
        *,
        seed: int = 0,
        moving_statistics: bool = False,
        flip: bool = True,
        jitter: bool = False,
        uniform_head: bool = False,
    ) -> None:
        weak = weak or (MoCoV2 if jitter else Weak)(backbone.size, flip=flip)
        # Without a moving average: what is kept is the last step's.
        how: dict[str, Any] = {"seed": seed, "ema": 0.0, "uniform_head": uniform_head}
        super().__init__(backbone, n_classes, weak, **how)
        self.moving_statistics = moving_statistics
        self.freeze()

    def train(self, mode: bool = True) -> SimCLRv2CLD:
        """The backbone stays in evaluation mode, but for ``moving_statistics``."""
        super().train(mode)
        if self.moving_statistics:
            self.classifier.backbone.train(mode)
        return self


build = SimCLRv2CLD
