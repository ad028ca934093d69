"""SimCLR: the two views of an image find each other among all views of the batch.

Source: T. Chen, S. Kornblith, M. Norouzi, G. Hinton, "A simple framework for contrastive learning
of visual representations", ICML 2020, Eq. 1 and Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from usl.core.parameters import Between, Positive
from usl.learning.augment import Augmentation, SimCLR, view_of
from usl.learning.loop import Task, Views
from usl.learning.optim import Optimizer
from usl.learning.precision import full_precision
from usl.learning.ranks import gather, rank
from usl.learning.recipe import Recipe
from usl.pretraining.heads import projection_head

RECIPES = {
    "cpu": Recipe(
        Optimizer("sgd", lr=0.3, weight_decay=5e-4, nesterov=True, warmup=0.02),
        batch_size=256,
        epochs=50,
        # Tuned for 50 epochs: tamer boxes, and no normalisation of the projections.
        parameters={"temperature": 0.2, "crop": 0.2, "last_norm": False},
    ),
    # The authors' settings: section B.9 (CIFAR-10) and section 2.2 (ImageNet, lr 0.3 per 256);
    # views and head as in their code, google-research/simclr. Of the decays, that of
    # ImageNet is the paper's.
    "cifar": Recipe(
        Optimizer("lars", lr=2.0, weight_decay=1e-4, warmup=0.01),
        batch_size=512,
        epochs=1000,
        parameters={"pipeline": "tensorflow", "normalize": False},
        network="resnet18",
    ),
    "imagenet": Recipe(
        Optimizer("lars", lr=4.8, weight_decay=1e-6, warmup=0.01),
        batch_size=4096,
        epochs=1000,
        parameters={
            "temperature": 0.1,
            "strength": 1.0,
            "blur": True,
            "pipeline": "tensorflow",
            "normalize": False,
        },
        network="resnet50",
        whole=True,
    ),
}


class Contrast(Task):
    """NT-Xent over a backbone, trained in place and kept, and a head.

    Parameters
    ----------
    seed : of the head's initial weights.
    temperature : T of NT-Xent; lower looks harder at the nearest negatives.
    projection : width of the projections that are compared.
    strength : of the colour jitter; 0.5 for small pictures, 1 for ImageNet.
    blur : blur half of the views.
    flip : mirror half of the views; off where left and right matter, as in digits and letters.
    crop : least share of the picture's area in a view; the preset cpu takes 0.2.
    pipeline : views as ``torchvision`` makes them, boxes uniform in area, or as the authors' code
        by ``tensorflow``: boxes uniform in height, bicubic, contrast by channel, saturation in HSV,
        and a blur that sees black beyond the edges.
    normalize : by the network's mean and deviation; otherwise it forgets both and sees pictures as
        they are, 0 to 1, as the authors' does.
    last_norm : the last layer of the head is normalised over the batch, too; not with the preset
        cpu.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        seed: int = 0,
        temperature: Annotated[float, Positive] = 0.5,
        projection: Annotated[int, Positive] = 128,
        strength: float = 0.5,
        blur: bool = False,
        flip: bool = True,
        crop: Annotated[float, Between(0.01, 1)] = 0.08,
        pipeline: Literal["torchvision", "tensorflow"] = "torchvision",
        normalize: bool = True,
        last_norm: bool = True,
    ) -> None:
        super().__init__()
        if not normalize:
            backbone.mean.zero_()
            backbone.std.fill_(1.0)
        self.backbone, self.temperature = backbone, temperature
        self.head = projection_head(
            backbone.dim,
            projection,
            generator=torch.Generator().manual_seed(seed),
            batch_norm=True,
            last_norm=last_norm,
        )
        self.augmentation: Augmentation = SimCLR(
            backbone.size,
            strength=strength,
            blur=blur,
            scale=(crop, 1.0),
            flip=flip,
            tensorflow=pipeline == "tensorflow",
        )

    def views(self, batch: Mapping[str, Any], generator: torch.Generator) -> Views:
        """Two views of every image: ``first`` and ``second``, float [b, c, size, size]."""
        return two_views(self.augmentation, batch, generator)

    def forward(self, views: Views) -> tuple[Tensor, dict[str, Tensor]]:
        """NT-Xent, and the share of views whose counterpart is the nearest."""
        # Both views in one batch: one pass is faster, and they share their BN statistics.
        projections = self.head(self.backbone(torch.cat([views["first"], views["second"]])))
        first, second = projections.chunk(2)
        loss, accuracy = nt_xent(first, second, self.temperature)
        return loss, {"accuracy": accuracy}


build = Contrast


def two_views(
    augmentation: Augmentation, batch: Mapping[str, Any], generator: torch.Generator
) -> Views:
    """Two independent views of every image, ``first`` and ``second``."""
    return {name: view_of(batch, "images", augmentation, generator) for name in ("first", "second")}


@full_precision
def nt_xent(first: Tensor, second: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Normalised, temperature-scaled cross entropy.

    With z the 2N unit rows of both views and p(i) the other view of i,

        L = mean over i of  -log [ exp(z_i . z_p(i) / T) / sum over j != i of exp(z_i . z_j / T) ]

    Among several processes i runs over the own views and j over those of all, so that the mean of
    their losses, and of its gradients, is that of one process with all N images.

    Parameters
    ----------
    first, second : projections of the two views, float [n, d]; any length above 0.
    temperature : T.

    Returns
    -------
    loss : scalar of the dtype of the projections (half precision: float32).
    accuracy : share of the views nearer to p(i) than to any other view, without gradient.
    """
    n = len(first)
    rows = functional.normalize(torch.cat([first, second]), dim=1)
    each = torch.arange(2 * n, device=rows.device)
    own = each + 2 * n * rank()  # where the own rows stand among those of all processes
    logits = rows @ gather(rows).T / temperature
    logits[each, own] = -torch.inf
    positive = own.roll(n)
    accuracy = (logits.detach().argmax(1) == positive).float().mean()
    return functional.cross_entropy(logits, positive), accuracy
