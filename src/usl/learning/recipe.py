"""Presets of the methods that train a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from usl.learning.optim import Optimizer


@dataclass(frozen=True)
class Recipe:
    """One named set of parameters of a method.

    ``batch_size`` labelled images per step, ``ratio`` (mu) times as many unlabelled ones, among
    them the labelled images or not, and ``parameters`` of ``build`` that differ from its defaults.
    """

    optimizer: Optimizer
    batch_size: int
    steps: int
    ratio: int = 0
    labeled_in_unlabeled: bool = True
    parameters: Mapping[str, Any] = field(default_factory=dict)
