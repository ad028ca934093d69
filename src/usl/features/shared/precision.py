"""Networks in half precision, bfloat16 or float16, where the hardware computes in it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from copy import copy
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from usl.core.errors import UsageError, did_you_mean
from usl.features.contract import Encoder, PrecisionName

if TYPE_CHECKING:
    from torch import Tensor

E = TypeVar("E", bound=Encoder)
FULL: PrecisionName = "fp32"
SUFFIXES = {"fp32": "", "bf16": "-bf16", "fp16": "-f16"}  # of cache keys
TYPES = {"bf16": "bfloat16", "fp16": "float16"}  # of torch

# What processors call their instructions for it, in torch's words and in Linux's.
INSTRUCTIONS = {
    "bf16": {"avx512_bf16", "amx_bf16", "bf16", "arm_bf16"},
    "fp16": {"avx512_fp16", "amx_fp16", "fphp", "asimdhp", "arm_fp16_arith"},
}


def check_precision(encoder: Encoder, precision: str, device: str) -> None:
    """Refuse a precision that there is not, or that the device has no instructions for."""
    known = get_args(PrecisionName)
    if precision not in known:
        raise UsageError(
            f"precision: {precision!r} given; use {', '.join(known)}."
            + did_you_mean(precision, known)
        )
    if precision == FULL or has_instructions(precision, device):
        return
    where = "this processor" if device == "cpu" else "this GPU"
    raise UsageError(
        f"precision: {encoder.name!r} cannot compute in {precision} here, because {where} has no "
        f"instructions for {TYPES[precision]}. Leave --precision out."
    )


@cache
def has_instructions(precision: str, device: str) -> bool:
    """Whether the device computes in that precision by itself, not by way of float32."""
    import torch

    if device == "cuda":
        return precision == "fp16" or torch.cuda.get_device_capability() >= (8, 0)
    ask = getattr(torch.cpu, "get_capabilities", dict)  # torch 2.7 and newer
    found = {name for name, has in ask().items() if has is True}
    with contextlib.suppress(OSError):
        found |= set(Path("/proc/cpuinfo").read_text().split())
    return bool(found & INSTRUCTIONS[precision])


def of_precision(encoder: E, precision: PrecisionName, device: str) -> E:
    """A copy of an encoder whose network is to compute in another precision."""
    check_precision(encoder, precision, device)
    changed = copy(encoder)
    changed.precision = precision
    changed.key = encoder.key.removesuffix(SUFFIXES[encoder.precision]) + SUFFIXES[precision]
    return changed


def in_precision(
    network: Callable[[Tensor], Tensor], batch: Tensor, precision: PrecisionName
) -> Any:
    """Rows of a batch, as floats; those that leave the range of float16 in full precision."""
    import torch

    if precision == FULL:
        return network(batch)
    kind = getattr(torch, TYPES[precision])
    with torch.autocast(batch.device.type, dtype=kind):
        rows = network(batch).float()
    fits = torch.isfinite(rows).all(dim=1)
    if not fits.all():
        rows[~fits] = network(batch[~fits])
    return rows
