"""Losses in full precision, whatever precision the network runs in."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def widen(tensor: Tensor) -> Tensor:
    """Half-precision numbers as float32; float32 and float64 stay what they are."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def full_precision(loss: Callable[P, R]) -> Callable[P, R]:
    """Run a function of tensors outside autocast, on widened tensors.

    Casting the inputs alone would not do: under autocast a product of float32 matrices is
    computed in half precision, and similarities divided by a temperature need the digits.
    """

    @functools.wraps(loss)
    def run(*args: Any, **kwargs: Any) -> R:
        wide = [widen(value) if isinstance(value, Tensor) else value for value in args]
        device = next(value.device.type for value in args if isinstance(value, Tensor))
        with torch.autocast(device, enabled=False):
            return loss(*wide, **kwargs)

    return run
