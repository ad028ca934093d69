"""MoCo v2: a view finds the momentum encoder's key of its image among a queue of older keys.

Sources: K. He et al., "Momentum contrast for unsupervised visual representation learning", CVPR
2020, Eq. 1-2; X. Chen, H. Fan, R. Girshick, K. He, "Improved baselines with momentum contrastive
learning", 2020 (head, augmentation, temperature).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from usl.core.parameters import AtLeast, Between, Positive
from usl.learning.augment import MoCoV2
from usl.learning.loop import Task, Views
from usl.learning.optim import Optimizer
from usl.learning.precision import full_precision
from usl.learning.recipe import Recipe
from usl.pretraining.heads import projection_head
from usl.pretraining.methods.simclr import two_views
from usl.pretraining.momentum import BatchNorm, KeyEncoder, KeyQueue

RECIPES = {
    "cpu": Recipe(
        Optimizer("sgd", lr=0.12, weight_decay=5e-4, nesterov=True, warmup=0.02),
        batch_size=256,
        epochs=50,
        parameters={"momentum": 0.99, "queue": 4096, "blur": False},
    ),
    # As in the authors' notebook for CIFAR-10, moco_cifar10_demo.ipynb, asymmetric.
    "cifar": Recipe(
        Optimizer("sgd", lr=0.06, weight_decay=5e-4, decay_all=True),
        batch_size=512,
        epochs=200,
        parameters={
            "momentum": 0.99,
            "queue": 4096,
            "temperature": 0.1,
            "blur": False,
            "bn": "split",
            "layers": 1,
            "crop": 0.08,
        },
        network="resnet18",
    ),
    # MoCo v2 with EMAN, as in its authors' code: 10 epochs of warm-up; the paper of this project
    # uses 800 epochs (6.8).
    "imagenet": Recipe(
        Optimizer("sgd", lr=0.03, weight_decay=1e-4, decay_all=True, warmup=10 / 800),
        batch_size=256,
        epochs=800,
        network="resnet50",
        whole=True,
    ),
}


class MomentumContrast(nn.Module):  # type: ignore[misc]
    """What momentum contrast adds to a query network: key encoder, queue and loss."""

    def __init__(
        self,
        query: nn.Module,
        *,
        width: int,
        queue: int,
        momentum: float,
        temperature: float,
        bn: BatchNorm,
        splits: int,
        generator: torch.Generator,
    ) -> None:
        """``query`` maps images to projections [b, width]; it is copied, not kept."""
        super().__init__()
        self.temperature = temperature
        self.encoder = KeyEncoder(query, momentum, bn, splits)
        self.queue = KeyQueue(queue, width, generator)
        self._fresh: list[Tensor] = []

    def order(self, images: int, generator: torch.Generator) -> Views:
        """The ``order`` of the keys of so many images, where they are shuffled; else nothing."""
        if self.encoder.bn != "split":
            return {}
        return {"order": torch.randperm(images, generator=generator, device=generator.device)}

    def query(self, network: nn.Module, images: Tensor) -> Tensor:
        """What a network in training makes of the images, normalised in parts if the keys are."""
        return self.encoder.query(network, images)

    def keys(self, images: Tensor, order: Tensor | None = None) -> Tensor:
        """Keys of the images, unit rows [b, width] without gradient; queued after the step.

        Not before: the backward pass still needs the queue as the loss saw it. ``order`` is that
        in which they are computed.
        """
        self.queue.check(len(images))
        keys: Tensor = self.encoder(images, order)
        self._fresh.append(keys)
        return keys

    def forward(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and accuracy of :func:`info_nce` against the queue."""
        return info_nce(query, key, self.queue.rows, self.temperature)

    def after_step(self, query: nn.Module) -> None:
        """Move the key encoder towards the query network and queue the keys of this step."""
        self.encoder.follow(query)
        for keys in self._fresh:
            self.queue.push(keys)
        self._fresh.clear()


class MoCo(Task):
    """Momentum contrast of a backbone, trained in place and kept, and a head.

    Parameters
    ----------
    seed : of the initial weights of the head and of the first, random keys.
    temperature : T of the softmax over similarities.
    projection : width of the projections that are compared.
    momentum : share of the momentum encoder that stays in a step; less for short trainings.
    queue : number of keys kept as negatives, a multiple of the batch (of twice the batch if
        symmetric). No more than there are images: beyond that an image is its own negative.
    bn : batch normalisation of the keys: ``eman`` by running statistics that are averaged like
        the weights, ``split`` over parts of the batch, the queries' too, with shuffled keys,
        ``plain`` over the batch (the statistics then tell the keys of the batch from the others).
    splits : number of those parts.
    symmetric : every view is query and key once; twice the work for a step.
    blur : blur half of the views.
    flip : mirror half of the views; off where left and right matter, as in digits and letters.
    layers : of the head: 2 with a hidden layer, 1 for a linear map.
    crop : least share of the picture's area in a view.

    Raises
    ------
    UsageError
        in the first step, a queue that is not a multiple of the batch.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        seed: int = 0,
        temperature: Annotated[float, Positive] = 0.2,
        projection: Annotated[int, Positive] = 128,
        momentum: Annotated[float, Between(0, 1, below=True)] = 0.999,
        queue: Annotated[int, Positive] = 65536,
        bn: BatchNorm = "eman",
        splits: Annotated[int, AtLeast(2)] = 8,
        symmetric: bool = False,
        blur: bool = True,
        flip: bool = True,
        layers: Literal[1, 2] = 2,
        crop: Annotated[float, Between(0.01, 1)] = 0.2,
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.backbone = backbone
        self.head = projection_head(backbone.dim, projection, generator=generator, layers=layers)
        self.contrast = MomentumContrast(
            nn.Sequential(backbone, self.head),
            width=projection,
            queue=queue,
            momentum=momentum,
            temperature=temperature,
            bn=bn,
            splits=splits,
            generator=generator,
        )
        self.augmentation = MoCoV2(backbone.size, blur=blur, scale=(crop, 1.0), flip=flip)
        self.symmetric = symmetric

    def views(self, batch: Mapping[str, Any], generator: torch.Generator) -> Views:
        """Two views of every image: ``first`` and ``second``, float [b, c, size, size].

        With ``split`` also the ``order`` of the keys, int64 [b], or [2 b] if symmetric.
        """
        views = two_views(self.augmentation, batch, generator)
        keys = len(views["second"]) * (2 if self.symmetric else 1)
        return views | self.contrast.order(keys, generator)

    def forward(self, views: Views) -> tuple[Tensor, dict[str, Tensor]]:
        """InfoNCE, and the share of queries nearest to their own key."""
        queries, keys = views["first"], views["second"]
        if self.symmetric:
            queries, keys = torch.cat([queries, keys]), torch.cat([keys, queries])
        rows = self.contrast.query(nn.Sequential(self.backbone, self.head), queries)
        loss, accuracy = self.contrast(rows, self.contrast.keys(keys, views.get("order")))
        return loss, {"accuracy": accuracy}

    def after_step(self) -> None:
        """Move the key encoder and the queue."""
        self.contrast.after_step(nn.Sequential(self.backbone, self.head))


build = MoCo


@full_precision
def info_nce(
    query: Tensor, key: Tensor, queue: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """InfoNCE (He et al. 2020, Eq. 1; paper Eq. 69): one positive, the queue as negatives.

        L = mean over i of  -log [ exp(q_i . k_i / T) / (exp(q_i . k_i / T)
                                                         + sum over j of exp(q_i . n_j / T)) ]

    with q and k scaled to unit length.

    Parameters
    ----------
    query, key : float [b, d]; key i belongs to query i.
    queue : the n_j, unit rows, float [m, d].
    temperature : T.

    Returns
    -------
    loss : scalar of the dtype of the queries (half precision: float32).
    accuracy : share of the queries nearer to their key than to any of the queue, no gradient.
    """
    query, key = functional.normalize(query, dim=1), functional.normalize(key, dim=1)
    positive = (query * key).sum(1, keepdim=True)
    logits = torch.cat([positive, query @ queue.T], dim=1) / temperature
    first = torch.zeros(len(logits), dtype=torch.int64, device=logits.device)
    accuracy = (logits.detach().argmax(1) == first).float().mean()
    return functional.cross_entropy(logits, first), accuracy
