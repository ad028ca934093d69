"""What a pre-training method is.

A method is one file in this room with one function and one table::

    def build(backbone, *, seed, <own parameters>) -> Task
    RECIPES = {"cpu": Recipe(...), ...}

``build`` wraps a :class:`usl.learning.backbone.Backbone` into a :class:`usl.learning.loop.Task`
whose ``backbone`` is what is kept in the end. A recipe is a preset: the optimiser, the batch, the
epochs, the network, and parameters of ``build`` that differ from its defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from usl.core.errors import UsageError, did_you_mean
from usl.core.methods import Methods
from usl.learning.optim import Optimizer

METHODS = Methods("usl.pretraining.methods", "build", ("seed",))


@dataclass(frozen=True)
class Recipe:
    """One named set of parameters of a pre-training method."""

    optimizer: Optimizer
    batch_size: int
    epochs: int
    parameters: Mapping[str, Any] = field(default_factory=dict)
    network: str = "compact"


def recipe_of(module: Any, method: str, preset: str) -> Recipe:
    """The recipe ``preset`` of a method's module."""
    recipes: Mapping[str, Recipe] = getattr(module, "RECIPES", {})
    if preset not in recipes:
        raise UsageError(
            f"preset: {method!r} has no preset {preset!r}.{did_you_mean(preset, recipes)} "
            f"It has: {', '.join(recipes)}."
        )
    return recipes[preset]
