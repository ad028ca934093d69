"""The paper's numbers beside ours, cell by cell: paper, ours, and the difference."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from usl.benchmarking.datasets import DataSet
from usl.benchmarking.entries import Entry
from usl.benchmarking.ledger import Ledger
from usl.benchmarking.plan import Plan
from usl.benchmarking.pools import Pool
from usl.benchmarking.reproduction.measures import MEASURES, OF_PICKS, Measured, Seeds
from usl.benchmarking.reproduction.recipe import Recipe, Row
from usl.core.errors import UsageError
from usl.evaluation.compare import Difference, paired_difference

NOT_HERE = "not at this scale"
NO_NUMBER = "–"


@dataclass(frozen=True)
class Result:
    """Which result of a plan a cell is; ``learner`` is None for figures of the picks."""

    measure: str
    dataset: DataSet
    budget: int
    entry: Entry
    learner: Entry | None


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    ``paper`` is NaN where the paper has no number; ``ours`` by seed, as shown; ``why`` says why
    there is none.
    """

    row: Row
    column: str
    measure: str
    paper: float
    paper_sd: float
    ours: Seeds
    why: str = ""

    @property
    def mean(self) -> float:
        """Of ours over the seeds; NaN without any."""
        return float(np.mean(list(self.ours.values()))) if self.ours else math.nan

    @property
    def sd(self) -> float:
        """Standard deviation of ours over the seeds; NaN with fewer than two."""
        return float(np.std(list(self.ours.values()), ddof=1)) if len(self.ours) > 1 else math.nan

    def over(self, base: Cell) -> Difference | None:
        """Ours less that of another row, over the seeds that both have."""
        both = sorted(self.ours.keys() & base.ours.keys())
        if not both:
            return None
        return paired_difference([self.ours[s] for s in both], [base.ours[s] for s in both])


def result_of(recipe: Recipe, plan: Plan, row: Row, column: str) -> Result | str:
    """Which result of a plan a cell is, or why it is none.

    Raises
    ------
    UsageError : the row and the column do not tell one result from another.
    """
    if row.left_out:
        return row.left_out
    where = {**row.where, **recipe.columns[column]}
    measure = str(where.pop("figure", "test"))
    datasets = {dataset.name: dataset for dataset in plan.datasets}
    chosen: dict[str, Any] = {}
    known: dict[str, Mapping[Any, Any]] = {
        "dataset": datasets,
        "method": {entry.name: entry for entry in plan.methods},
        "learner": {entry.name: entry for entry in plan.learners},
    }
    if measure in OF_PICKS:
        where.pop("learner", None)
        del known["learner"]
    for kind, things in known.items():
        found = one_of(recipe, row, column, kind, things, where.get(kind))
        if found is None:
            return NOT_HERE
        chosen[kind] = found
    budgets = {budget: budget for budget in chosen["dataset"].budgets}
    budget = one_of(recipe, row, column, "budget", budgets, where.get("budget"))
    if budget is None:
        return NOT_HERE
    learner = chosen.get("learner")
    return Result(measure, chosen["dataset"], budget, chosen["method"], learner)


def one_of(
    recipe: Recipe, row: Row, column: str, kind: str, things: Mapping[Any, Any], wanted: Any
) -> Any:
    """The thing that is named, or the only one there is; None for one that the plan has not."""
    if wanted is not None:
        return things.get(wanted)
    if len(things) == 1:
        return next(iter(things.values()))
    raise UsageError(
        f"{recipe.name}, row {row.name!r}, column {column!r}: say which {kind}; the plan has "
        f"{', '.join(map(str, things))}."
    )


def cells_of(recipe: Recipe, plan: Plan, pools: Iterable[Pool], ledger: Ledger) -> list[Cell]:
    """All cells of a table, row by row, with what the ledger has."""
    by_name = {pool.dataset: pool for pool in pools}
    first = first_of(recipe, plan)
    measured = None if first is None else Measured(ledger, plan.seeds, first)
    found = []
    for row in recipe.rows:
        for column in recipe.columns:
            about = row, column
            paper, sd = row.paper.get(column, math.nan), row.sd.get(column, math.nan)
            result = result_of(recipe, plan, *about)
            measure = str(recipe.columns[column].get("figure", "test"))
            if isinstance(result, str):
                found.append(Cell(*about, measure, paper, sd, {}, result))
                continue
            pool, ours = by_name.get(result.dataset.name), {}
            if pool is not None and measured is not None:
                asked = (pool, result.budget, result.entry, result.learner)
                ours = measured.by_seed(result.measure, *asked)
            found.append(Cell(*about, measure, paper, sd, ours, "" if ours else "not run yet"))
    return found


def first_of(recipe: Recipe, plan: Plan) -> Entry | None:
    """The method of the first row that the plan has."""
    for row, column in itertools.product(recipe.rows, recipe.columns):
        if isinstance(result := result_of(recipe, plan, row, column), Result):
            return result.entry
    return None


def header_of(recipe: Recipe, columns: Sequence[str]) -> list[str]:
    """The header over columns: their names, with units where these differ."""
    units = [MEASURES[str(recipe.columns[name].get("figure", "test"))][2] for name in columns]
    if len(set(units)) == 1:
        return list(columns)
    return [f"{name}, {unit}" for name, unit in zip(columns, units, strict=True)]


def text_of(cell: Cell) -> str:
    """``paper / ours ± sd (n) / difference``, as far as there are such numbers."""
    digits = 2 if cell.measure in ("balance", "density") else 1
    paper = "" if math.isnan(cell.paper) else f"{cell.paper:.{digits}f}"
    if paper and not math.isnan(cell.paper_sd):
        paper += f" ± {cell.paper_sd:.{digits}f}"
    if not cell.ours:
        return f"{paper or NO_NUMBER} / {NO_NUMBER if cell.why == NOT_HERE else cell.why}"
    ours = f"{cell.mean:.{digits}f}"
    if not math.isnan(cell.sd):
        ours += f" ± {cell.sd:.{digits}f}"
    ours += f" ({len(cell.ours)})"
    if not paper:
        return f"{NO_NUMBER} / {ours}"
    return f"{paper} / {ours} / {cell.mean - cell.paper:+.{digits}f}"


def gain_text(cell: Cell, base: Cell) -> str:
    """What a row gains over the base: ``paper / ours [95% interval]``."""
    paper = cell.paper - base.paper
    told = NO_NUMBER if math.isnan(paper) else f"{paper:+.1f}"
    ours = cell.over(base)
    if ours is None:
        return f"{told} / {NO_NUMBER}"
    interval = "" if ours.n == 1 else f" [{ours.low:+.1f}, {ours.high:+.1f}]"
    return f"{told} / {ours.mean:+.1f}{interval}"
