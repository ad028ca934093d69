"""Convolutions that clip their values to 0 to 6 before they write them, where oneDNN computes them.

torch's own layers write every map of features and read it once more for the ReLU6 that follows, and
bring their weights into oneDNN's order anew in every pass. The values stay what they were.
"""

from __future__ import annotations

import platform
from itertools import pairwise
from typing import Any

import torch
from timm.layers import Conv2dSame, pad_same
from torch import Tensor, nn

OPERATORS = ("_convolution_pointwise", "_reorder_convolution_weight")  # torch.compile's own
RELU6: tuple[str, list[float]] = ("hardtanh", [0.0, 6.0])  # in torch's words for oneDNN
NOTHING: tuple[str, list[float]] = ("none", [])


def can_fuse() -> bool:
    """Whether this torch computes on this processor with oneDNN, and has the operators for it."""
    return (
        platform.machine().lower() in ("x86_64", "amd64")
        and torch.backends.mkldnn.is_available()
        and all(hasattr(torch.ops.mkldnn, operator) for operator in OPERATORS)
    )


def fuse_convolutions(module: nn.Module) -> None:
    """Make one step of every convolution and the ReLU6 just after it, in place.

    For inference alone: float32, on the processor, maps with channels last.
    """
    children = list(module.named_children())
    for (name, child), (after, follower) in pairwise([*children, ("", None)]):
        if not isinstance(child, nn.Conv2d):
            fuse_convolutions(child)
            continue
        clipped = isinstance(follower, nn.ReLU6)
        setattr(module, name, FusedConvolution(child, clipped=clipped))
        if clipped:
            setattr(module, after, nn.Identity())


class FusedConvolution(nn.Module):  # type: ignore[misc]
    """A convolution and, if it is ``clipped``, the ReLU6 of what it gives."""

    def __init__(self, convolution: nn.Conv2d, *, clipped: bool) -> None:
        super().__init__()
        # as in TensorFlow: as much as is needed, one more after the map than before it
        self.same = isinstance(convolution, Conv2dSame)
        self.kernel_size = list(convolution.kernel_size)
        self.steps = [list(convolution.stride), list(convolution.dilation)]
        self.padding: Any = list(convolution.padding)  # none if ``same``
        self.groups = convolution.groups
        self.attribute, self.bounds = RELU6 if clipped else NOTHING
        self.bias = None if convolution.bias is None else convolution.bias.detach()
        self.weight = torch.ops.mkldnn._reorder_convolution_weight(
            convolution.weight.detach(), self.padding, *self.steps, self.groups
        )

    def forward(self, maps: Tensor) -> Any:
        """Maps [b, c, h, w] to maps."""
        if self.same:
            maps = pad_same(maps, self.kernel_size, *self.steps)
        return torch.ops.mkldnn._convolution_pointwise(
            maps, self.weight, self.bias, self.padding, *self.steps, self.groups,
            self.attribute, self.bounds, "",
        )  # fmt: skip
