"""What a query strategy has a network learn before it asks: its task.

A task is a method of ``training/networks``, or one file in ``active/networks``, which holds the
tasks with losses that strategies brought themselves. Both have the same shape, ``RECIPES`` and::

    def build(backbone, n_classes, *, seed, <own parameters>) -> Student

A task of a strategy may say by itself what is to be asked, in place of a strategy on its features
and predictions: it then has a method ``wanted(images)``, of pictures 0..1 [b, c, side, side] a
number each, [b], the largest first; and its module says ``FIGURE``, what that number is called in
the round's table, and ``REASON``, why the first are asked for.

A strategy's module may say ``TASK``, the task that it was published with. That of others is the
task of the same name, if there is one, else ``supervised``.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

from usl.active.contract import STRATEGIES
from usl.core.errors import UsageError
from usl.core.methods import Methods, find_method
from usl.features.contract import require_torch
from usl.selection.contract import METHODS
from usl.training.contract import NETWORKS

TASKS = Methods("usl.active.networks", "build", ("seed",), group="usl.active.networks", noun="task")
KINDS = [TASKS, NETWORKS]
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
            kind, module = find_method([STRATEGIES, METHODS], self.method)
            kind.check(self.method, module, params)
        elif params:
            raise UsageError(
                f"{next(iter(params))}: {self.method!r} has no such parameter where its own "
                "network ranks the images. Leave it out."
            )


def asker_of(method: str, task: str = OWN) -> Asker:
    """A strategy, or a selection method, with a task for its network.

    Raises
    ------
    UsageError : an unknown strategy or task; a strategy that is an oracle.
    """
    if task == OWN:
        task = own_task(method)
    require_torch(f"The task {task}")
    kind, module = find_method(KINDS, task)
    by_itself = kind is TASKS and task == method and hasattr(module.build, "wanted")
    if not by_itself:
        strategy = find_method([STRATEGIES, METHODS], method)[1]
        if getattr(strategy, "ORACLE", False):
            raise UsageError(f"method: {method!r} reads the answers of all images. Take another.")
    return Asker(method, task, kind, module, by_itself)


def own_task(method: str) -> str:
    """The name of the task that a strategy was published with."""
    if method in TASKS.names():
        return method
    return str(getattr(find_method([STRATEGIES, METHODS], method)[1], "TASK", PLAIN))
