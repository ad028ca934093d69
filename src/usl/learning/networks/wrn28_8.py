"""WRN-28-8 for 32 px pictures: 512 features, 23.35 M parameters.

FixMatch's network for CIFAR-100 (:mod:`usl.learning.wide_resnet`).
"""

from __future__ import annotations

from torch import nn

from usl.learning.wide_resnet import WideResNet

SIZE = 32


def build() -> nn.Module:
    """The network with random weights; ``dim`` is 512."""
    return WideResNet(depth=28, width=8)
