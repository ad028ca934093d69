"""The plan of a benchmark: a TOML file that says what is compared on what.

::

    name = "Cold start"
    seeds = 20                       # pool draws
    share = 0.8                      # of the pool that every draw takes
    most = 10_000                    # larger pools count as so large
    encoders = ["efficientnet_lite1"]
    budgets = [10, 40]
    reference = "random"             # what the differences are against
    rival = "usl"                    # and a second one

    [datasets.flowers]
    source = "$PICTURES/flowers"     # whatever usl select takes; relative to the plan
    budgets = [17, 68]               # each key above may be said again for one data set
    imbalance = 10                   # thin the classes: largest over smallest
    standardize = true               # as of usl select: center, standardize, pca
    supervision = "ImageNet labels"  # what features rest on that are given, for the tables

    [methods]                        # the name in the tables, and the parameters
    random = {}
    usl = {}
    usl-k20 = { method = "usl", k = 20 }
    mine = { method = "./mine.py" }
    refine = { strategy = "refine", seeds = 3 }  # a query strategy; of the draws, the first three
    canvass-quorum = { strategy = "canvass", start = "quorum", size = 10 }

    [asking]                         # what the strategies among them share
    start = "random"                 # selection method of the first labels
    size = 20                        # labels of the start; default: half the budget
    batch = 20                       # labels of each later round; default: all that is left
    model = "logistic"               # learner whose predictions a strategy sees; or a network,
    # task = { method = "supervised", steps = 500 }  which is trained on the images in every round

    [learners]                       # training methods on frozen features, and networks
    logistic = {}
    label_spreading = { seeds = 10 } # of the draws, the first so many
    fixmatch = { preset = "cpu", network = "compact", steps = 1500, start = "cld" }

    [pretrained.cld]                 # an encoder of the plan's own: what usl pretrain takes
    method = "cld"                   # encoders = ["cld"] is then a name like any other
    epochs = 20

A plan with rounds (:mod:`usl.benchmarking.rounds`) has, in place of budgets and ``[methods]``::

    [rounds]
    start = "random"                 # a selection method; or { method = "quorum", k = 20 }
    size = "classes"                 # labels of the start: as many as classes, or a number
    batch = "classes"                # labels of each round, likewise
    rounds = 10
    rival = "uherding"               # what differences are against, too

    [strategies]                     # query strategies, or selection methods that go on
    random = {}
    uherding = {}
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from usl.active.contract import STRATEGIES
from usl.benchmarking.datasets import DataSet, data_set
from usl.benchmarking.entries import (
    STRATEGY,
    Entry,
    asking_of,
    beginning,
    entry_of,
    method_of,
    one_of,
)
from usl.benchmarking.plan_values import (
    BUILTIN,
    CLASSES,
    at_least,
    check_keys,
    check_known,
    in_numbers,
    number_of_labels,
)
from usl.core.errors import DataError, UsageError, did_you_mean
from usl.pretraining.contract import METHODS as PRETRAINING
from usl.selection.contract import METHODS
from usl.training.contract import FROZEN, NETWORKS

PLAN_KEYS = {
    "name": str,
    "seeds": int,
    "share": float,
    "most": int,
    "encoders": list,
    "budgets": list,
    "reference": str,
    "rival": str,
    "leave_out": list,
    "datasets": dict,
    "methods": dict,
    "asking": dict,
    "learners": dict,
    "pretrained": dict,
    "rounds": dict,
    "strategies": dict,
}
ROUNDS_KEYS = {"start": object, "size": object, "batch": object, "rounds": int, "rival": str}


@dataclass(frozen=True)
class Rounds:
    """The rounds of a plan: a start that all strategies share, then so many batches.

    ``size``, labels of the start, and ``batch``, labels of a round, are numbers, or
    :data:`CLASSES`: as many as there are classes.
    """

    start: Entry
    size: int | str
    batch: int | str
    rounds: int

    def labels(self, classes: int) -> tuple[int, int]:
        """The labels of the start and of each round, for so many classes."""
        return in_numbers(self.size, classes), in_numbers(self.batch, classes)


@dataclass(frozen=True)
class Plan:
    """What is compared on what; ``methods`` are query strategies where there are ``rounds``."""

    name: str
    seeds: int
    share: float
    datasets: tuple[DataSet, ...]
    methods: tuple[Entry, ...]
    learners: tuple[Entry, ...]
    reference: str
    leave_out: tuple[str, ...] = ()  # a second headline is given without these data sets
    rounds: Rounds | None = None
    pretrained: tuple[Entry, ...] = ()  # encoders that the plan trains
    rival: str | None = None  # a method that all others are compared to, beside the reference

    def of_seeds(self, seeds: int) -> Plan:
        """The plan with its first draws alone, and the methods that take part in all of them."""
        methods = tuple(entry for entry in self.methods if entry.on(seeds - 1))
        return replace(self, seeds=seeds, methods=methods)

    def fewer_seeds(self) -> list[int]:
        """The numbers of draws that some method keeps to, the largest first."""
        fewer = {entry.seeds for entry in self.methods if not entry.on(self.seeds - 1)}
        return sorted((count for count in fewer if count is not None), reverse=True)

    def on_images(self) -> list[Entry]:
        """What needs the pictures of every data set: networks as learners, and in strategies."""
        return [entry for entry in (*self.methods, *self.learners) if entry.on_images]


def read_plan(path: str | os.PathLike[str]) -> Plan:
    """Read and check a plan; ``builtin:smoke`` is a small one that comes with the package.

    Nothing is opened yet but the files of out-of-tree methods.

    Raises
    ------
    DataError : no such file, or not TOML.
    UsageError : an unknown key, method or parameter, a value out of range, an undefined variable.
    """
    name, text, folder = _text(str(path))
    try:
        given = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, too
        raise DataError(f"{name} is not valid TOML: {error}.") from error
    try:
        return plan_of(given, folder, Path(name).stem)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from error


def plan_of(given: Mapping[str, Any], folder: Path, title: str) -> Plan:
    """A plan out of its TOML; paths in it are relative to ``folder``.

    Raises :class:`UsageError` as :func:`read_plan`; ``title`` is that of a plan without a name.
    """
    try:
        return _plan(given, folder, title)
    except UsageError:
        raise
    except (TypeError, ValueError, AttributeError, LookupError, OverflowError) as error:
        raise UsageError(f"a value of a kind that has no place there ({error}).") from error


def _text(path: str) -> tuple[str, str, Path]:
    """Name, content and folder of a plan."""
    if path.startswith(BUILTIN):
        plans = resources.files("usl.benchmarking") / "plans"
        known = sorted(file.name.removesuffix(".toml") for file in plans.iterdir())
        wanted = path.removeprefix(BUILTIN)
        if wanted not in known:
            raise UsageError(
                f"No built-in plan {wanted!r}; there is {', '.join(BUILTIN + k for k in known)}."
                + did_you_mean(wanted, known)
            )
        return path, (plans / f"{wanted}.toml").read_text(encoding="utf-8"), Path.cwd()
    file = Path(path).expanduser()
    try:
        return path, file.read_text(encoding="utf-8"), file.resolve().parent
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such plan. Write one (docs/benchmark.md), or try {BUILTIN}smoke."
        ) from None
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise DataError(f"{path} is not a plan, a TOML file ({error}).") from error


def _plan(given: Mapping[str, Any], folder: Path, title: str) -> Plan:
    if isinstance(given.get("encoders"), dict):
        raise UsageError("encoders: a list of names. Encoders that the plan trains are described "
                         "in tables of another name: [pretrained.NAME].")  # fmt: skip
    check_keys(given, PLAN_KEYS, "")
    seeds = at_least("seeds", given.get("seeds", 20), 1)
    share = float(given.get("share", 0.8))
    if not 0 < share <= 1:
        raise UsageError(f"share: {share} given; it must be above 0 and at most 1.")
    compared = "strategies" if "rounds" in given else "methods"
    _check_rounds_apart(given)
    for table in ("datasets", compared, "learners"):
        if not given.get(table):
            raise UsageError(f"[{table}] is missing or empty; name at least one.")
    datasets = tuple(data_set(name, own, given, folder) for name, own in given["datasets"].items())
    methods = tuple(_methods(given, folder))
    kinds = [FROZEN] if "rounds" in given else [FROZEN, NETWORKS]
    learners = tuple(
        entry_of("learners", name, own, folder, kinds) for name, own in given["learners"].items()
    )
    pretrained = {
        name: entry_of("pretrained", name, own, folder, [PRETRAINING])
        for name, own in given.get("pretrained", {}).items()
    }
    methods, learners = (
        tuple(beginning(entry, pretrained) for entry in part) for part in (methods, learners)
    )
    _check_budgets(methods, datasets)
    _check_used(pretrained, datasets, [*methods, *learners])
    names = [entry.name for entry in methods]
    rounds = _rounds(given["rounds"], folder) if "rounds" in given else None
    whole = [entry.name for entry in methods if entry.on(seeds - 1)]
    if not whole:
        raise UsageError(f"[methods]: none takes part in all {seeds} draws. Leave a seeds out.")
    reference = given.get("reference", "random" if "random" in whole else whole[0])
    rival = _rival(given)
    for key, name in (("reference", reference), ("rival", rival)):
        if name is not None:
            check_known("rounds.rival" if key == "rival" and rounds else key, [name], names)
            if name not in whole:
                raise UsageError(f"{key}: {name!r} has fewer seeds than the plan. Name another.")
    check_known("leave_out", given.get("leave_out", []), given["datasets"])
    leave_out = tuple(given.get("leave_out", ()))
    if len(leave_out) == len(datasets):
        raise UsageError("leave_out: names every data set; keep at least one.")
    return Plan(
        given.get("name", title),
        seeds,
        share,
        datasets,
        methods,
        learners,
        reference,
        leave_out,
        rounds,
        tuple(pretrained.values()),
        rival,
    )


def _rival(given: Mapping[str, Any]) -> str | None:
    """What differences are against, too; said in [rounds] where there are rounds."""
    rival: str | None = given.get("rounds", given).get("rival")
    return rival


def _methods(given: Mapping[str, Any], folder: Path) -> Iterator[Entry]:
    """What is compared: strategies in a plan with rounds, else selection methods and both."""
    if "rounds" in given:
        for name, own in given["strategies"].items():
            yield entry_of("strategies", name, own, folder, [STRATEGIES, METHODS])
        return
    asking = given.get("asking", {})
    asking_of("asking", asking, folder)  # a fault in it is its own, not the first entry's
    entries = [method_of(name, own, folder, asking) for name, own in given["methods"].items()]
    if "asking" in given and not any(entry.asking for entry in entries):
        raise UsageError(
            "[asking] is for strategies, and [methods] names none. Write NAME = "
            f'{{ {STRATEGY} = "..." }}, or leave it out.'
        )
    yield from entries


def _check_budgets(methods: Sequence[Entry], datasets: Sequence[DataSet]) -> None:
    """Refuse a start that leaves nothing to ask; one by classes is looked at when they are known.

    See :func:`usl.benchmarking.pools.check_pools`.
    """
    for entry in methods:
        if entry.asking is not None and entry.asking.size != CLASSES:
            for dataset in datasets:
                for budget in dataset.budgets:
                    try:
                        entry.asking.steps(budget, classes=1)
                    except UsageError as error:
                        raise UsageError(f"methods.{entry.name}: {error}") from error


def _check_used(
    pretrained: Iterable[str], datasets: Sequence[DataSet], entries: Sequence[Entry]
) -> None:
    """Refuse an encoder that is trained for nothing."""
    used = {name for dataset in datasets for name in dataset.encoders}
    used |= {name for entry in entries if (name := entry.own_encoder()) is not None}
    for name in pretrained:
        if name not in used:
            raise UsageError(
                f"[pretrained.{name}]: nothing uses it. Name it in encoders, or as the start of a "
                f'network: start = "{name}".'
            )


def _check_rounds_apart(given: Mapping[str, Any]) -> None:
    """Refuse what says nothing beside ``[rounds]``, or without it."""
    sets = given.get("datasets", {})
    budgets = ["budgets"] * ("budgets" in given)
    budgets += [f"datasets.{name}.budgets" for name, own in sets.items() if "budgets" in own]
    if "rounds" in given and ("methods" in given or budgets):
        key, instead = ("[methods]", "[strategies]")
        if budgets:
            key, instead = budgets[0], "size and batch in [rounds]"
        raise UsageError(f"{key} has no place in a plan with rounds. Write {instead}.")
    if "rounds" in given and "rival" in given:
        raise UsageError("rival has no place here in a plan with rounds. Write it in [rounds].")
    if "rounds" in given and "asking" in given:
        raise UsageError("[asking] has no place in a plan with rounds. [rounds] says it for all.")
    if "strategies" in given and "rounds" not in given:
        raise UsageError("[strategies] ask in rounds. Add the table [rounds], or write [methods].")


def _rounds(own: Mapping[str, Any], folder: Path) -> Rounds:
    check_keys(own, ROUNDS_KEYS, "rounds.")
    size, batch = (
        number_of_labels(f"rounds.{key}", own.get(key, CLASSES)) for key in ("size", "batch")
    )
    return Rounds(
        one_of("rounds.start", own.get("start", "random"), folder, METHODS),
        size,
        batch,
        at_least("rounds.rounds", own.get("rounds", 10), 1),
    )
