"""MixMatch: labelled images and guessed ones, mixed in pairs, both pictures and targets.

Source: D. Berthelot et al., "MixMatch: a holistic approach to semi-supervised learning", NeurIPS
2019, Algorithm 1 and Eq. 3-11.

The accuracies of its paper are those of the moving average, which is what is kept here, as the
median of the last 20 checkpoints; USL's paper takes their mean (6.12). The presets ``cifar`` and
``imagenet`` keep these 20, and ``usl evaluate`` tells both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from usl.core.parameters import NotNegative, Positive
from usl.learning.augment import Weak
from usl.learning.loop import Views
from usl.learning.optim import Optimizer
from usl.learning.precision import full_precision
from usl.learning.recipe import Recipe
from usl.training.shared.student import Student

# The authors take Adam and multiply the weights by 1 - 0.02 lr after every step. AdamW does so
# before the step: the same but for a factor of 1 - 0.02 lr = 0.99996 on the step itself.
ADAM = Optimizer("adamw", lr=0.002, weight_decay=0.02, schedule="constant")

RECIPES = {
    # 96 pictures a step with gradients and 64 without.
    "cpu": Recipe(ADAM, batch_size=32, ratio=1, steps=900, parameters={"ramp": 450}),
    # The authors' settings, which the paper of this project uses too (6.12).
    "cifar": Recipe(
        ADAM,
        batch_size=64,
        ratio=1,
        steps=2**20,
        parameters={"ema_warmup": False},
        network="wrn28_2",
        last_epochs=20,
    ),
    # Nobody has published MixMatch on ImageNet. These are the authors' settings for STL-10, whose
    # pictures are from ImageNet; 2^20 steps go 52 times around it.
    "imagenet": Recipe(
        ADAM,
        batch_size=64,
        ratio=1,
        steps=2**20,
        parameters={"lam": 50.0, "ema_warmup": False},
        network="resnet50",
        last_epochs=20,
    ),
}


class MixMatch(Student):
    """A student of mixtures of labels and of its own guesses.

    Parameters
    ----------
    temperature : T of sharpening; 1 leaves the guesses as they are, 0.1 makes them nearly hard.
    alpha : of the Beta(alpha, alpha) that shares are drawn from; less mixes less.
    lam : lambda_u, weight of the unlabelled loss.
    ramp : steps over which that weight rises from 0.
    flip : mirror half of the views; off where left and right matter, as in digits and letters.
    """

    def __init__(
        self,
        backbone: Any,
        n_classes: int,
        *,
        temperature: Annotated[float, Positive] = 0.5,
        alpha: Annotated[float, Positive] = 0.75,
        lam: Annotated[float, NotNegative] = 75.0,
        ramp: Annotated[int, NotNegative] = 16384,
        flip: bool = True,
        **shared: Any,
    ) -> None:
        super().__init__(backbone, n_classes, Weak(backbone.size, flip), **shared)
        self.n_classes, self.temperature, self.alpha = n_classes, temperature, alpha
        self.lam, self.ramp = lam, ramp

    def views(self, batch: Mapping[str, Any], generator: torch.Generator) -> Views:
        """As in :class:`Student`, and what else is random.

        ``first`` and ``second``: views of the unlabelled images [u, c, h, w]; ``partner`` int64
        and ``share`` float32 [b + 2 u]: what each of the labelled, first and second views is
        mixed with, and how much of it stays.
        """
        views = {
            **super().views(batch, generator),
            "first": self.weak(batch["unlabeled"], generator),
            "second": self.weak(batch["unlabeled"], generator),
        }
        device = views["labeled"].device
        count = len(views["labeled"]) + 2 * len(views["first"])
        views["partner"] = torch.randperm(count, generator=generator, device=generator.device)
        views["share"] = shares(count, self.alpha, generator).to(device)
        return views

    def forward(self, views: Views) -> tuple[Tensor, dict[str, Tensor]]:
        """L = L_x + lambda_u r L_u, with r = min(1, step / ramp) (Eq. 5)."""
        partner, share, weights = views["partner"], views["share"], views["weights"]
        labeled = len(weights)
        # 1. One guess for both views of an image.
        guesses = self.guesses(views)
        # 2. Mix. A label's weight goes where its label goes: cross entropy is linear in the
        #    target, so each of the two labels of a mixture counts by its own weight.
        pictures = torch.cat([views["labeled"], views["first"], views["second"]])
        classes = functional.one_hot(views["classes"], self.n_classes).to(guesses.dtype)
        targets = torch.cat([classes, guesses, guesses])
        mass = torch.cat([weights, weights.new_ones(2 * len(guesses))])
        weighted = mixed(targets * mass[:, None], partner, share)[:labeled]
        wanted = mixed(targets, partner, share)[labeled:]
        # 3. One batch. The authors' three are interleaved so that the batch statistics of each are
        #    of labelled and unlabelled mixtures in equal parts, as those of one batch are anyway.
        logits = self.classifier(mixed(pictures, partner, share))
        supervised = soft_cross_entropy(logits[:labeled], weighted)
        unsupervised = squared_error(logits[labeled:], wanted)
        risen = (self.steps / self.ramp).clamp(max=1) if self.ramp else 1.0
        return supervised + self.lam * risen * unsupervised, {
            "labeled_loss": supervised.detach(),
            "unlabeled_loss": unsupervised.detach(),
            "confidence": guesses.max(1).values.mean(),
        }

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def guesses(self, views: Views) -> Tensor:
        """Eq. 6-7: sharpened mean prediction of both views of each unlabelled image, [u, C]."""
        # The running statistics are to be those of mixtures, which the losses are of.
        with still_statistics(self.classifier):
            logits = self.classifier(torch.cat([views["first"], views["second"]]))
        first, second = logits.chunk(2)
        return sharpened(first, second, self.temperature)


build = MixMatch


def shares(count: int, alpha: float, generator: torch.Generator) -> Tensor:
    """Eq. 8-9: max(l, 1 - l), l ~ Beta(alpha, alpha), for each picture; float32 [count].

    At least 1/2, so that a mixture is mostly of the picture whose place it takes.
    """
    # torch draws from Beta by its global generator only.
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    drawn = np.random.default_rng(int(seed)).beta(alpha, alpha, count)
    return torch.from_numpy(np.maximum(drawn, 1 - drawn)).float()


def mixed(values: Tensor, partner: Tensor, share: Tensor) -> Tensor:
    """Eq. 10-11: share_i values_i + (1 - share_i) values_partner(i), for rows [n, ...]."""
    share = share.view(-1, *[1] * (values.ndim - 1))
    return share * values + (1 - share) * values[partner]


@full_precision
def sharpened(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Eq. 6-7: p^(1/T) / sum of p^(1/T), p the mean of two predictions.

    Parameters
    ----------
    first, second : logits [u, C] of two views of the same images.

    Returns
    -------
    Rows that sum to 1, [u, C].
    """
    mean = (first.softmax(1) + second.softmax(1)) / 2
    # In logarithms: among many classes no p may be left whose power is above 0.
    return (mean.log() / temperature).softmax(1)


@full_precision
def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Eq. 3: mean over rows of -sum over c of t_c log softmax(logits)_c, both [b, C].

    Targets need not sum to 1: their sum is the weight of their row.
    """
    return -(targets * logits.log_softmax(1)).sum(1).mean()


@full_precision
def squared_error(logits: Tensor, targets: Tensor) -> Tensor:
    """Eq. 4: mean over rows and classes of (softmax(logits) - t)^2, both [u, C]."""
    return (logits.softmax(1) - targets).square().mean()


@contextmanager
def still_statistics(module: nn.Module) -> Iterator[None]:
    """Batch normalisation by the statistics of the batch, without remembering them."""
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)
    layers = [layer for layer in module.modules() if isinstance(layer, kinds)]
    before = [layer.track_running_stats for layer in layers]
    try:
        for layer in layers:
            layer.track_running_stats = False
        yield
    finally:
        for layer, tracked in zip(layers, before, strict=True):
            layer.track_running_stats = tracked
