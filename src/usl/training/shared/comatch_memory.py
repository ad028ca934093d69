"""CoMatch's pseudo-labels, and the memory bank they are smoothed with."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from usl.learning.ranks import gather
from usl.learning.ring import Ring
from usl.training.shared.comatch_losses import aligned, smoothed


class PseudoLabels(nn.Module):  # type: ignore[misc]
    """Predictions of weak views, aligned if so asked, and smoothed once the memory is full.

    Parameters
    ----------
    n_classes : C; width : of the embeddings, d.
    queue : images in the memory.
    alpha : share of the own prediction; temperature : T of the similarities.
    alignment : make all classes equally frequent, going by the means of ``window`` batches.

    Attributes
    ----------
    memory : rows of d + C numbers, embedding and unsmoothed prediction.
    means : mean predictions of earlier batches, unaligned.
    """

    def __init__(
        self,
        n_classes: int,
        width: int,
        *,
        queue: int,
        alpha: float,
        temperature: float,
        alignment: bool,
        window: int,
    ) -> None:
        super().__init__()
        self.widths = [width, n_classes]
        self.alpha, self.temperature, self.alignment = alpha, temperature, alignment
        self.memory = Ring(queue, width + n_classes)
        self.means = Ring(window - 1, n_classes)
        self._fresh: list[tuple[Tensor, Tensor]] = []

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def forward(
        self,
        logits: Tensor,
        embeddings: Tensor,
        classes: Tensor,
        weights: Tensor,
        *,
        smooth: bool = True,
    ) -> Tensor:
        """Pseudo-labels of the unlabelled images, float [u, C], rows sum to 1.

        Parameters
        ----------
        logits : [b + u, C], of the labelled images and then of the unlabelled ones.
        embeddings : [b + u, d], unit rows.
        classes : int64 [b]; weights : float [b], of the labels.
        smooth : False while it is too early for it, even if the memory is full.
        """
        b = len(classes)
        probabilities = logits.softmax(1)
        # 1. Align with the mean over this batch and those before it.
        batch = gather(probabilities[b:].mean(0, keepdim=True)).mean(0, keepdim=True)
        if self.alignment:
            mean = torch.cat([self.means.written, batch]).mean(0)
            probabilities = aligned(probabilities, mean)
        # 2. A label that is not certain stands in the memory with the prediction for the rest.
        own, labels = probabilities[:b], probabilities[b:]
        given = functional.one_hot(classes, self.widths[1]).to(own.dtype)
        certain = weights.clamp(max=1)[:, None].to(own.dtype)
        entries = torch.cat([certain * given + (1 - certain) * own, labels])
        self._fresh.append((batch, torch.cat([embeddings, entries], 1)))
        # 3. Smooth.
        if not (smooth and self.memory.full):
            return labels
        rows, predictions = self.memory.rows.split(self.widths, 1)
        return smoothed(labels, embeddings[b:], rows, predictions, self.alpha, self.temperature)

    def after_step(self) -> None:
        """Remember what the step has seen; micro-batches of one step count as one batch."""
        batches, entries = zip(*self._fresh, strict=True)
        self.means.push(torch.cat(batches).mean(0, keepdim=True))
        self.memory.push(gather(torch.cat(entries)))
        self._fresh.clear()
