"""ResNet-50 for 224 px pictures, timm's: 2048 features, 23.51 M parameters.

Source: He et al. (2016), CVPR, table 1. The weights have timm's names, so they go in and out of
other tools.
"""

from __future__ import annotations

from torch import nn

from usl.core.errors import missing_extra
from usl.learning.blueprint import as_trunk

SIZE = 224


def build() -> nn.Module:
    """The network with random weights; ``dim`` is 2048."""
    try:
        import timm
    except ImportError as error:
        raise missing_extra("timm", "torch", "The network resnet50") from error
    return as_trunk(timm.create_model("resnet50", pretrained=False, num_classes=0))
