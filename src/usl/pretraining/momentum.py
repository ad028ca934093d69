"""The two memories of momentum contrast: a network that follows another, and a queue of its keys.

Sources: K. He, H. Fan, Y. Wu, S. Xie, R. Girshick, "Momentum contrast for unsupervised visual
representation learning", CVPR 2020; Z. Cai et al., "Exponential moving average normalization for
self-supervised and semi-supervised learning", CVPR 2021 (EMAN).
"""

from __future__ import annotations

from typing import Any, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from usl.core.errors import UsageError
from usl.learning.ema import follow, teacher_of
from usl.learning.precision import widen
from usl.learning.ranks import gather, world_size
from usl.learning.ring import Ring

BatchNorm = Literal["eman", "split", "plain"]


class KeyEncoder(nn.Module):  # type: ignore[misc]
    """A moving average of the query network.

    Were the keys normalised with the statistics of the batch their queries are in, those would
    tell which key belongs to it, and the task would be solved without looking at the images.
    ``bn`` says what is done about that on one device:

    - ``eman``: running statistics, which are averaged like the weights;
    - ``split``: statistics of a ``splits``-th part of the batch, for the queries, too, and the
      keys in another order: as on so many devices with shuffled batch normalisation;
    - ``plain``: nothing.
    """

    def __init__(self, query: nn.Module, momentum: float, bn: BatchNorm, splits: int) -> None:
        super().__init__()
        self.momentum, self.bn, self.splits = momentum, bn, splits
        self.network = teacher_of(query)
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Training mode; with ``eman`` the network stays in evaluation mode."""
        super().train(mode)
        self.network.train(mode and self.bn != "eman")
        return self

    def forward(self, images: Tensor, order: Tensor | None = None) -> Tensor:
        """Keys of unit length, float32 [b, d], without gradient.

        ``order`` is a permutation, int64 [b], in which they are computed, or None.

        Raises
        ------
        UsageError
            ``split`` would leave parts of fewer than two images.
        """
        with torch.no_grad():
            if order is not None:
                return self(images[order])[order.argsort()]
            keys = self.query(self.network, images)
            return functional.normalize(widen(keys), dim=1)

    def query(self, network: nn.Module, images: Tensor) -> Tensor:
        """What a network makes of the images, normalised as the keys are: ``split``, or at once."""
        if self.bn != "split" or not self.training:
            return network(images)
        if len(images) < 2 * self.splits:
            raise UsageError(
                f"splits: a batch of {len(images)} images in {self.splits} parts leaves parts "
                f"of fewer than 2. Use a batch of {2 * self.splits} or more, or fewer splits."
            )
        return in_parts(network, images, self.splits)

    def follow(self, query: nn.Module) -> None:
        """One step towards the query network."""
        how: Literal["average", "copy"] = "average" if self.bn == "eman" else "copy"
        follow(self.network, query, self.momentum, buffers=how)


def in_parts(network: nn.Module, images: Tensor, parts: int) -> Tensor:
    """The outputs for a batch whose parts know nothing of each other's statistics.

    The running statistics of batch normalisation move once, to the mean of where the parts would
    have moved them.
    """
    running = [
        buffer
        for name, buffer in network.named_buffers()
        if name.rpartition(".")[2] in ("running_mean", "running_var")
    ]
    # `data`: the backward pass of a part must not take this for a change of what it needs.
    before = [buffer.clone() for buffer in running]
    sums = [torch.zeros_like(buffer) for buffer in running]
    outputs = []
    for part in images.tensor_split(parts):
        for buffer, start in zip(running, before, strict=True):
            buffer.data.copy_(start)
        outputs.append(network(part))
        for total, buffer in zip(sums, running, strict=True):
            total.add_(buffer)
    for buffer, total in zip(running, sums, strict=True):
        buffer.data.copy_(total / parts)
    return torch.cat(outputs)


class KeyQueue(Ring):
    """The last keys of all processes: unit rows, random directions until they are replaced."""

    def __init__(self, size: int, width: int, generator: torch.Generator) -> None:
        super().__init__(size, width)
        start = torch.randn(size, width, generator=generator)
        self.rows.copy_(functional.normalize(start, dim=1))

    def check(self, batch: int) -> None:
        """Refuse a batch of keys per process that does not go into the queue evenly.

        Whole batches then leave together, so that no queue holds part of one.
        """
        size, processes = len(self.rows), world_size()
        step = batch * processes
        if size % step:
            told = f"{step} keys a step"
            if processes > 1:
                told += f" ({batch} on each of {processes} processes)"
            raise UsageError(
                f"queue: {size} is not a multiple of the {told}. "
                f"Use queue={fitting_queue(size, step)}."
            )

    def push(self, keys: Tensor) -> None:
        """Put the keys of all processes, [b, width] each and without gradient, for the oldest."""
        super().push(gather(keys))

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *more: Any) -> None:
        """As any module; version 0.1.0 called the counter ``pointer``."""
        if (pointer := state.pop(f"{prefix}pointer", None)) is not None:
            state[f"{prefix}pushed"] = pointer
        super()._load_from_state_dict(state, prefix, *more)


def fitting_queue(queue: int, batch: int, images: int | None = None) -> int:
    """The multiple of ``batch`` nearest to ``queue``, at least one batch.

    ``batch`` counts the keys of a step on all processes (twice the images if symmetric). With
    ``images``, the size of the collection, the queue is no larger than that: beyond, it would hold
    several keys of one image, and of the image itself that is asked for, as negatives.
    """
    batches = (queue + batch // 2) // batch
    if images is not None:
        batches = min(batches, images // batch)
    return max(1, batches) * batch
