"""Heads: what stands between pooled features and a contrastive loss, and is thrown away after.

Their initial weights come from a generator that is handed in, not from torch's global one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from usl.core.parameters import Positive
from usl.learning.precision import widen


class NormalizedLinear(nn.Module):  # type: ignore[misc]
    """Cosines of the rows with learned directions: x / |x| times w / |w|, no bias.

    [b, inputs] to [b, outputs], values -1 to 1.
    """

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, generator=generator))

    def forward(self, rows: Tensor) -> Tensor:
        """One cosine per row and direction."""
        directions = functional.normalize(self.weight, dim=1)
        return functional.linear(functional.normalize(widen(rows), dim=1), directions)


class ScaledBatchNorm(nn.BatchNorm1d):  # type: ignore[misc]
    """Batch normalisation with a learned scale and no offset, [b, d] to [b, d]."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.register_parameter("bias", None)


def linear(inputs: int, outputs: int, generator: torch.Generator, bias: bool = True) -> nn.Module:
    """A linear layer; weights and bias uniform within 1 / sqrt(inputs) of 0."""
    layer = nn.utils.skip_init(nn.Linear, inputs, outputs, bias=bias)
    bound = 1 / math.sqrt(inputs)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
    return layer


def hidden_layers(
    width: int,
    count: int,
    *,
    generator: torch.Generator,
    batch_norm: bool = False,
    slope: float = 0.0,
) -> nn.Sequential:
    """So many linear layers with a ReLU, and before it batch normalisation; [b, width] to itself.

    None of them leaves the rows as they are.
    """
    hidden: list[nn.Module] = []
    for _ in range(count):
        hidden.append(linear(width, width, generator, bias=not batch_norm))
        if batch_norm:
            hidden.append(nn.BatchNorm1d(width))
        hidden.append(nn.LeakyReLU(slope) if slope else nn.ReLU())
    return nn.Sequential(*hidden)


def projection_head(
    inputs: int,
    outputs: int,
    *,
    generator: torch.Generator,
    layers: int = 2,
    batch_norm: bool = False,
    normalized: bool = False,
    last_norm: bool = False,
    slope: float = 0.0,
) -> nn.Sequential:
    """Features [b, inputs] to projections [b, outputs], not of unit length unless so stated.

    Parameters
    ----------
    layers : 2 for a hidden layer as wide as the features with a ReLU, 1 for a linear map.
    batch_norm : normalise the hidden layer over the batch (SimCLR); MoCo v2 does not.
    normalized : the last layer is a :class:`NormalizedLinear`.
    last_norm : the last layer is linear without bias, and normalised over the batch without an
        offset, as in the code of SimCLR.
    slope : of the activation below 0 (CoMatch on CIFAR: 0.1), 0 for ReLU.

    Raises
    ------
    UsageError
        fewer than one output, or another number of layers.
    """
    Positive.check("projection", outputs)
    Positive.check("layers", layers)
    how = {"generator": generator, "batch_norm": batch_norm, "slope": slope}
    hidden = hidden_layers(inputs, layers - 1, **how)
    if normalized:
        return nn.Sequential(*hidden, NormalizedLinear(inputs, outputs, generator))
    last = linear(inputs, outputs, generator, bias=not last_norm)
    return nn.Sequential(*hidden, last, *([ScaledBatchNorm(outputs)] if last_norm else []))
