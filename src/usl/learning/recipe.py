"""Recipes: the presets of the methods that train a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

from usl.core.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from usl.learning.optim import Optimizer


MANY = 100  # classes, those of CIFAR-100


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
    network : a file of ``usl.learning.networks``.
    decay_of_many : weight decay where there are so many classes as on CIFAR-100; None for the same.
    whole : boxes are drawn in whole pictures; otherwise these are cut to their centre squares.
    last_epochs : so many of the last epochs' averages are kept beside the final one.
    """

    optimizer: Optimizer
    batch_size: int
    epochs: int = 0
    steps: int = 0
    ratio: int = 0
    labeled_in_unlabeled: bool = True
    parameters: Mapping[str, Any] = field(default_factory=dict)
    network: str = "compact"
    decay_of_many: float | None = None
    whole: bool = False
    last_epochs: int = 0

    def network_for(self, classes: int = 0) -> str:
        """The network of random weights, by the number of classes where there are any.

        The literature takes the wider WRN-28-8 for the 100 classes of CIFAR-100.
        """
        return "wrn28_8" if self.network == "wrn28_2" and classes >= MANY else self.network

    def optimizer_for(self, classes: int) -> Optimizer:
        """The optimiser, by the number of classes."""
        return self.optimizer.changed(weight_decay=self.decay_of_many if classes >= MANY else None)

    def with_parameters(self, **given: Any) -> Recipe:
        """The same recipe, but for these parameters of ``build``."""
        return replace(self, parameters={**self.parameters, **given})


def recipe_of(
    module: ModuleType,
    method: str,
    preset: str,
    given: Mapping[str, Any] | None = None,
    **optimizer: float | None,
) -> Recipe:
    """The recipe ``preset`` of a method's module, with what a person has given in its place.

    Parameters
    ----------
    given : parameters of the method.
    **optimizer : ``lr`` and ``weight_decay``, for any number of classes; None leaves the recipe's.

    Raises
    ------
    UsageError
        an unknown preset; the message names those there are.
    """
    recipes: Mapping[str, Recipe] = getattr(module, "RECIPES", {})
    if preset not in recipes:
        raise UsageError(
            f"preset: {method!r} has no preset {preset!r}.{did_you_mean(preset, recipes)} "
            f"It has: {', '.join(recipes)}."
        )
    found = recipes[preset].with_parameters(**(given or {}))
    many = found.decay_of_many if optimizer.get("weight_decay") is None else None
    return replace(found, optimizer=found.optimizer.changed(**optimizer), decay_of_many=many)
