"""What a query strategy has a network learn before it asks: its task.

A task is a method of ``training/networks``, or one file in ``active/networks``, which holds the
tasks with losses that strategies brought themselves. Both have the same shape, ``RECIPES`` and::

    def build(backbone, n_classes, *, seed, <own parameters>) -> Student

A task of a strategy may say by itself what is to be asked, in place of a strategy on its features
and predictions: it then has a method ``wanted(images)``, of pictures 0..1 [b, c, side, side] a
number each, [b], the largest first; and its module says ``FIGURE``, what that number is called in
the round's table, and ``REASON``, why the first are asked for.

A strategy's module may say ``TASK``, the task that it was published with; that of others is the
task of the same name, if there is one, else ``supervised``. It may say ``ON_NETWORK``, the strategy
or selection method that stands in for it where features are a network's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from usl.active.contract import STRATEGIES, refuse_oracle, takes
from usl.core.errors import UsageError
from usl.core.methods import KEYWORD, Methods, find_method, named_parameters
from usl.features.contract import require_torch
from usl.selection.contract import METHODS
from usl.training.contract import NETWORKS

TASKS = Methods("usl.active.networks", "build", ("seed",), group="usl.active.networks", noun="task")
KINDS = [TASKS, NETWORKS]
STRATEGY_KINDS = [STRATEGIES, METHODS]
OWN = "own"  # the task that the strategy was published with
PLAIN = "supervised"  # that of a strategy which says nothing


@dataclass(frozen=True)
class Asker:
    """A strategy and the task of the network that it asks through.

    Attributes
    ----------
    method, task : their names.
    kind, module : of the task.
    by_itself : the task says what is to be asked; the strategy is not called.
    """

    method: str
    task: str
    kind: Methods
    module: ModuleType
    by_itself: bool

    def check(self, params: dict[str, Any]) -> None:
        """UsageError for parameters that the strategy does not have."""
        if not self.by_itself:
            kind, module = find_method(STRATEGY_KINDS, self.method)
            kind.check(self.method, module, params)
        elif params:
            raise UsageError(
                f"{next(iter(params))}: {self.method!r} has no such parameter where its own "
                "network ranks the images. Leave it out."
            )

    def sees(self, name: str) -> bool:
        """Whether the strategy wants something that not all are handed, such as ``previous``."""
        if self.by_itself:
            return False
        kind, module = find_method(STRATEGY_KINDS, self.method)
        return kind is STRATEGIES and takes(module, name)

    def divided(self, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Parameters of the strategy, and of the training, which a name belongs to that both have.

        ``given`` may hold the one as well as the other.
        """
        known = {*self.kind.parameters(self.module), *training_options()}
        own = {name: value for name, value in given.items() if name not in known}
        return own, {name: value for name, value in given.items() if name in known}


def training_options() -> list[str]:
    """The names of the options that trainings of networks have in common."""
    from usl.learning.loop_options import LoopOptions
    from usl.training.train_network import train_network

    options = [*named_parameters(train_network), *named_parameters(LoopOptions)]
    return [one.name for one in options if one.kind is KEYWORD]


def asker_of(method: str, task: str = OWN) -> Asker:
    """A strategy, or a selection method, with a task for its network.

    Raises
    ------
    UsageError : an unknown strategy or task; a strategy that is an oracle.
    """
    if task == OWN:
        task = own_task(method)
    if method in STRATEGIES.names():
        method = getattr(STRATEGIES.load(method), "ON_NETWORK", method)
    require_torch(f"The task {task}")
    kind, module = find_method(KINDS, task)
    by_itself = kind is TASKS and task == method and hasattr(module.build, "wanted")
    if not by_itself:
        refuse_oracle(method, find_method(STRATEGY_KINDS, method)[1])
    return Asker(method, task, kind, module, by_itself)


def own_task(method: str) -> str:
    """The name of the task that a strategy was published with."""
    if method in TASKS.names():
        return method
    return str(getattr(find_method(STRATEGY_KINDS, method)[1], "TASK", PLAIN))
