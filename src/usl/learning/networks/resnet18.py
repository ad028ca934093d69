"""ResNet-18 for 32 px pictures: a 3x3 stem without max pooling, 512 features, 11.17 M parameters.

Source: He et al. (2016), CVPR, table 1, with the stem of their CIFAR networks (section 4.2): the
form in which papers report "ResNet-18 on CIFAR-10".
"""

from __future__ import annotations

from torch import nn

from usl.learning.residual import ResNet

SIZE = 32
WIDTHS = (64, 128, 256, 512)


def build() -> nn.Module:
    """The network with random weights; ``dim`` is 512."""
    stem = nn.Conv2d(3, WIDTHS[0], 3, stride=1, padding=1, bias=False)
    return ResNet(stem, WIDTHS, depth=2)
