"""Where a training runs, and how precisely it computes."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from usl.core.errors import UsageError

PRECISIONS = ("auto", "32", "bf16", "16")


@dataclass(frozen=True)
class Hardware:
    """Where and how precisely to compute.

    ``device``: ``auto`` (a GPU if there is one), ``cpu``, ``cuda``, ``mps``. ``precision``:
    ``auto`` (bfloat16 where the processor multiplies matrices of it, else 32 bits), ``32``,
    ``bf16`` or ``16``. Under ``torchrun`` every process takes one device and gradients are
    averaged.
    """

    device: str = "auto"
    precision: str = "auto"

    def fabric(self) -> Any:
        """A started Lightning Fabric."""
        from lightning_fabric import Fabric

        if self.precision not in PRECISIONS:
            raise UsageError(f"precision: {self.precision!r} given; use {', '.join(PRECISIONS)}.")
        processes = int(os.environ.get("WORLD_SIZE", "1"))
        local = int(os.environ.get("LOCAL_WORLD_SIZE", processes))
        accelerator = {"cuda": "gpu"}.get(self.device, self.device)
        try:
            with quiet("lightning_fabric"):
                fabric = Fabric(
                    accelerator=accelerator,
                    devices=local,
                    num_nodes=max(1, processes // max(1, local)),
                    strategy="ddp" if processes > 1 else "auto",
                    precision=self._resolved(),
                )
        except (RuntimeError, ValueError) as error:
            raise UsageError(f"device: {self.device!r} cannot be used here ({error}).") from error
        with quiet("lightning_fabric"):
            fabric.launch()
        return fabric

    def _resolved(self) -> str:
        import torch

        names = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}
        if self.precision != "auto":
            return names[self.precision]
        if self.device in ("auto", "cuda") and torch.cuda.is_available():
            return names["bf16" if torch.cuda.is_bf16_supported() else "32"]
        return names["bf16" if self.device in ("auto", "cpu") and cpu_has_bfloat16() else "32"]


def cpu_has_bfloat16() -> bool:
    """Whether the processor has matrix units for bfloat16 (AMX).

    With vector instructions for it alone (AVX-512 BF16), small networks train more slowly than in
    32 bits: 1,990 against 1,590 images/s for ``compact`` on two cores.
    """
    import torch

    ask = getattr(torch.cpu, "get_capabilities", None)  # torch 2.7 and newer
    return bool(ask is not None and ask().get("amx_bf16"))


@contextmanager
def quiet(package: str) -> Iterator[None]:
    """The loggers of a package silent below warnings, for the length of a block."""
    loggers = [
        logging.getLogger(name)
        for name in list(logging.Logger.manager.loggerDict)
        if name.split(".")[0] == package
    ]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
