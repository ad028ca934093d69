"""The entries of a plan: selection methods, query strategies, learners, encoders to be trained.

Each is a name in the tables, a method, and its parameters. A strategy among ``[methods]`` is a way
to pick so many labels as well: it has a start of its own, and then asks in rounds until the budget
is reached (:mod:`usl.benchmarking.asking`).
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from usl.active.contract import ORACLE, STRATEGIES
from usl.active.tasks import KINDS as TASKS
from usl.active.tasks import OWN, PLAIN, asker_of, own_task
from usl.benchmarking.network_options import check_network, check_pretraining
from usl.benchmarking.plan_values import (
    CLASSES,
    at_least,
    check_keys,
    in_numbers,
    number_of_labels,
)
from usl.core.errors import UsageError
from usl.core.methods import Methods, find_method
from usl.evaluation.compare import ANSWERS
from usl.pretraining.contract import METHODS as PRETRAINING
from usl.selection.contract import METHODS
from usl.training.contract import FROZEN

STRATEGY = "strategy"
ASKING_KEYS = {"start": object, "size": object, "batch": object, "model": object, "task": object}


@dataclass(frozen=True)
class Entry:
    """A method, strategy, learner or encoder under its name in the tables.

    Attributes
    ----------
    method, params : what it is, and its parameters; of a network, its training's options, too.
    seeds : only on so many of the first draws; None for all.
    budgets : only these of a data set's; None for all.
    asking : how a strategy comes to a budget; None for all others.
    network : whether it trains a network on the images.
    begins : the encoder of the plan's own that such a network begins with.
    """

    name: str
    method: str
    params: Mapping[str, Any] = field(default_factory=dict)
    seeds: int | None = None
    asking: Asking | None = None
    network: bool = False
    begins: Entry | None = None
    budgets: tuple[int, ...] | None = None

    def __str__(self) -> str:
        """In tables: the method with its parameters."""
        begins = {} if self.begins is None else {"start": self.begins.name}
        given = [f"{name} {value}" for name, value in ({**self.params, **begins}).items()]
        return self.method + (f" ({', '.join(given)})" if given else "")

    @property
    def on_images(self) -> bool:
        """Whether it needs the pictures of a draw, beside the features."""
        asks = self.asking is not None and self.asking.model.network
        return self.network or self.end_to_end or asks

    @property
    def end_to_end(self) -> bool:
        """Whether it is a selection method that trains the encoder."""
        return bool(self.params.get("end_to_end"))

    def own_encoder(self) -> str | None:
        """The plan's own encoder that one of its networks begins with."""
        network = self if self.asking is None else self.asking.model
        return None if network.begins is None else network.begins.name

    def on(self, seed: int, budget: int | None = None) -> bool:
        """Whether it takes part in the draw of this seed, and at this budget."""
        asked = self.budgets is None or budget is None or budget in self.budgets
        return asked and (self.seeds is None or seed < self.seeds)

    def is_oracle(self) -> bool:
        """Whether it reads the true labels, and so is only a yardstick."""
        return bool(getattr(find_method([METHODS, STRATEGIES], self.method)[1], ORACLE, False))


@dataclass(frozen=True)
class Asking:
    """How a strategy comes to a budget: first a start, then batch after batch.

    Attributes
    ----------
    start : selection method of the first labels.
    size : labels of the start, a number or :data:`CLASSES`; None for half the budget.
    batch : labels of each later round, likewise; None for all that is left, in one round.
    model : the learner whose predictions the strategy sees: on frozen features, or a network that
        is trained on the images in every round.
    """

    start: Entry
    size: int | str | None
    batch: int | str | None
    model: Entry

    def __str__(self) -> str:
        """In tables."""
        size = "half of the labels" if self.size is None else f"{self.size} labels"
        size = "as many labels as classes" if self.size == CLASSES else size
        batch = "all others at once" if self.batch is None else f"{self.batch} a round"
        batch = "as many as classes a round" if self.batch == CLASSES else batch
        return f"{size} by {self.start}, then {batch}, seeing {self.model}"

    def steps(self, budget: int, classes: int) -> list[int]:
        """Labels of the start and of each round, ``budget`` in all.

        Raises :class:`UsageError` where the start alone reaches the budget.
        """
        size = budget // 2 if self.size is None else in_numbers(self.size, classes)
        if not 0 < size < budget:
            raise UsageError(
                f"{size} labels of the start leave no question of {budget} labels. Take larger "
                "budgets or a smaller size."
            )
        left = budget - size
        batch = left if self.batch is None else min(left, in_numbers(self.batch, classes))
        rounds = [batch] * (left // batch)
        return [size, *rounds, *([rest] if (rest := left % batch) else [])]


def entry_of(table: str, name: str, own: Any, folder: Path, kinds: Sequence[Methods]) -> Entry:
    """One entry of a table, checked; ``kinds``: where its method may come from."""
    params = _parameters(table, name, own)
    method = str(params.pop("method", name))
    if method.endswith(".py"):
        method = str(folder / Path(method).expanduser())
    seeds = None
    if table in ("methods", "learners") and "seeds" in params:
        seeds = at_least(f"{table}.{name}.seeds", params.pop("seeds"), 1)
    try:
        kind, module = find_method(kinds, method)
        if kind in TASKS:
            params = check_network(kind, method, params, folder)
            return Entry(name, method, params, seeds, network=True)
        if kind is PRETRAINING:
            return Entry(name, method, check_pretraining(method, params, folder), network=True)
        oracle = bool(getattr(module, ORACLE, False))
        if STRATEGIES in kinds and kind is METHODS and oracle:
            raise UsageError("it reads the true labels, and knows of no rounds.")
        answers = ANSWERS in inspect.signature(getattr(module, kind.function)).parameters
        kind.check(method, module, params | ({ANSWERS: None} if oracle and answers else {}))
    except UsageError as error:
        raise UsageError(f"[{table}] {name}: {error}") from error
    return Entry(name, method, params, seeds)


def method_of(name: str, own: Any, folder: Path, asking: Mapping[str, Any]) -> Entry:
    """An entry of ``[methods]``: a selection method, or a strategy that asks for the budget.

    ``asking``: the table of that name, what strategies do that do not say otherwise.
    """
    params = _parameters("methods", name, own)
    if STRATEGY not in params:
        return entry_of("methods", name, own, folder, [METHODS])
    where = f"methods.{name}"
    if "method" in params:
        raise UsageError(f"{where}: method and strategy exclude each other. Leave one out.")
    said = {key: params.pop(key) for key in ASKING_KEYS if key in params}
    told = {"method": params.pop(STRATEGY), **params}
    entry = entry_of("methods", name, told, folder, [STRATEGIES, METHODS])
    how = asking_of(where, {**_without_rival(asking, said), **said}, folder, entry.method)
    if how.model.network:
        try:
            asker_of(entry.method, how.model.method).check(dict(entry.params))
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from error
    return Entry(name, entry.method, entry.params, entry.seeds, how)


def asking_of(
    where: str, own: Mapping[str, Any], folder: Path, strategy: str | None = None
) -> Asking:
    """How strategies ask, from the table ``[asking]`` or, of one, from an entry's own keys.

    A task that names no method is the one that the strategy was published with.
    """
    check_keys(own, ASKING_KEYS, f"{where}.")
    if "model" in own and "task" in own:
        raise UsageError(f"{where}: model and task exclude each other. Leave one out.")
    size, batch = (
        None if key not in own else number_of_labels(f"{where}.{key}", own[key])
        for key in ("size", "batch")
    )
    start = one_of(f"{where}.start", own.get("start", "random"), folder, METHODS)
    if "task" in own:
        task = own["task"]
        if task == OWN or (isinstance(task, dict) and task.get("method", OWN) == OWN):
            name = PLAIN if strategy is None else own_task(strategy)
            task = {**(task if isinstance(task, dict) else {}), "method": name}
        model = one_of(f"{where}.task", task, folder, *TASKS)
    else:
        model = one_of(f"{where}.model", own.get("model", "logistic"), folder, FROZEN)
    return Asking(start, size, batch, model)


def one_of(where: str, own: Any, folder: Path, *kinds: Methods) -> Entry:
    """A method that is named by itself, ``"random"``, or ``{ method = ..., <parameters> }``."""
    given = {"method": own} if isinstance(own, str) else own
    if isinstance(given, dict) and given.get("end_to_end"):
        raise UsageError(f"{where}: a start is picked on the features. Leave end_to_end out.")
    if not isinstance(given, dict) or "method" not in given:
        raise UsageError(
            f'{where}: {own!r} given; write "NAME", or {{ method = "NAME" }} and its parameters.'
        )
    table, _, key = where.partition(".")
    found = entry_of(table, key, given, folder, kinds)
    return Entry(found.method, found.method, found.params, network=found.network)


def beginning(entry: Entry, encoders: Mapping[str, Entry]) -> Entry:
    """The same entry, where a network's ``start`` is one of the plan's own encoders."""
    if entry.asking is not None:
        model = beginning(entry.asking.model, encoders)
        return replace(entry, asking=replace(entry.asking, model=model))
    start = entry.params.get("start")
    if not entry.network or start is None or start not in encoders:
        return entry
    others = {name: value for name, value in entry.params.items() if name != "start"}
    return replace(entry, params=others, begins=encoders[start])


def _parameters(table: str, name: str, own: Any) -> dict[str, Any]:
    if not isinstance(own, dict):
        raise UsageError(f"{table}.{name}: {own!r} given; write {name} = {{}} or its parameters.")
    return dict(own)


def _without_rival(asking: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults, without the model where an entry names a task, and the other way round."""
    rivals = {"model": "task", "task": "model"}
    return {key: value for key, value in asking.items() if rivals.get(key) not in said}
