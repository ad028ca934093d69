"""WRN-28-2 for 32 px pictures: 128 features, 1.47 M parameters.

FixMatch's network for CIFAR-10 and SVHN (:mod:`usl.learning.wide_resnet`).
"""

from __future__ import annotations

from torch import nn

from usl.learning.wide_resnet import WideResNet

SIZE = 32


def build() -> nn.Module:
    """The network with random weights; ``dim`` is 128."""
    return WideResNet(depth=28, width=2)
