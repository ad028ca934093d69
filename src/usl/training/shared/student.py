"""What the semi-supervised methods share: a classifier, its moving average, and weak views."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from usl.learning.augment import Augmentation, Weak, view_of
from usl.learning.ema import follow, teacher_of
from usl.learning.loop import Task, Views
from usl.learning.precision import full_precision
from usl.pretraining.heads import linear


class Classifier(nn.Module):  # type: ignore[misc]
    """A backbone and a linear head: pictures 0..1 [b, c, h, w] to logits [b, C]."""

    def __init__(self, backbone: Any, n_classes: int, seed: int, uniform: bool = False) -> None:
        super().__init__()
        self.backbone = backbone
        generator = torch.Generator().manual_seed(seed)
        if uniform:
            self.head = linear(backbone.dim, n_classes, generator)
            return
        self.head = nn.Linear(backbone.dim, n_classes)
        with torch.no_grad():
            nn.init.xavier_normal_(self.head.weight, generator=generator)
            self.head.bias.zero_()

    def forward(self, images: Tensor) -> Tensor:
        """Logits, float32 whatever the precision of the backbone."""
        return self.classify(self.backbone(images))

    def classify(self, features: Tensor) -> Tensor:
        """Logits [b, C] of the backbone's features [b, dim]."""
        with torch.autocast(features.device.type, enabled=False):
            return self.head(features.float())


class Student(Task):
    """A classifier in training and its teacher, the moving average that is kept.

    Parameters
    ----------
    weak : the weak view; by default moved and mirrored.
    eman : the batch statistics of the teacher are averaged too, instead of copied.
    seed : of the head's initial weights.
    ema : momentum of the moving average that is kept: the share of it that stays in a step.
    ema_warmup : in step t that share is at most (1 + t) / (10 + t), so that a short training does
        not end with the memory of its first weights. Off in the literature's presets.
    uniform_head : the last layer begins uniform within 1 / sqrt(width), as torch begins a linear
        layer; else normal (Glorot).
    """

    def __init__(
        self,
        backbone: Any,
        n_classes: int,
        weak: Augmentation | None = None,
        eman: bool = False,
        *,
        seed: int = 0,
        ema: float = 0.999,
        ema_warmup: bool = True,
        uniform_head: bool = False,
    ) -> None:
        super().__init__()
        self.classifier = Classifier(backbone, n_classes, seed, uniform_head)
        self.teacher = teacher_of(self.classifier).eval()
        self.ema, self.ema_warmup, self.eman, self.frozen = ema, ema_warmup, eman, False
        self.weak = weak or Weak(backbone.size)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    @property
    def kept(self) -> Classifier:
        """The classifier that the training is for."""
        teacher: Classifier = self.teacher
        return teacher

    def prepare(self, *, images: int, unlabeled: int, steps: int) -> None:
        """Called once, before the first step: what only the training knows.

        A method that keeps something of every image registers its buffer here, too.

        Parameters
        ----------
        images : train images; the rows of a batch count from 0 to images - 1.
        unlabeled : how many of them the unlabelled stream draws from.
        steps : of the whole training.
        """

    def views(self, batch: Mapping[str, Any], generator: torch.Generator) -> Views:
        """``labeled``, a weak view, with ``classes`` and ``weights``."""
        return {
            "labeled": view_of(batch, "images", self.weak, generator),
            "classes": batch["classes"],
            "weights": batch["weights"],
        }

    def freeze(self) -> None:
        """Train the head alone; the statistics of batch normalisation stay as they are, too."""
        self.classifier.backbone.requires_grad_(False)
        self.frozen = True

    def train(self, mode: bool = True) -> Student:
        """The teacher, and a frozen backbone, never leave evaluation mode."""
        super().train(mode)
        self.teacher.eval()
        if self.frozen:
            self.classifier.backbone.eval()
        return self

    def after_step(self) -> None:
        """Move the teacher."""
        self.steps += 1
        buffers: Literal["copy", "average"] = "average" if self.eman else "copy"
        momentum = self.momentum_of(int(self.steps))
        follow(self.teacher, self.classifier, momentum, buffers=buffers)

    def momentum_of(self, step: int) -> float:
        """The share of the teacher that stays in a step, counted from 1."""
        return min(self.ema, (1 + step) / (10 + step)) if self.ema_warmup else self.ema


@full_precision
def labeled_loss(logits: Tensor, classes: Tensor, weights: Tensor) -> Tensor:
    """Cross entropy of the labelled images, a mean weighted by their labels' weights.

    Parameters
    ----------
    logits : float [b, C]; classes : int64 [b]; weights : float [b], 1 for a person's label.
    """
    each = functional.cross_entropy(logits, classes, reduction="none")
    return (each * weights).mean()
