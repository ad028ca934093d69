"""Optimisers and learning-rate schedules, as one small record that a method states."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn

from usl.core.errors import UsageError

DROPS = {"steps": 0.1, "fifths": 0.2}  # of the rate at a milestone


@dataclass(frozen=True)
class Optimizer:
    """How weights follow their gradients.

    Attributes
    ----------
    name : ``sgd``, ``adam``, ``adamw`` (decoupled decay) or ``lars``.
    lr : peak learning rate.
    weight_decay : on weights of two and more dimensions; biases and batch normalisation have none,
        unless ``decay_all``, as where a release hands all its parameters to the optimiser.
    momentum, nesterov : of ``sgd`` and ``lars``.
    schedule : ``cosine`` to 0; ``fixmatch``, lr cos(7 pi s / 16 S); ``steps``, times 0.1 at each
        of ``milestones``, ``fifths``, times 0.2; or ``constant``.
    warmup : share of all steps over which the rate rises linearly from 0.
    milestones : shares of all steps.
    """

    name: Literal["sgd", "adam", "adamw", "lars"] = "sgd"
    lr: float = 0.03
    weight_decay: float = 5e-4
    decay_all: bool = False
    momentum: float = 0.9
    nesterov: bool = False
    schedule: Literal["cosine", "fixmatch", "steps", "fifths", "constant"] = "cosine"
    warmup: float = 0.0
    milestones: tuple[float, ...] = ()

    def build(self, module: nn.Module) -> torch.optim.Optimizer:
        """The optimiser of everything in ``module`` that takes a gradient."""
        if not self.lr > 0:
            raise UsageError(f"lr: {self.lr} given; use a number above 0.")
        groups = parameter_groups(module, self.weight_decay, decay_all=self.decay_all)
        if self.name == "sgd":
            return torch.optim.SGD(
                groups, lr=self.lr, momentum=self.momentum, nesterov=self.nesterov
            )
        if self.name == "adam":
            return torch.optim.Adam(groups, lr=self.lr)
        if self.name == "adamw":
            return torch.optim.AdamW(groups, lr=self.lr)
        from timm.optim import Lars

        # Without always_adapt the trust ratio is skipped wherever weight decay is 0.
        groups[0]["always_adapt"] = True
        return Lars(groups, lr=self.lr, momentum=self.momentum, nesterov=self.nesterov)

    def changed(self, **given: float | None) -> Optimizer:
        """The same with other numbers; None leaves one as it is."""
        changes: dict[str, Any] = {k: value for k, value in given.items() if value is not None}
        return replace(self, **changes)

    def rate(self, step: int, steps: int) -> float:
        """Learning rate of the step numbered ``step``, from 0, of ``steps``."""
        rising = self.warmup * steps
        if step < rising:
            return self.lr * (step + 1) / (rising + 1)
        done = (step - rising) / max(1.0, steps - rising)
        if self.schedule == "cosine":
            return self.lr * 0.5 * (1 + math.cos(math.pi * done))
        if self.schedule == "fixmatch":
            return self.lr * math.cos(7 * math.pi * done / 16)
        if self.schedule in DROPS:
            passed = sum(step >= share * steps for share in self.milestones)
            return self.lr * DROPS[self.schedule] ** passed
        return self.lr


def parameter_groups(
    module: nn.Module, weight_decay: float, *, decay_all: bool = False
) -> list[dict[str, Any]]:
    """Two groups: weights, with decay; biases and normalisation, one-dimensional, without.

    With ``decay_all`` these have it, too.
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {
            "params": [p for p in trained if p.ndim <= 1],
            "weight_decay": weight_decay if decay_all else 0.0,
        },
    ]
