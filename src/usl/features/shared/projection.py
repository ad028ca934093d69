"""The head that a checkpoint has over its pooled features: linear layers, then unit length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Layer:
    """One linear layer.

    Attributes
    ----------
    weight : float32 [out, in]; bias : float32 [out], or None.
    relu : negative inputs are 0 first.
    unit : the input is scaled to unit length first.
    """

    weight: Float32
    bias: Float32 | None = None
    relu: bool = False
    unit: bool = False

    def __call__(self, rows: Float32) -> Float32:
        """Rows [b, in] to [b, out]."""
        if self.relu:
            rows = np.maximum(rows, 0)
        if self.unit:
            rows = unit_length(rows)
        made = rows @ self.weight.T
        return np.asarray(made if self.bias is None else made + self.bias, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Projection:
    """Layers one after the other; what comes out has unit length."""

    layers: tuple[Layer, ...]

    @property
    def width(self) -> int:
        """Numbers that go in."""
        return int(self.layers[0].weight.shape[1])

    @property
    def dim(self) -> int:
        """Numbers that come out."""
        return int(self.layers[-1].weight.shape[0])

    def __call__(self, rows: Float32) -> Float32:
        """Pooled features float32 [b, width] to unit rows float32 [b, dim]."""
        for layer in self.layers:
            rows = layer(rows)
        return unit_length(rows)

    def module(self) -> Any:
        """The same as a ``torch.nn.Module``."""
        import torch
        from torch import nn

        layers = self.layers

        class Layers(nn.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                for place, layer in enumerate(layers):
                    self.register_buffer(f"weight{place}", torch.from_numpy(layer.weight))
                    bias = None if layer.bias is None else torch.from_numpy(layer.bias)
                    self.register_buffer(f"bias{place}", bias)

            def forward(self, rows: Any) -> Any:
                for place, layer in enumerate(layers):
                    rows = rows.relu() if layer.relu else rows
                    rows = nn.functional.normalize(rows) if layer.unit else rows
                    weight, bias = getattr(self, f"weight{place}"), getattr(self, f"bias{place}")
                    rows = nn.functional.linear(rows, weight, bias)
                return nn.functional.normalize(rows)

        return Layers()


def unit_length(rows: Float32) -> Float32:
    """Rows over their lengths; as torch's ``normalize``, none is divided by less than 1e-12."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-12), dtype=np.float32)


def multilayer(weights: Mapping[str, Any], name: str) -> Projection | None:
    """``name.weight``, or ``name.0``, ``name.2``, ... with ReLU between: MoCo's and SCAN's heads.

    None if there are no such layers.
    """
    if f"{name}.weight" in weights:
        numbered = [name]
    else:
        numbered = [f"{name}.{at}" for at in range(0, 16, 2) if f"{name}.{at}.weight" in weights]
    if not numbered or any(weights[f"{one}.weight"].ndim != 2 for one in numbered):
        return None
    return Projection(
        tuple(
            Layer(
                as_array(weights[f"{one}.weight"]),
                as_array(weights[f"{one}.bias"]) if f"{one}.bias" in weights else None,
                relu=place > 0,
            )
            for place, one in enumerate(numbered)
        )
    )


def cld_head(weights: Mapping[str, Any], prefix: str) -> Projection | None:
    """CLD's ``linear``: with normalised input and weights [in, out], or a plain linear layer."""
    if f"{prefix}linear.weight" not in weights:
        return None
    before = multilayer(weights, f"{prefix}pre_fc")  # one layer, without ReLU
    weight = as_array(weights[f"{prefix}linear.weight"])
    if f"{prefix}linear.bias" in weights:
        last = Layer(weight, as_array(weights[f"{prefix}linear.bias"]))
    else:
        last = Layer(unit_length(weight.T), unit=True)
    return Projection((*(before.layers if before else ()), last))


def taken_head(model: Any, trained_by: str) -> Projection | None:
    """Take the last layer off ``model``: the projection of a CLIP model, or None for classes."""
    from torch import nn

    last = model.get_classifier() if model.num_classes else None
    if model.num_classes:
        model.reset_classifier(0)
    if trained_by != "image-text pairs" or not isinstance(last, nn.Linear):
        return None
    bias = None if last.bias is None else as_array(last.bias)
    return Projection((Layer(as_array(last.weight), bias),))


def as_array(tensor: Any) -> Float32:
    """A tensor as float32."""
    return np.ascontiguousarray(tensor.detach().float().cpu().numpy())
