"""How a training runs on this machine: device, precision, gradient accumulation, checkpoints."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from usl.core.errors import UsageError
from usl.learning.hardware import Hardware

CHECKPOINT = "checkpoint.safetensors"  # in the folder of a training


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoopOptions:
    """Options of every training: keywords in Python, options on the command line.

    Attributes
    ----------
    device : ``auto`` (a GPU if there is one), ``cpu``, ``cuda`` or ``mps``. Under torchrun every
        process takes one device.
    precision : ``auto`` (bfloat16 where the processor multiplies matrices of it), ``32``, ``bf16``
        or ``16``.
    accumulate : micro-batches per step, for less memory.
    clip : greatest norm of the gradient.
    checkpoint_minutes : time between checkpoints. There is one at the end, too, and on Ctrl-C.
    sync_bn : batch statistics over all processes, as SimCLR and SimCLRv2 have it; GPUs only.
    tensorboard : write TensorBoard events too.
    resume : go on with the training that was stopped.
    """

    device: str = "auto"
    precision: str = "auto"
    accumulate: int = 1
    clip: float | None = None
    sync_bn: bool = False
    checkpoint_minutes: float = 5.0
    tensorboard: bool = False
    resume: bool = False

    @property
    def hardware(self) -> Hardware:
        """Device and precision."""
        return Hardware(self.device, self.precision)

    @classmethod
    def taken_from(cls, given: Mapping[str, Any]) -> tuple[LoopOptions, dict[str, Any]]:
        """These options among keywords, and all other keywords.

        ``hardware``, a :class:`usl.learning.hardware.Hardware`, gives device and precision at once;
        :class:`UsageError` if they are given as well.
        """
        rest = dict(given)
        hardware = rest.pop("hardware", None)
        options = {} if hardware is None else dataclasses.asdict(hardware)
        for name in options.keys() & rest.keys():
            raise UsageError(f"{name}: given by hardware already. Leave one of them out.")
        names = [field.name for field in dataclasses.fields(cls) if field.name in rest]
        return cls(**options, **{name: rest.pop(name) for name in names}), rest
