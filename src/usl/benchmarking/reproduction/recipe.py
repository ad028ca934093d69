"""The recipe of a table or figure of the paper: a TOML file in ``usl/benchmarking/recipes``.

::

    title = "40 labels of CIFAR-10 under several learners"
    protocol = "The paper's, in a line or two."
    base = "Random"                  # the row that gains are told over; may be left out
    plots = ["classes"]              # figures, if any (usl.benchmarking.reproduction.figures)

    [columns]                        # of the paper's table: which results of the plan they are
    "MixMatch" = { learner = "mixmatch" }
    "logistic (ours)" = { learner = "logistic" }

    [rows]                           # the paper's numbers in the columns' order, where it has any
    "Random" = { paper = [43.4], method = "random" }
    "Stratified" = { paper = [62.0], mark = "†", method = "stratified" }
    "REVIVAL" = { paper = [88.0], left_out = "no code has been published" }

    [marks]
    "†" = "practically infeasible"

    [says]                           # of each preset, what it is and what it is not
    cpu = "Frozen features of cifar-cld-small, 10 draws."
    full = "The paper's settings (6.12)."

    [cost]
    cpu_minutes = 12
    gpu_hours = 900

    [plan]                           # what the plans of both presets have in common
    budgets = [40]

    [cpu]                            # and what they have not; plans of usl benchmark, key for key
    [full]                           # (docs/benchmark.md)

A row and a column together say which result of the plan they are: ``dataset``, ``budget``,
``method``, ``learner``; what the plan has one of may be left out. A row whose method,
or column whose learner, a preset's plan does not have is told as not run at that scale.
``figure`` of a column is another figure than the accuracy, see
:mod:`usl.benchmarking.reproduction.measures`. Data sets and weights stand in braces, as
``source = "{cifar10}"``, and lie where :mod:`usl.benchmarking.reproduction.standard` says.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

from usl.benchmarking.plan import Plan, plan_of
from usl.benchmarking.reproduction.constants import PRINTED
from usl.benchmarking.reproduction.measures import MEASURES
from usl.benchmarking.reproduction.standard import named_in, placed
from usl.core.errors import UsageError, did_you_mean

PRESETS = ("cpu", "full")
PLACES = ("dataset", "budget", "method", "learner")
KEYS = (
    *("title", "protocol", "base", "columns", "rows", "marks", "says", "cost", "plots", "plan"),
    *PRESETS,
)
ROW_KEYS = ("paper", "sd", "mark", "left_out", *PLACES)
COLUMN_KEYS = ("figure", *PLACES)


@dataclass(frozen=True)
class Row:
    """A row of the paper's table.

    Attributes
    ----------
    paper, sd : its numbers by column, of those where it has any.
    mark : of a footnote. ``left_out`` : why no plan has it.
    where : which results of a plan it is, by the keys of :data:`PLACES`.
    """

    name: str
    paper: Mapping[str, float] = field(default_factory=dict)
    sd: Mapping[str, float] = field(default_factory=dict)
    mark: str = ""
    left_out: str = ""
    where: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """Its name with the mark of its footnote."""
        return self.name + self.mark


@dataclass(frozen=True)
class Recipe:
    """A table or figure and how it is made again; see the module's docstring for the keys."""

    name: str
    title: str
    protocol: str
    columns: Mapping[str, Mapping[str, Any]]
    rows: tuple[Row, ...]
    presets: Mapping[str, dict[str, Any]]
    base: str | None = None
    marks: Mapping[str, str] = field(default_factory=dict)
    says: Mapping[str, str] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)
    plots: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """As the paper calls it: ``Table 4``, ``Figure 7``."""
        return label_of(self.name)

    def plan(self, preset: str, folder: Path) -> Plan:
        """The plan of a preset, with data sets in ``folder``; :class:`UsageError` if unsound."""
        given = placed(self.presets[preset], folder.absolute())
        given.setdefault("name", f"{self.label}, {preset}")
        try:
            return plan_of(given, folder, given["name"])
        except UsageError as error:
            raise UsageError(f"recipe {self.name}, {preset}: {error}") from error

    def needs(self, preset: str, plan: Plan) -> list[str]:
        """Names of the data sets and weights that ``plan``, all or a part of a preset, asks for."""
        given = dict(self.presets[preset])
        for kind in ("datasets", "methods", "learners"):
            kept = {entry.name for entry in getattr(plan, kind)}
            own = given.get(kind, {})
            given[kind] = {name: about for name, about in own.items() if name in kept}
        if all("encoders" in about for about in given["datasets"].values()):
            given.pop("encoders", None)  # no data set is left that goes by the plan's
        return named_in(given)

    def chosen(self, only: Sequence[str]) -> Recipe:
        """The recipe with the rows and columns that are named alone; all where none is.

        The row that gains are told over stays.
        Raises :class:`UsageError` for a name that is neither; it names the nearest.
        """
        rows = {row.name.lower(): row for row in self.rows}
        columns = {name.lower(): name for name in self.columns}
        for name in only:
            if name.lower() not in rows | columns:
                known = [*(row.name for row in self.rows), *self.columns]
                raise UsageError(
                    f"only: {self.label} has no row or column {name!r}.{did_you_mean(name, known)} "
                    f"It has: {'; '.join(known)}."
                )
        wanted = [name.lower() for name in only]
        kept = tuple(row for key, row in rows.items() if key in wanted)
        if kept:
            kept = tuple(row for row in self.rows if row in kept or row.name == self.base)
        shown = {name: self.columns[name] for key, name in columns.items() if key in wanted}
        return replace(self, rows=kept or self.rows, columns=shown or self.columns)


def recipe_names() -> list[str]:
    """All that can be made again, in the paper's order: tables, then figures."""
    files = (resources.files("usl.benchmarking") / "recipes").iterdir()
    names = [file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")]
    return sorted([*names, *PRINTED], key=_order)


def label_of(name: str) -> str:
    """``Table 4`` of table4."""
    kind, number = _parts(name)
    return f"{'Table' if kind == 'table' else 'Figure'} {number}"


def check_name(name: str) -> str:
    """The name of a table or figure as its file has it; :class:`UsageError` names the nearest.

    ``Table 4``, ``4`` and ``figure7`` are understood, too.
    """
    plain = name.lower().replace(" ", "").replace("figure", "fig").replace("fig.", "fig")
    plain = f"table{plain}" if plain.isdigit() else plain
    known = recipe_names()
    if plain not in known:
        raise UsageError(
            f"table: there is no recipe {name!r}.{did_you_mean(plain, known)} "
            f"There is {', '.join(known)}."
        )
    return plain


def read_recipe(name: str) -> Recipe:
    """Read a recipe of the package and check all of it but its plans.

    Raises :class:`UsageError` for a name that is none.
    """
    path = resources.files("usl.benchmarking") / "recipes" / f"{check_name(name)}.toml"
    return recipe_of(tomllib.loads(path.read_text("utf-8")), check_name(name))


def recipe_of(given: Mapping[str, Any], name: str) -> Recipe:
    """A recipe from the content of its file; :class:`UsageError` for what does not fit."""
    _check_keys(given, KEYS, f"{name}: ")
    rows = []
    for row, own in given["rows"].items():
        _check_keys(own, ROW_KEYS, f"{name}, row {row!r}: ")
        paper, sd = (_numbers(given["columns"], own.get(key, ())) for key in ("paper", "sd"))
        mark, left_out = (str(own.get(key, "")) for key in ("mark", "left_out"))
        where = {key: own[key] for key in PLACES if key in own}
        rows.append(Row(row, paper, sd, mark, left_out, where))
    for column, own in given["columns"].items():
        _check_keys(own, COLUMN_KEYS, f"{name}, column {column!r}: ")
        _check_keys({own.get("figure", "test"): 0}, MEASURES, f"{name}, column {column!r}: ")
    said = {key: name for name, own in given["columns"].items() for key in own}
    for row in rows:
        if twice := row.where.keys() & said.keys():
            key = min(twice)
            raise UsageError(
                f"{name}: row {row.name!r} and column {said[key]!r} both say the {key}. Leave one "
                "out."
            )
    base = given.get("base")
    if base is not None and base not in given["rows"]:
        raise UsageError(f"{name}: base: {base!r} is no row.{did_you_mean(base, given['rows'])}")
    marks = given.get("marks", {})
    unknown = [row.name for row in rows if row.mark and not set(row.mark) <= set("".join(marks))]
    if unknown:
        raise UsageError(f"{name}: [marks] does not say what the mark of {unknown[0]!r} means.")
    presets = {
        preset: merged(given.get("plan", {}), given[preset])
        for preset in PRESETS
        if preset in given
    }
    texts = {key: given.get(key, {}) for key in ("marks", "says", "cost")}
    return Recipe(
        name, given["title"], given["protocol"], given["columns"], tuple(rows), presets, base,
        **texts, plots=tuple(given.get("plots", ())),
    )  # fmt: skip


def merged(shared: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A preset's plan: what both have and its own; tables are joined, other keys replaced."""
    found = {**shared, **own}
    for key, value in shared.items():
        if isinstance(value, Mapping) and key in own:
            found[key] = {**value, **own[key]}
    return found


def _numbers(columns: Collection[str], given: Sequence[Any]) -> dict[str, float]:
    """Numbers of the first columns, by their names; a dash is none."""
    return {name: float(value) for name, value in zip(columns, given, strict=False) if value != "-"}


def _check_keys(given: Mapping[str, Any], known: Collection[str], where: str) -> None:
    for key in given:
        if key not in known:
            raise UsageError(f"{where}unknown key {key!r}.{did_you_mean(key, known)}")


def _order(name: str) -> tuple[bool, int]:
    kind, number = _parts(name)
    return kind == "fig", number


def _parts(name: str) -> tuple[str, int]:
    kind = name.rstrip("0123456789")
    return kind, int(name.removeprefix(kind))
