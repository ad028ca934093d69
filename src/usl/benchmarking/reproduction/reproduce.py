"""``usl reproduce``: make a table or figure of the paper again, its numbers beside ours."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from usl.benchmarking.entries import Entry
from usl.benchmarking.ledger import Ledger
from usl.benchmarking.outcome import Benchmark
from usl.benchmarking.plan import Plan
from usl.benchmarking.reproduction.comparison import Cell, Result, cells_of, result_of
from usl.benchmarking.reproduction.constants import PRINTED, Printed
from usl.benchmarking.reproduction.figures import Shown, draw_figures
from usl.benchmarking.reproduction.page import write_results
from usl.benchmarking.reproduction.recipe import (
    PRESETS,
    Recipe,
    Row,
    check_name,
    label_of,
    read_recipe,
    recipe_names,
)
from usl.benchmarking.reproduction.standard import standard_sets
from usl.benchmarking.run import benchmark
from usl.core.errors import DataError, UsageError, did_you_mean
from usl.core.files import write_json
from usl.core.progress import Progress, silent
from usl.core.version import __version__
from usl.core.words import quoted

Preset = Literal["cpu", "full"]
STAMP, ROWS = "reproduction.json", "benchmark"


@dataclass(frozen=True)
class Reproduced:
    """A table with the paper's numbers and ours; ``benchmark`` holds all that was measured."""

    recipe: Recipe
    preset: str
    cells: tuple[Cell, ...]
    benchmark: Benchmark
    out: Path


def reproduce(
    table: str | Recipe,
    *,
    preset: Preset = "cpu",
    only: Sequence[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] = "datasets",
    gpu: bool | None = None,
    jobs: int | None = None,
    minutes: float | None = None,
    progress: Progress = silent,
) -> Reproduced:
    """Make a table or figure of the paper again.

    Stopped, the same command goes on. ``out`` gets ``results.md``, ``results.csv`` and the figure;
    ``out/benchmark`` all that was measured.

    Parameters
    ----------
    table : table or figure, as table4 or fig7; from Python also a recipe of one's own.
    preset : full, the paper's settings, or cpu, a reduction that each table describes.
    only : these rows and columns of the table alone, and the row that gains are told over.
    out : folder of the results; the default is reproduced/TABLE-PRESET.
    data : folder that holds the data sets and weights. Nothing is fetched; what is missing is
        named, with how to get it.
    gpu : begin only where there is a GPU, or also where there is none. By default the preset full
        asks for one.
    jobs : processes at a time, a core each; the default is all cores.
    minutes : begin nothing more after so long; the same command goes on.

    Raises
    ------
    UsageError : a table, row or preset that there is not; a GPU that is not there.
    DataError : a data set that is missing, or differs from its checksum; a folder with results of
        another version or plan.
    """
    recipe, plan = _opened(table, preset, only, Path(data))
    check_gpu(recipe, preset, gpu)
    check_data(recipe, plan, preset, Path(data))
    folder = default_out(recipe.name, preset) if out is None else Path(out)
    stamp(folder, recipe, preset)
    where = folder / ROWS
    found = benchmark(plan, where, jobs=jobs, minutes=minutes, progress=progress)
    ledger = Ledger(where)
    cells = cells_of(recipe, plan, found.pools, ledger)
    pictures = draw_figures(Shown(recipe, plan, cells, found.pools, ledger), folder)
    write_results(recipe, preset, cells, found.pools, pictures, folder)
    return Reproduced(recipe, preset, tuple(cells), found, folder)


def plan_reproduction(
    table: str | Recipe,
    *,
    preset: Preset = "cpu",
    only: Sequence[str] | None = None,
    data: str | os.PathLike[str] = "datasets",
) -> dict[str, Any]:
    """What :func:`reproduce` would do: every row, the data sets, the cost.

    Opens nothing but recipes; parameters and errors as there.
    """
    recipe, plan = _opened(table, preset, only, Path(data))
    known = standard_sets()
    needs = {}
    for name in recipe.needs(preset, plan):
        place = known[name].found(Path(data))
        needs[name] = known[name].how(Path(data)) if place is None else f"at {place}"
    return {
        "table": recipe.name,
        "title": recipe.title,
        "preset": preset,
        "says": recipe.says.get(preset, ""),
        "cost": cost_of(recipe, preset),
        "draws": plan.seeds,
        "data": needs,
        "rows": {row.name: told_of(recipe, plan, row) for row in recipe.rows},
    }


def recipes() -> list[dict[str, str]]:
    """All tables and figures that can be made again: name, title, and cost by preset."""
    found = []
    for name in recipe_names():
        if name in PRINTED:
            title, costs = PRINTED[name]()[0], dict.fromkeys(PRESETS, "printed at once")
        else:
            recipe = read_recipe(name)
            title = recipe.title
            costs = {preset: cost_of(recipe, preset) for preset in PRESETS}
        found.append({"name": name, "label": label_of(name), "title": title, **costs})
    return found


def printed(table: str) -> Printed | None:
    """A table of constants: title, header and rows; None for one that has to be run."""
    name = check_name(table)
    return PRINTED[name]() if name in PRINTED else None


def cost_of(recipe: Recipe, preset: str) -> str:
    """What a preset takes, in words."""
    if preset not in recipe.presets:
        return "not at this scale"
    key, unit = {"cpu": ("cpu_minutes", "core-minutes"), "full": ("gpu_hours", "GPU-hours")}[preset]
    return f"{recipe.cost[key]:,} {unit}" if key in recipe.cost else "not known"


def default_out(name: str, preset: str) -> Path:
    """The folder of the results, where none is named."""
    return Path("reproduced") / f"{name}-{preset}"


def check_data(recipe: Recipe, plan: Plan, preset: str, folder: Path) -> None:
    """:class:`DataError` where a data set is missing, or differs from its checksum.

    It names the columns that can be run without what is missing.
    """
    known = standard_sets()
    for name in recipe.needs(preset, plan):
        place = known[name].found(folder)
        if place is None:
            others = " ".join(f"--only {quoted(c)}" for c in served(recipe, plan, preset, folder))
            hint = f"; without it: {others}" if others else ""
            raise DataError(known[name].how(folder) + hint)
        known[name].check(place)


def served(recipe: Recipe, plan: Plan, preset: str, folder: Path) -> list[str]:
    """The columns for which all data sets and weights are in the folder."""
    known, found = standard_sets(), []
    for column, about in recipe.columns.items():
        try:
            part = restricted_to(replace(recipe, columns={column: about}), plan)
        except UsageError:  # the preset has nothing to run for it
            continue
        if all(known[name].found(folder) for name in recipe.needs(preset, part)):
            found.append(column)
    return found


def check_gpu(recipe: Recipe, preset: str, gpu: bool | None) -> None:
    """:class:`UsageError` where a GPU is asked for and there is none."""
    if not (preset == "full" if gpu is None else gpu):
        return
    import torch

    if not torch.cuda.is_available():
        raise UsageError(
            f"gpu: {recipe.label} at {preset} asks for a GPU ({cost_of(recipe, preset)}), and this "
            "machine shows none. Use --preset cpu, or --no-gpu to run it on the processor."
        )


def stamp(folder: Path, recipe: Recipe, preset: str) -> None:
    """Mark the folder of a reproduction; :class:`DataError` where it holds another one's results.

    Rows of another version, or of a plan that has changed, would stand beside those of this one.
    """
    own = {"table": recipe.name, "preset": preset, "version": __version__}
    path = folder / STAMP
    if path.exists():
        try:
            held = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise DataError(f"{path} cannot be read ({error}). Give another --out.") from error
        for key, value in own.items():
            if held.get(key) != value:
                raise DataError(
                    f"{folder} holds {held.get('table')}, {held.get('preset')}, begun by usl "
                    f"{held.get('version')}; this is {recipe.name}, {preset}, of usl "
                    f"{__version__}. Give another --out, or remove it."
                )
        return
    if (folder / ROWS).exists():
        raise DataError(f"{folder} holds other results. Give another --out.")
    folder.mkdir(parents=True, exist_ok=True)
    write_json(path, own)


def _opened(
    table: str | Recipe, preset: str, only: Sequence[str] | None, data: Path
) -> tuple[Recipe, Plan]:
    """The recipe and its plan, of the rows and columns that are asked for."""
    if isinstance(table, str) and (name := check_name(table)) in PRINTED:
        raise UsageError(f"table: {label_of(name)} is printed, not run: usl reproduce {name}")
    if preset not in PRESETS:
        raise UsageError(f"preset: {preset!r} given; use {' or '.join(PRESETS)}."
                         + did_you_mean(preset, PRESETS))  # fmt: skip
    recipe = read_recipe(table) if isinstance(table, str) else table
    if preset not in recipe.presets:
        raise UsageError(f"preset: {recipe.label} has no preset {preset}: {recipe.says[preset]}")
    plan = recipe.plan(preset, data)
    if only:
        recipe = recipe.chosen(only)
    return recipe, restricted_to(recipe, plan)


def restricted_to(recipe: Recipe, plan: Plan) -> Plan:
    """The plan with no more than a recipe needs; :class:`UsageError` where that is nothing."""
    found = [
        result_of(recipe, plan, row, column) for row in recipe.rows for column in recipe.columns
    ]
    results = [result for result in found if isinstance(result, Result)]
    if not results:
        raise UsageError(f"only: nothing to run of {recipe.rows[0].name!r}: {found[0]}.")
    budgets: dict[str, set[int]] = {}
    picked: dict[str, set[int]] = {}
    taught: dict[str, set[int]] = {}
    for result in results:
        budgets.setdefault(result.dataset.name, set()).add(result.budget)
        picked.setdefault(result.entry.name, set()).add(result.budget)
        if result.learner is not None:
            taught.setdefault(result.learner.name, set()).add(result.budget)
    methods = at_budgets(plan.methods, picked)
    return replace(
        plan,
        datasets=tuple(
            replace(dataset, budgets=tuple(sorted(budgets[dataset.name])))
            for dataset in plan.datasets
            if dataset.name in budgets
        ),
        methods=methods,
        learners=at_budgets(plan.learners, taught) or plan.learners[:1],
        reference=plan.reference if plan.reference in picked else methods[0].name,
        leave_out=(),
    )


def at_budgets(entries: Sequence[Entry], wanted: Mapping[str, set[int]]) -> tuple[Entry, ...]:
    """The methods or learners that are wanted, each at its own budgets alone."""
    return tuple(
        replace(entry, budgets=tuple(sorted(wanted[entry.name])))
        for entry in entries
        if entry.name in wanted
    )


def told_of(recipe: Recipe, plan: Plan, row: Row) -> dict[str, Any]:
    """What a row runs, in words: ``runs``; and ``not_run``, the columns by why they have none."""
    learners: dict[str, list[str]] = {}
    missing: dict[str, list[str]] = {}
    for column in recipe.columns:
        result = result_of(recipe, plan, row, column)
        if isinstance(result, str):
            missing.setdefault(result, []).append(column)
            continue
        what = f"{result.entry.name} on {result.dataset.name}, {result.budget:,} labels"
        names = learners.setdefault(what, [])
        if result.learner is not None and result.learner.name not in names:
            names.append(result.learner.name)
    runs = [f"{what}: {', '.join(names) or 'the picks'}" for what, names in learners.items()]
    return {"runs": runs, "not_run": missing}
