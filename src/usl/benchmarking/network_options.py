"""Options of the trainings that a plan asks for: networks as learners, and encoders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from usl.benchmarking.plan_values import at_least
from usl.core.errors import UsageError, did_you_mean
from usl.core.methods import KEYWORD, Methods, listed, named_parameters
from usl.core.parameters import check_value
from usl.pretraining.contract import METHODS as PRETRAINING

OURS = {"seed", "progress", "begin", "resume", "probe", "overwrite", "method", "tensorboard"}
OURS |= {"kind", "look"}
COUNTS = ("steps", "epochs", "batch_size", "size", "last_epochs")  # whole numbers from 1
PLACES = ("start", "init")  # encoders, which may be files beside the plan


def check_network(
    kind: Methods, method: str, given: Mapping[str, Any], folder: Path
) -> dict[str, Any]:
    """The options of a training by a network of this ``kind``, files made absolute.

    Raises
    ------
    UsageError
        an option that neither the training nor the method has, or a value out of its bounds.
    MissingDependencyError
        torch is not installed.
    """
    from usl.features.contract import require_torch

    require_torch(f"the network {method}")
    from usl.training.train_network import train_network

    return _checked(kind, method, given, train_network, folder)


def check_pretraining(method: str, given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The same for a method of ``pretraining/methods``, as ``usl pretrain`` takes them."""
    from usl.features.contract import require_torch

    require_torch(f"an encoder trained by {method}")
    from usl.pretraining.pretrain import pretrain

    own = dict(given)
    seed = {"seed": own.pop("seed")} if "seed" in own else {}
    return _checked(PRETRAINING, method, own, pretrain, folder) | seed


def _checked(
    room: Methods, method: str, given: Mapping[str, Any], training: Any, folder: Path
) -> dict[str, Any]:
    from usl.learning.loop_options import LoopOptions

    module = room.load(method)
    own = room.parameters(module)
    options = {
        parameter.name: parameter.annotation
        for function in (training, LoopOptions)
        for parameter in named_parameters(function)
        if parameter.kind is KEYWORD and parameter.name not in OURS
    }
    made = dict(given)
    for name, value in made.items():
        if name not in own and name not in options:
            known = [*options, *own]
            raise UsageError(
                f"{room.noun.capitalize()} {method!r} has no parameter {name!r}."
                f"{did_you_mean(name, known)} Its parameters: {', '.join(own) or 'none'}; its "
                f"training's: {listed(list(options))}."
            )
        if name in options:
            check_value(name, value, options[name])
        if name in COUNTS:
            at_least(name, value, 1)
        if name in PLACES and (folder / str(value)).exists():
            made[name] = str(folder / value)
    parameters = {name: value for name, value in made.items() if name in own}
    room.check(method, module, parameters)
    _check_recipe(module, method, made, parameters)
    return made


def _check_recipe(
    module: ModuleType, method: str, made: Mapping[str, Any], parameters: Mapping[str, Any]
) -> None:
    """Refuse a preset, or a network, that nobody has."""
    from usl.learning.blueprint import blueprint
    from usl.learning.recipe import recipe_of

    recipe_of(module, method, made.get("preset", "cpu"), parameters)
    if "network" in made:
        blueprint(made["network"])
