"""The plan of a benchmark: a TOML file that says what is compared on what.

::

    name = "Cold start"
    seeds = 20                       # pool draws
    share = 0.8                      # of the pool that every draw takes
    most = 10_000                    # larger pools count as so large
    encoders = ["efficientnet_lite1"]
    budgets = [10, 40]
    reference = "random"             # what the differences are against

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

    [learners]                       # training methods on frozen features
    logistic = {}
    label_spreading = { seeds = 10 } # of the draws, the first so many

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

import inspect
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from usl.active.contract import STRATEGIES
from usl.core.errors import DataError, UsageError, did_you_mean
from usl.core.methods import Methods, find_method
from usl.evaluation.compare import ANSWERS
from usl.selection.contract import METHODS
from usl.training.contract import FROZEN

BUILTIN = "builtin:"
CLASSES = "classes"
SPACE = ("center", "standardize", "pca")
PLAN_KEYS = {
    "name": str,
    "seeds": int,
    "share": float,
    "most": int,
    "encoders": list,
    "budgets": list,
    "reference": str,
    "leave_out": list,
    "datasets": dict,
    "methods": dict,
    "learners": dict,
    "rounds": dict,
    "strategies": dict,
}
ROUNDS_KEYS = {"start": object, "size": object, "batch": object, "rounds": int, "rival": str}
SET_KEYS = {
    "source": str,
    "encoders": list,
    "budgets": list,
    "most": int,
    "imbalance": float,
    "center": bool,
    "standardize": bool,
    "pca": int,
    "options": dict,
    "supervision": str,
}


@dataclass(frozen=True)
class DataSet:
    """One data set of a plan; see the module's docstring for the keys."""

    name: str
    source: str
    encoders: tuple[str, ...]
    budgets: tuple[int, ...]
    most: int
    imbalance: float | None = None
    space: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)  # of the source's reader
    supervision: str | None = None  # what features that are given rest on, for the tables


@dataclass(frozen=True)
class Entry:
    """A method, strategy or learner under its name in the tables; ``seeds``: of a learner."""

    name: str
    method: str
    params: Mapping[str, Any] = field(default_factory=dict)
    seeds: int | None = None


@dataclass(frozen=True)
class Rounds:
    """The rounds of a plan: a start that all strategies share, then so many batches.

    ``size``, labels of the start, and ``batch``, labels of a round, are numbers, or
    :data:`CLASSES`: as many as there are classes. ``rival``: a strategy that all others are
    compared to, beside the plan's reference.
    """

    start: Entry
    size: int | str
    batch: int | str
    rounds: int
    rival: str | None = None

    def labels(self, classes: int) -> tuple[int, int]:
        """The labels of the start and of each round, for so many classes."""
        size, batch = (classes if n == CLASSES else int(n) for n in (self.size, self.batch))
        return size, batch


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
    return plan_of(given, name, folder)


def plan_of(given: dict[str, Any], name: str, folder: Path) -> Plan:
    """Check a plan that has been read; ``name`` is told in messages.

    Paths in it are relative to ``folder``. Raises :class:`UsageError` as :func:`read_plan` does.
    """
    try:
        return _plan(given, folder, Path(name).stem)
    except UsageError as error:
        raise UsageError(f"{name}: {error}") from error
    except (TypeError, ValueError, AttributeError, LookupError, OverflowError) as error:
        raise UsageError(f"{name}: a value of a kind that has no place there ({error}).") from error


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


def _plan(given: dict[str, Any], folder: Path, stem: str) -> Plan:
    _check_keys(given, PLAN_KEYS, "")
    seeds = _at_least("seeds", given.get("seeds", 20), 1)
    share = float(given.get("share", 0.8))
    if not 0 < share <= 1:
        raise UsageError(f"share: {share} given; it must be above 0 and at most 1.")
    compared = "strategies" if "rounds" in given else "methods"
    _check_rounds_apart(given)
    for table in ("datasets", compared, "learners"):
        if not given.get(table):
            raise UsageError(f"[{table}] is missing or empty; name at least one.")
    datasets = tuple(_data_set(name, own, given, folder) for name, own in given["datasets"].items())
    kinds = [STRATEGIES, METHODS] if compared == "strategies" else [METHODS]
    methods, learners = (
        tuple(_entry(table, name, own, folder, of) for name, own in given[table].items())
        for table, of in ((compared, kinds), ("learners", [FROZEN]))
    )
    names = [entry.name for entry in methods]
    rounds = _rounds(given["rounds"], folder, names) if "rounds" in given else None
    reference = given.get("reference", "random" if "random" in names else names[0])
    check_known("reference", [reference], names)
    check_known("leave_out", given.get("leave_out", []), given["datasets"])
    leave_out = tuple(given.get("leave_out", ()))
    if len(leave_out) == len(datasets):
        raise UsageError("leave_out: names every data set; keep at least one.")
    title = given.get("name", stem)
    return Plan(title, seeds, share, datasets, methods, learners, reference, leave_out, rounds)


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
    if "strategies" in given and "rounds" not in given:
        raise UsageError("[strategies] ask in rounds. Add the table [rounds], or write [methods].")


def _rounds(own: Mapping[str, Any], folder: Path, strategies: Sequence[str]) -> Rounds:
    _check_keys(own, ROUNDS_KEYS, "rounds.")
    start = own.get("start", "random")
    start = {"method": start} if isinstance(start, str) else start
    if not isinstance(start, dict) or "method" not in start:
        raise UsageError('rounds.start: write "random", or { method = "quorum" } and parameters.')
    size, batch = own.get("size", CLASSES), own.get("batch", CLASSES)
    for key, count in (("size", size), ("batch", batch)):
        if isinstance(count, bool) or (count != CLASSES and not isinstance(count, int)):
            raise UsageError(f'rounds.{key}: {count!r} given; use "{CLASSES}" or a whole number.')
        if count != CLASSES:
            _at_least(f"rounds.{key}", count, 1)
    if (rival := own.get("rival")) is not None:
        check_known("rounds.rival", [rival], strategies)
    return Rounds(
        _entry("rounds", str(start["method"]), start, folder, [METHODS]),
        size,
        batch,
        _at_least("rounds.rounds", own.get("rounds", 10), 1),
        rival,
    )


def _data_set(name: str, own: Any, shared: dict[str, Any], folder: Path) -> DataSet:
    where = f"datasets.{name}"
    if not isinstance(own, dict) or "source" not in own:
        raise UsageError(f"[{where}] needs a source: a path, or builtin:fashion_mnist.")
    _check_keys(own, SET_KEYS, f"{where}.")
    budgets = own.get("budgets", shared.get("budgets", []))
    if not budgets and "rounds" not in shared:
        raise UsageError(f"{where}.budgets is missing: a list of numbers of labels.")
    for budget in budgets:
        _at_least(f"{where}.budgets", budget, 1)
    imbalance = own.get("imbalance")
    if imbalance is not None and imbalance < 1:
        raise UsageError(f"{where}.imbalance: {imbalance} given; use at least 1, the largest class "
                         "over the smallest.")  # fmt: skip
    return DataSet(
        name,
        _source(own["source"], folder, where),
        tuple(own.get("encoders", shared.get("encoders", ["auto"]))),
        tuple(sorted(set(budgets))),
        _at_least(f"{where}.most", own.get("most", shared.get("most", 10_000)), 2),
        None if imbalance is None else float(imbalance),
        {key: own[key] for key in SPACE if key in own},
        own.get("options", {}),
        own.get("supervision"),
    )


def _entry(table: str, name: str, own: Any, folder: Path, kinds: Sequence[Methods]) -> Entry:
    where = f"{table}.{name}"
    if not isinstance(own, dict):
        raise UsageError(f"{where}: {own!r} given; write {name} = {{}} or its parameters.")
    params = dict(own)
    method = str(params.pop("method", name))
    if method.endswith(".py"):
        method = str(folder / Path(method).expanduser())
    seeds = None
    if table == "learners" and "seeds" in params:
        seeds = _at_least(f"{where}.seeds", params.pop("seeds"), 1)
    try:
        kind, module = find_method(kinds, method)
        if table == "strategies" and getattr(module, "ORACLE", False):
            raise UsageError("it reads the true labels, which no strategy may.")
        answers = ANSWERS in inspect.signature(getattr(module, kind.function)).parameters
        filled = {ANSWERS: None} if getattr(module, "ORACLE", False) and answers else {}
        kind.check(method, module, {**params, **filled})
    except UsageError as error:
        raise UsageError(f"[{table}] {name}: {error}") from error
    return Entry(name, method, params, seeds)


def _source(given: str, folder: Path, where: str) -> str:
    """The source with variables filled in, relative to the plan's folder."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1) or match.group(2)
        if name not in os.environ:
            raise UsageError(
                f"{where}.source names ${name}, which is not set. Set it to the folder of your "
                f"data: export {name}=/path/to/data"
            )
        return os.environ[name]

    filled = re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, given)
    if filled.startswith(BUILTIN) or Path(filled).expanduser().is_absolute():
        return filled
    return str(folder / filled)


def _check_keys(given: Mapping[str, Any], known: Mapping[str, type], prefix: str) -> None:
    for key, value in given.items():
        if key not in known:
            listing = ", ".join(known)
            raise UsageError(
                f"unknown key {prefix + key!r}.{did_you_mean(key, known)} Known keys: {listing}."
            )
        kind = known[key]
        fits = isinstance(value, (int, float) if kind is float else kind)
        if not fits or (isinstance(value, bool) and kind is not bool):
            words = {str: "text", int: "a whole number", float: "a number", bool: "true or false",
                     list: "a list", dict: "a table"}  # fmt: skip
            raise UsageError(f"{prefix}{key}: {value!r} given; it must be {words[kind]}.")


def check_known(key: str, given: Iterable[str], known: Iterable[str]) -> None:
    """:class:`UsageError` for a name that the plan does not have."""
    known = list(known)
    for name in given:
        if name not in known:
            raise UsageError(
                f"{key}: {name!r} is not in this plan.{did_you_mean(str(name), known)} "
                f"There is {', '.join(known)}."
            )


def _at_least(where: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{where}: {value!r} given; use whole numbers from {least}.")
    return value
