"""Moving means over the batches of a training, of which the current batch is already a part."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MovingMean(nn.Module):  # type: ignore[misc]
    """v_t = m v_(t-1) + (1 - m) x_t.

    A step may come in several micro-batches: each sees v_t as if it were the whole step, and what
    stays is the v_t of their mean. With ``from_first`` v_1 = x_1, whatever the start.

    Attributes
    ----------
    value : buffer, v of the steps so far; of the shape of its start.
    share : 1 - m; with ``from_first`` a buffer, 1 before the first step.
    """

    def __init__(self, start: Tensor, momentum: float, *, from_first: bool = False) -> None:
        super().__init__()
        self.momentum = momentum
        self.value: Tensor
        self.register_buffer("value", start)
        self.share: float | Tensor = 1 - momentum
        if from_first:
            del self.share
            self.register_buffer("share", start.new_ones(()))
        self._seen: list[Tensor] = []

    def forward(self, seen: Tensor) -> Tensor:
        """v_t, without gradient; ``seen`` is x_t, equal on all processes."""
        self._seen.append(seen.detach().to(self.value.dtype))
        return self.value.lerp(self._seen[-1], self.share)

    def after_step(self) -> None:
        """Keep v_t."""
        if self._seen:
            self.value.lerp_(torch.stack(self._seen).mean(0), self.share)
            if isinstance(self.share, Tensor):
                self.share.fill_(1 - self.momentum)
            self._seen.clear()
