"""Recipes: the presets of the methods that train a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

from usl.core.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from usl.learning.optim import Optimizer


@dataclass(frozen=True)
class Recipe:
    """One named set of parameters of a method.

    Attributes
    ----------
    optimizer : with its learning rate, decay and schedule.
    batch_size : images per step, labelled ones where there are two streams.
    epochs, steps : how long; a method that learns without labels counts epochs, others steps.
    ratio : unlabelled images per labelled one (mu).
    labeled_in_unlabeled : the labelled images are among the unlabelled ones.
    parameters : of ``build``, those that differ from its defaults.
    """

    optimizer: Optimizer
    batch_size: int
    epochs: int = 0
    steps: int = 0
    ratio: int = 0
    labeled_in_unlabeled: bool = True
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def changed(
        self, *, lr: float | None, weight_decay: float | None, parameters: Mapping[str, Any]
    ) -> Recipe:
        """The same with what a person has given in place of the recipe's own."""
        return replace(
            self,
            optimizer=self.optimizer.changed(lr=lr, weight_decay=weight_decay),
            parameters={**self.parameters, **parameters},
        )


def recipe_of(module: ModuleType, method: str, preset: str) -> Recipe:
    """The recipe ``preset`` of a method's module; :class:`UsageError` naming those it has."""
    recipes: Mapping[str, Recipe] = getattr(module, "RECIPES", {})
    if preset not in recipes:
        raise UsageError(
            f"preset: {method!r} has no preset {preset!r}.{did_you_mean(preset, recipes)} "
            f"It has: {', '.join(recipes)}."
        )
    return recipes[preset]
