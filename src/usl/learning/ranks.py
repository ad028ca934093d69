"""Tensors of all processes of a training on several devices.

Everything here is the identity where no process group has been started.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist


def world_size() -> int:
    """Number of processes of the default group; 1 without one."""
    return int(dist.get_world_size()) if _grouped() else 1


def rank() -> int:
    """Number of this process, from 0."""
    return int(dist.get_rank()) if _grouped() else 0


def gather(tensor: Tensor) -> Tensor:
    """The rows of all processes, in their order: [b, ...] to [b * world size, ...].

    The gradient of the own rows is that of the sum of all processes' losses. With
    ``DistributedDataParallel``, which averages the gradients of the weights, a loss that each
    process averages over its own rows then has the gradient that one process would find for the
    mean over all rows.

    Every process must call it, and its backward, the same number of times and with tensors of one
    shape.
    """
    gathered: Tensor = tensor if world_size() == 1 else _Gather.apply(tensor)
    return gathered


def _grouped() -> bool:
    return bool(dist.is_available() and dist.is_initialized())


class _Gather(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        own = tensor.contiguous()
        parts = [torch.empty_like(own) for _ in range(world_size())]
        dist.all_gather(parts, own)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total.chunk(world_size())[rank()]
