"""USL-T end to end: the heads and the backbone under them, trained together (paper 2.3, 4.5).

The heads begin at random, as in the released code, or as they were learned on the frozen features
(:mod:`usl.selection.methods.usl_t.heads`), so that the first gradients that reach the backbone
already mean something. Then, for every image,

1. the plain picture says which cluster it belongs to (Eq. 8), and how surely;
2. a strongly augmented view of it has to agree (Eq. 10), and
3. to agree with a strongly augmented neighbour, adjusted and sharpened (Eq. 11 to 14).

Neighbours are those of the fixed space the selection began with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from usl.core.errors import DataError, TrainingFailedError
from usl.core.progress import Progress
from usl.learning.augment import Augmentation, Plain, Scan, Strong
from usl.learning.batches import Shuffled, part_of
from usl.learning.loop import DEFAULTS, Task, Views, run_loop
from usl.learning.loop_options import CHECKPOINT, LoopOptions
from usl.learning.pictures import Pictures, encode
from usl.learning.precision import full_precision
from usl.numeric.arrays import Float32
from usl.selection.methods.usl_t.heads import EARLY, REPORT_EVERY
from usl.selection.methods.usl_t.network_losses import (
    class_weights,
    global_loss,
    local_loss,
    local_target,
)
from usl.selection.methods.usl_t.step import Head, Training, normalized_entropy
from usl.selection.methods.usl_t.together import OURS, Network

COLLAPSED = 0.5  # share of the greatest entropy of cluster sizes


@dataclass(frozen=True)
class Trainable:
    """What end-to-end training needs beside features; made by ``usl select``.

    Attributes
    ----------
    backbone : makes a fresh :class:`usl.learning.backbone.Backbone` with the encoder's weights.
    pictures : opens the pictures, in the order of the features' rows, for a network of that size.
    mean, deviation, components : the fitted preprocessing between the backbone's features and the
        unit sphere, each an array or None.
    folder : where checkpoints go; None for none.
    options : how the training runs on this machine.
    """

    backbone: Callable[[], Any]
    pictures: Callable[[int, Progress], Pictures]
    mean: NDArray[np.float64] | None = None
    deviation: NDArray[np.float64] | None = None
    components: NDArray[np.float64] | None = None
    folder: Path | None = None
    options: LoopOptions = DEFAULTS


class Clusters(Task):
    """Backbone, fixed preprocessing and heads; the moving means are buffers.

    ``early`` : steps in which the local loss takes part; None for all.
    """

    def __init__(
        self,
        backbone: Any,
        source: Trainable,
        heads: list[Head],
        training: Training,
        network: Network = OURS,
        early: int | None = None,
    ) -> None:
        super().__init__()
        self.backbone, self.settings, self.network, self.early = backbone, training, network, early
        self.normalized, self.scale = heads[0].normalized, float(heads[0].scale)
        self.weight = nn.Parameter(torch.stack([torch.from_numpy(h.weight) for h in heads]))
        self.bias = nn.Parameter(torch.stack([torch.from_numpy(h.bias) for h in heads]))
        self.bias.requires_grad_(not self.normalized)
        for name, rows in (("mean", [h.mean for h in heads]), ("sizes", [h.sizes for h in heads])):
            self.register_buffer(name, torch.from_numpy(np.stack(rows)).float())
        for name in ("mean", "deviation", "components"):
            array = getattr(source, name)
            value = None if array is None else torch.from_numpy(array).float()
            self.register_buffer(f"space_{name}", value)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.plain = Plain(backbone.size)
        self.strong: Augmentation = Strong(backbone.size)
        if network.views == "scan":
            self.strong = Scan(backbone.size, tuple(backbone.mean.flatten().tolist()))

    def views(self, batch: Mapping[str, Any], generator: torch.Generator) -> Views:
        """``plain`` and ``strong`` views of the images, ``neighbor`` views of their neighbours."""
        return {
            "plain": self.plain(batch["images"], generator),
            "strong": self.strong(batch["images"], generator),
            "neighbor": self.strong(batch["neighbors"], generator),
        }

    @full_precision
    def to_space(self, features: Tensor) -> Tensor:
        """Raw features to points, as :class:`usl.features.preprocessing.Preprocessing` does."""
        if self.network.raw:
            return features.float()
        if self.space_mean is not None:
            features = features - self.space_mean
        if self.space_deviation is not None:
            features = features / self.space_deviation
        if self.space_components is not None:
            features = features @ self.space_components.T
        return functional.normalize(features, dim=1)

    @full_precision
    def logits(self, features: Tensor) -> Tensor:
        """Of all heads, float32 [H, b, C], from raw features [b, width]."""
        points = self.to_space(features)
        weight = functional.normalize(self.weight, dim=2) if self.normalized else self.weight
        return self.scale * (points @ weight.transpose(1, 2)) + self.bias[:, None]

    def forward(self, views: Views) -> tuple[Tensor, dict[str, Tensor]]:
        """Eq. 15, a sum over the heads."""
        settings = self.settings
        plain, prediction, neighbor = self.all_logits(views)
        prediction = prediction.log_softmax(2)
        confidence, hard = plain.softmax(2).max(2)
        sure = confidence >= settings.tau
        counted = sure.float()
        if settings.reweight != "off":
            counted = class_weights(hard, sure, self.weight.shape[1], settings.reweight)
        outer = global_loss(prediction, hard, counted)
        target = local_target(neighbor, self.mean, alpha=settings.alpha, t=settings.t)
        inner = local_loss(prediction, target)
        self.remember(neighbor.softmax(2).mean(1), hard)
        acts = 1.0 if self.early is None else (self.steps < self.early).float()
        return (outer + settings.lam * acts * inner).sum(), {
            "global_loss": outer.detach().mean(),
            "local_loss": inner.detach().mean(),
            "confidence": confidence.mean(),
            "above_tau": sure.float().mean(),
            "agreement": (hard == neighbor.argmax(2)).float().mean(),
        }

    def all_logits(self, views: Views) -> tuple[Tensor, Tensor, Tensor]:
        """Of the plain, the strong and the neighbouring pictures; only the second take gradients.

        Batch normalisation sees plain and neighbouring pictures together, or each apart.
        """
        if self.network.apart:
            with torch.no_grad():
                plain = self.logits(self.backbone(views["plain"]))
            strong = self.logits(self.backbone(views["strong"]))
            with torch.no_grad():
                neighbor = self.logits(self.backbone(views["neighbor"]))
            return plain, strong, neighbor
        with torch.no_grad():
            calm = self.backbone(torch.cat([views["plain"], views["neighbor"]]))
            plain, neighbor = self.logits(calm).split(len(views["plain"]), dim=1)
        return plain, self.logits(self.backbone(views["strong"])), neighbor

    def after_step(self) -> None:
        """Count."""
        self.steps += 1

    def remember(self, shares: Tensor, hard: Tensor) -> None:
        """Move z-bar (Eq. 12, after its use in this step) and the sizes of the clusters."""
        clusters, anchors = self.weight.shape[1], hard.shape[1]
        self.mean.lerp_(shares, self.settings.momentum)
        counts = functional.one_hot(hard, clusters).float().mean(1)
        self.sizes.lerp_(counts, 1 - max(0.9, 1 - anchors / (50 * clusters)))


class Pairs:
    """Batches of images, each with a random one of its neighbours."""

    def __init__(
        self, pictures: Pictures, near: NDArray[np.int64], batch_size: int, seed: int
    ) -> None:
        self.pictures, self.near, self.seed = pictures, near, seed
        self.order = Shuffled(len(near), batch_size, seed)

    def __call__(self, step: int, rank: int, ranks: int) -> Mapping[str, Any]:
        """``images`` and ``neighbors``, uint8 [b, c, h, w], and ``rows``, int64 [b]."""
        rows = part_of(self.order.rows(step), rank, ranks)
        rng = np.random.default_rng([self.seed, 1, step, rank])
        chosen = self.near[rows, rng.integers(self.near.shape[1], size=len(rows))]
        return {
            "images": self.pictures(rows),
            "neighbors": self.pictures(chosen),
            "rows": torch.from_numpy(rows),
        }


def train_network(
    near: NDArray[np.int64],
    heads: list[Head],
    training: Training,
    source: Trainable,
    backbone: Any,
    network: Network,
    *,
    seed: int,
    settings: Mapping[str, Any],
    progress: Progress,
) -> tuple[Float32, list[Head], list[dict[str, Any]]]:
    """Train backbone and heads, both in place; the points [n, d] in the new space, heads, records.

    Parameters
    ----------
    near : int64 [n, k], rows of each row's neighbours.
    heads : the start.
    backbone : of ``source``.
    settings : what defines this training, for resuming.

    Raises
    ------
    TrainingFailedError
        a loss that is not finite, or clusters that collapse.
    DataError
        a picture that could be read before and now cannot.
    """
    pictures = source.pictures(backbone.size, progress)
    if pictures.skipped:
        raise DataError(f"usl_t: cannot be read any more: {pictures.skipped[0][1]}")
    pairs = Pairs(pictures, near, network.batch_size, seed)
    steps = network.epochs * pairs.order.per_epoch
    early = None if training.local == 1 else round(training.local * steps)
    task = Clusters(backbone, source, heads, training, network, early)
    history: list[dict[str, Any]] = []

    def watch(now: Any) -> dict[str, float]:
        figures = health(now.sizes.double().cpu().numpy())
        several = now.sizes.shape[-1] > 1  # one cluster holds everything, which is no collapse
        begun = network.heads_first or int(now.steps) >= EARLY
        if several and begun and figures["entropy"] < COLLAPSED:
            raise TrainingFailedError(
                f"usl_t: the clusters have collapsed: the entropy of their sizes is "
                f"{figures['entropy']:.2f} of the maximum. Raise alpha (it spreads clusters), or "
                "lower lam or network_lr.",
                history,
            )
        return figures

    every = min(REPORT_EVERY, pairs.order.per_epoch)
    resume = source.folder is not None and (source.folder / CHECKPOINT).is_file()
    history += run_loop(
        task,
        pairs,
        steps=steps,
        optimizer=network.optimizer(training.weight_decay),
        seed=seed,
        settings=settings,
        folder=source.folder,
        options=replace(source.options, resume=resume),
        log_every=every,
        monitor=watch,
        monitor_every=every,
        label="usl_t network",
        go_on="The same command goes on from there.",
        progress=progress,
    )
    with torch.inference_mode():
        points = task.to_space(encode(backbone, pictures)).numpy()
    return points, trained_heads(task, heads), history


def health(sizes: NDArray[np.float64]) -> dict[str, float]:
    """Of cluster sizes [H, C]: the least entropy of a head, and its extremes over the mean."""
    worst = min(sizes, key=normalized_entropy)
    return {
        "entropy": round(normalized_entropy(worst), 4),
        "smallest": round(float(worst.min() * len(worst)), 4),
        "largest": round(float(worst.max() * len(worst)), 4),
    }


def trained_heads(task: Clusters, heads: list[Head]) -> list[Head]:
    """The task's heads as arrays."""
    arrays = [
        getattr(task, name).detach().cpu().numpy() for name in ("weight", "bias", "mean", "sizes")
    ]
    return [
        replace(head, weight=weight, bias=bias, mean=mean.astype(float), sizes=sizes.astype(float))
        for head, weight, bias, mean, sizes in zip(heads, *arrays, strict=True)
    ]
