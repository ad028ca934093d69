"""FlexMatch: a class that the model is rarely sure of has a lower threshold.

Source: B. Zhang et al., "FlexMatch: boosting semi-supervised learning with curriculum pseudo
labeling", NeurIPS 2021, section 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from usl.learning.loop import Views
from usl.learning.optim import Optimizer
from usl.learning.ranks import gather
from usl.learning.recipe import Recipe
from usl.training.networks.fixmatch import RECIPES as FIXMATCH
from usl.training.networks.fixmatch import Consistency, pseudo_label_loss

UNUSED = -1  # the model was never sure of this row

RECIPES = {
    "cpu": FIXMATCH["cpu"],
    # The authors take a weight decay of 1e-3 for CIFAR-100.
    "cifar": replace(
        FIXMATCH["cifar"],
        optimizer=FIXMATCH["cifar"].optimizer.changed(weight_decay=5e-4),
        parameters={"views": "usb", "ema_warmup": False},
        decay_of_many=1e-3,
    ),
    # The configuration the authors released, made for 100,000 labels.
    "imagenet": Recipe(
        Optimizer("sgd", lr=0.03, weight_decay=3e-4, nesterov=True, schedule="fixmatch"),
        batch_size=32,
        ratio=7,
        steps=2_000_000,
        parameters={"views": "usb-large", "ema_warmup": False},
        network="resnet50",
        whole=True,
    ),
}


class FlexMatch(Consistency):
    """FixMatch with a threshold for every class.

    Parameters
    ----------
    tau : confidence from which an image counts as learned; the threshold of the class that is
        learned best.
    warmup : while most images are not learned, all thresholds are low.

    Attributes
    ----------
    learned : buffer, int64 [images]: the class that the model was last sure of, -1 before.
    """

    learned: Tensor

    def __init__(
        self,
        backbone: Any,
        n_classes: int,
        *,
        tau: float = 0.95,
        warmup: bool = True,
        **shared: Any,
    ) -> None:
        super().__init__(backbone, n_classes, **shared)
        self.tau, self.n_classes, self.warmup, self.unlabeled = tau, n_classes, warmup, 0
        self._sure: list[tuple[Tensor, Tensor]] = []

    def prepare(self, *, images: int, unlabeled: int, steps: int) -> None:
        """Nothing is learned yet."""
        super().prepare(images=images, unlabeled=unlabeled, steps=steps)
        self.unlabeled = unlabeled
        self.register_buffer("learned", torch.full((images,), UNUSED))

    def views(self, batch: Mapping[str, Any], generator: torch.Generator) -> Views:
        """As in :class:`FixMatch`, and the ``rows`` of the unlabelled images."""
        return {**super().views(batch, generator), "rows": batch["unlabeled_rows"]}

    def consistency(
        self, weak: Tensor, strong: Tensor, views: Views
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """FixMatch's, above the thresholds as the steps before left them."""
        confidence, hard = weak.softmax(1).max(1)
        bars = thresholds(self.learned, self.n_classes, self.unlabeled, self.tau, self.warmup)
        counted = (confidence >= bars[hard]).to(strong.dtype)
        sure = torch.where(confidence >= self.tau, hard, UNUSED)
        self._sure.append((views["rows"], sure))
        figures = {"above_threshold": counted.mean(), "lowest_threshold": bars.min()}
        return pseudo_label_loss(strong, hard, counted), figures

    def after_step(self) -> None:
        """Move the teacher, and note what the model has become sure of, on all processes."""
        super().after_step()
        if self._sure:
            rows, sure = (gather(torch.cat(parts)) for parts in zip(*self._sure, strict=True))
            note(self.learned, rows, sure)
            self._sure.clear()


build = FlexMatch


@torch.no_grad()  # type: ignore[untyped-decorator]
def note(learned: Tensor, rows: Tensor, sure: Tensor) -> None:
    """Write the classes of ``sure``, int64 [b], -1 for none, at ``rows`` of ``learned``, in place.

    A row may come twice in a batch; then its last class stays, on any device.
    """
    rows, sure = rows[sure != UNUSED], sure[sure != UNUSED]
    places, of_place = rows.unique(return_inverse=True)
    order = torch.arange(len(rows), device=rows.device)
    last = torch.zeros_like(places).scatter_reduce_(0, of_place, order, "amax", include_self=False)
    learned[places] = sure[last]


def thresholds(learned: Tensor, n_classes: int, unlabeled: int, tau: float, warmup: bool) -> Tensor:
    """The thresholds T(c) = M(beta(c)) tau, float32 [C].

        sigma(c) = number of rows last surely seen as c
        beta(c)  = sigma(c) / max_c' sigma(c')
        beta(c)  = sigma(c) / max(max_c' sigma(c'), N - sum_c' sigma(c'))   in the warm-up
        M(x)     = x / (2 - x)

    All are 0 while nothing is learned.

    Parameters
    ----------
    learned : int64 [images], a class or -1.
    unlabeled : N, rows of the unlabelled stream.
    """
    sigma = torch.bincount(learned + 1, minlength=n_classes + 1)[1:]
    most = sigma.max()
    if warmup:
        most = torch.maximum(most, unlabeled - sigma.sum())
    beta = sigma / most.clamp(min=1)
    return beta / (2 - beta) * tau
