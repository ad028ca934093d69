"""CLD: besides its own image, a view finds the cluster of the other view in the batch.

Source: X. Wang, Z. Liu, S. X. Yu, "Unsupervised feature learning by cross-level instance-group
discrimination", CVPR 2021; the loss as in the paper of this project, Eq. 69-70, halved.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from usl.core.parameters import AtLeast, Between, NotNegative, Positive
from usl.learning.augment import FIFTH, Augmentation, MoCoV2, SimCLR, view_of
from usl.learning.loop import Task, Views
from usl.learning.optim import Optimizer
from usl.learning.recipe import Recipe
from usl.pretraining.grouping import group_loss
from usl.pretraining.heads import hidden_layers, projection_head
from usl.pretraining.methods.moco import MomentumContrast
from usl.pretraining.methods.simclr import nt_xent, two_views
from usl.pretraining.momentum import BatchNorm

RECIPES = {
    "cpu": Recipe(
        Optimizer("sgd", lr=0.3, weight_decay=5e-4, nesterov=True, warmup=0.02),
        batch_size=256,
        epochs=50,
    ),
    # MoCo with CLD as in the authors' script, train_cifar10_moco_cld.sh: the rate is 0.03 per 128
    # images, and rises for 5 epochs.
    "cifar": Recipe(
        Optimizer("sgd", lr=0.06, weight_decay=8e-4, decay_all=True, warmup=0.025),
        batch_size=256,
        epochs=200,
        parameters={
            "instance": "moco",
            "lam": 0.8,
            "clusters": 200,
            "group_temperature": 0.2,
            "temperature": 0.07,
            "queue": 12288,
            "layers": 1,
            "normalized": True,
            "bn": "plain",
            "blur": True,
            "erase": True,
        },
        network="resnet18",
    ),
    # train_imagenet_mocov2_cld.sh, whose 8 devices are 8 parts of the batch here. Each of them
    # looks for 120 clusters among its 64 images, so that every image is one.
    "imagenet": Recipe(
        Optimizer("sgd", lr=0.2, weight_decay=1e-4, decay_all=True),
        batch_size=512,
        epochs=200,
        parameters={
            "instance": "moco",
            "clusters": 120,
            "blur": True,
            "normalized": True,
            "bn": "split",
            "shared": True,
            "parts": 8,
        },
        network="resnet50",
        whole=True,
    ),
}


class CLD(Task):
    """Two heads on one backbone, which is kept: f_I tells instances apart, f_G groups them.

    Parameters
    ----------
    seed : of the initial weights of the heads and of the first, random keys.
    instance : the instance term: ``simclr``, among the views of the batch, or ``moco``, against a
        queue of keys.
    lam : lambda, weight of the group term; 0 leaves the instance term alone.
    clusters : K, number of k-means clusters in the batch of each view (on each device).
    iterations : of k-means.
    group_temperature : T_G, of the similarities to the centroids.
    temperature : T_I, of the similarities to instances.
    projection : width of the projections of both heads.
    layers : of each head: 2 with a hidden layer, 1 for a linear map.
    normalized : the last layer of both heads is linear with inputs and weights of unit length.
    momentum : with ``moco``: share of the momentum encoder that stays in a step.
    queue : with ``moco``: number of keys kept, a multiple of the batch; no more than images.
    bn : with ``moco``: batch normalisation of the keys, ``eman``, ``split`` or ``plain``.
    splits : with ``moco`` and ``split``: number of parts of the batch.
    strength : of the colour jitter; the authors take 0.5.
    blur : blur half of the views.
    flip : mirror half of the views; off where left and right matter, as in digits and letters.
    erase : fill a random box of every view with the mean colour.
    shared : the hidden layer is one for both heads.
    parts : clusters are looked for in so many parts of the batch, as on so many devices; in each at
        most one for every image.

    Raises
    ------
    UsageError
        in the first step, more clusters than images in the batch or a queue that is not a multiple
        of the batch.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        seed: int = 0,
        instance: Literal["simclr", "moco"] = "simclr",
        lam: Annotated[float, NotNegative] = 0.25,
        clusters: Annotated[int, AtLeast(2)] = 32,
        iterations: Annotated[int, Positive] = 5,
        group_temperature: Annotated[float, Positive] = 0.4,
        temperature: Annotated[float, Positive] = 0.2,
        projection: Annotated[int, Positive] = 128,
        layers: Literal[1, 2] = 2,
        normalized: bool = False,
        momentum: Annotated[float, Between(0, 1, below=True)] = 0.999,
        queue: Annotated[int, Positive] = 65536,
        bn: BatchNorm = "eman",
        splits: Annotated[int, AtLeast(2)] = 8,
        strength: float = 0.5,
        blur: bool = False,
        flip: bool = True,
        erase: bool = False,
        shared: bool = False,
        parts: Annotated[int, Positive] = 1,
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        of_batch = instance == "simclr"
        in_common = layers - 1 if shared else 0
        hidden = hidden_layers(backbone.dim, in_common, generator=generator, batch_norm=of_batch)
        instance_head, group_head = (
            projection_head(
                backbone.dim,
                projection,
                generator=generator,
                layers=layers - in_common,
                batch_norm=of_batch,
                normalized=normalized,
            )
            for _ in range(2)
        )
        self.backbone = backbone
        self.contrast: MomentumContrast | None = None
        if instance == "moco":
            self.contrast = MomentumContrast(
                nn.Sequential(backbone, *hidden, instance_head),
                width=projection,
                queue=queue,
                momentum=momentum,
                temperature=temperature,
                bn=bn,
                splits=splits,
                generator=generator,
            )
        self.hidden, self.instance_head, self.group_head = hidden, instance_head, group_head
        colour = tuple(backbone.mean.flatten().tolist()) if erase else None
        self.augmentation: Augmentation = MoCoV2(
            backbone.size, blur=blur, flip=flip, strength=strength, erase=colour
        )
        if of_batch and not erase:
            self.augmentation = SimCLR(
                backbone.size, strength=strength, blur=blur, scale=FIFTH, flip=flip
            )
        self.lam, self.clusters, self.iterations, self.parts = lam, clusters, iterations, parts
        self.group_temperature, self.temperature = group_temperature, temperature

    def views(self, batch: Mapping[str, Any], generator: torch.Generator) -> Views:
        """``first`` and ``second``, and with a queue ``third`` for the key v_i of both.

        With ``split`` also the ``order`` of the keys, int64 [b].
        """
        views = two_views(self.augmentation, batch, generator)
        if self.contrast is not None:
            views["third"] = view_of(batch, "images", self.augmentation, generator)
            views |= self.contrast.order(len(views["third"]), generator)
        return views

    def forward(self, views: Views) -> tuple[Tensor, dict[str, Tensor]]:
        """The instance term, a mean over both views, plus lambda times the group term."""
        if self.contrast is None:
            features = self.backbone(torch.cat([views["first"], views["second"]]))
        else:  # the authors pass them one after the other, so that each has its own statistics
            both = [self.contrast.query(self.backbone, views[name]) for name in ("first", "second")]
            features = torch.cat(both)
        features = self.hidden(features)
        instances, groups = self.instance_head(features), self.group_head(features)
        if self.contrast is None:
            first, second = instances.chunk(2)
            loss, accuracy = nt_xent(first, second, self.temperature)
        else:
            keys = self.contrast.keys(views["third"], views.get("order"))
            loss, accuracy = self.contrast(instances, keys.tile(2, 1))
        first, second = groups.chunk(2)
        group, group_accuracy = self.grouped(first, second)
        return loss + self.lam * group, {
            "instance_loss": loss.detach(),
            "group_loss": group.detach(),
            "accuracy": accuracy,
            "group_accuracy": group_accuracy,
        }

    def grouped(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """The group term, and how often the right cluster is nearest: means over the parts."""
        how = self.iterations, self.group_temperature
        if self.parts == 1:
            return group_loss(first, second, self.clusters, *how)
        parts = min(self.parts, len(first))
        pairs = zip(first.tensor_split(parts), second.tensor_split(parts), strict=True)
        found = [group_loss(one, other, min(self.clusters, len(one)), *how) for one, other in pairs]
        loss, accuracy = (torch.stack(each).mean() for each in zip(*found, strict=True))
        return loss, accuracy

    def after_step(self) -> None:
        """Move the key encoder and the queue, where there are any."""
        if self.contrast is not None:
            query = nn.Sequential(self.backbone, *self.hidden, self.instance_head)
            self.contrast.after_step(query)


build = CLD
