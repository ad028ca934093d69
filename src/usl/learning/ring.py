"""A memory of the latest rows, for batches of any length."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Ring(nn.Module):  # type: ignore[misc]
    """The last ``size`` rows that were pushed, not in their order.

    Attributes
    ----------
    rows : buffer, float32 [size, width], 0 until they are written.
    pushed : buffer, int64 scalar, how many rows there have been.
    """

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.rows: Tensor
        self.pushed: Tensor
        self.register_buffer("rows", torch.zeros(size, width))
        self.register_buffer("pushed", torch.zeros((), dtype=torch.int64))

    def push(self, rows: Tensor) -> None:
        """Write rows [b, width] in place of the oldest; several processes push the same rows."""
        size = len(self.rows)
        places = (self.pushed + torch.arange(len(rows), device=rows.device)) % size
        # Of more rows than there are places the last ones stay.
        self.rows.index_copy_(0, places[-size:], rows[-size:].to(self.rows.dtype))
        self.pushed += len(rows)

    @property
    def written(self) -> Tensor:
        """The rows so far, [min(pushed, size), width]."""
        return self.rows[: int(self.pushed)]

    @property
    def full(self) -> bool:
        """Whether every row has been written."""
        return int(self.pushed) >= len(self.rows)
