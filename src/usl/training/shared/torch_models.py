"""Trained models and fitted preprocessing as ``torch.nn.Module``s, in float32, for an export."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from usl.core.errors import UsageError
from usl.features.preprocessing import Preprocessing
from usl.training.models import (
    LinearModel,
    MixtureModel,
    Model,
    NeighborModel,
    SupportModel,
)

TINY = 1e-12  # no length is taken to be less


def constant(value: Any) -> torch.Tensor:
    """An array or number as float32."""
    return torch.as_tensor(value).to(torch.float32)


def unit(rows: torch.Tensor, least: float = TINY) -> torch.Tensor:
    """Rows [b, d] of length 1, or zero."""
    return rows / rows.square().sum(dim=1, keepdim=True).sqrt().clamp_min(least)


class Fitted(nn.Module):  # type: ignore[misc]
    """:meth:`usl.features.preprocessing.Preprocessing.transform`: [b, width] to [b, p]."""

    def __init__(self, fitted: Preprocessing) -> None:
        super().__init__()
        self.unit = fitted.unit
        for name in ("mean", "deviation", "components"):
            value = getattr(fitted, name)
            self.register_buffer(name, None if value is None else constant(value))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Centre, scale, project, scale to unit length, whichever of them were fitted."""
        if self.mean is not None:
            rows = rows - self.mean
        if self.deviation is not None:
            rows = rows / self.deviation
        if self.components is not None:
            rows = rows @ self.components.T
        return unit(rows) if self.unit else rows


class Linear(nn.Module):  # type: ignore[misc]
    """:class:`LinearModel`."""

    def __init__(self, model: LinearModel) -> None:
        super().__init__()
        self.register_buffer("weight", constant(model.weight).T.contiguous())
        self.register_buffer("bias", constant(model.bias))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Probabilities [b, C]."""
        return torch.softmax(rows @ self.weight + self.bias, dim=1)


class Neighbors(nn.Module):  # type: ignore[misc]
    """:class:`NeighborModel`: the mean of the nearest items' scores, by max(cosine, 0) ** power."""

    def __init__(self, model: NeighborModel) -> None:
        super().__init__()
        self.k, self.power = min(int(model.k), len(model.train)), float(model.power)
        train = constant(model.train)
        self.register_buffer("train_rows", train.T.contiguous())
        self.register_buffer("lengths", train.square().sum(dim=1))
        self.register_buffer("scores", constant(model.scores))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Probabilities [b, C]."""
        # 1 - d^2 / 2, which is the cosine of unit rows; a row of zeros has no direction
        lengths = rows.square().sum(dim=1, keepdim=True) + self.lengths
        near, found = (rows @ self.train_rows + 1 - lengths / 2).topk(self.k, dim=1)
        weights = near.clamp_min(0) ** self.power
        total = weights.sum(dim=1, keepdim=True)
        weights = torch.where(total == 0, torch.ones_like(weights), weights)
        weights = weights / weights.sum(dim=1, keepdim=True)
        return (weights[:, :, None] * self.scores[found]).sum(dim=1)


class Mixture(nn.Module):  # type: ignore[misc]
    """:class:`MixtureModel`, its term of neighbours included."""

    def __init__(self, model: MixtureModel) -> None:
        super().__init__()
        self.graph, self.temperature = float(model.graph), float(model.temperature)
        self.neighbors = Neighbors(model)
        self.register_buffer("weight", constant(model.weight).T.contiguous())
        self.register_buffer("bias", constant(model.bias))
        own = len(model.center) > 0
        self.register_buffer("center", constant(model.center) if own else None)
        self.register_buffer("projection", constant(model.projection) if own else None)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Probabilities [b, C]."""
        votes = self.neighbors(rows)
        if self.center is not None:
            rows = unit((rows - self.center) @ self.projection, least=1e-6)
        logits = rows @ self.weight + self.bias + self.graph * votes
        return torch.softmax(logits / self.temperature, dim=1)


class Support(nn.Module):  # type: ignore[misc]
    """:class:`SupportModel`."""

    def __init__(self, model: SupportModel) -> None:
        super().__init__()
        self.temperature = float(model.temperature)
        self.register_buffer("projection", constant(model.projection))
        self.register_buffer("supports", constant(model.supports).T.contiguous())
        self.register_buffer("log_weights", constant(model.log_weights))
        self.register_buffer("votes", constant(model.votes))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Probabilities [b, C]."""
        logits = unit(rows @ self.projection) @ self.supports / self.temperature + self.log_weights
        found = torch.softmax(logits, dim=1) @ self.votes
        return found / found.sum(dim=1, keepdim=True)


MODULES: tuple[tuple[type[Any], Any], ...] = (  # the first that fits
    (MixtureModel, Mixture),
    (NeighborModel, Neighbors),
    (LinearModel, Linear),
    (SupportModel, Support),
)


def as_module(model: Model) -> nn.Module:
    """A model as a module from rows [b, d] to probabilities [b, C]; UsageError for another kind."""
    for kind, module in MODULES:
        if isinstance(model, kind):
            return module(model)
    names = ", ".join(kind.__name__ for kind, _ in MODULES)
    raise UsageError(f"A {type(model).__name__} cannot be exported; these can: {names}.")
