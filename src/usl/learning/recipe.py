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
    ``network`` is a file of ``usl.learning.networks``.
    """

    optimizer: Optimizer
    batch_size: int
    steps: int
    ratio: int = 0
    labeled_in_unlabeled: bool = True
    parameters: Mapping[str, Any] = field(default_factory=dict)
    network: str = "compact"

    def network_for(self, classes: int = 0) -> str:
        """The network of random weights, by the number of classes where there are any.

        The literature takes the wider WRN-28-8 for the 100 classes of CIFAR-100.
        """
        return "wrn28_8" if self.network == "wrn28_2" and classes >= 100 else self.network
