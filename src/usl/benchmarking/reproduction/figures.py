"""The figures of the paper again, one function for each kind that a recipe may name as ``plot``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from usl.benchmarking.keys import selection_key
from usl.benchmarking.ledger import Ledger
from usl.benchmarking.plan import Plan
from usl.benchmarking.plots import Theme, new_figure, save_themed
from usl.benchmarking.pools import Pool
from usl.benchmarking.reproduction.comparison import Cell, Result, result_of
from usl.benchmarking.reproduction.measures import MEASURES, OF_PICKS
from usl.benchmarking.reproduction.pictures import pictures
from usl.benchmarking.reproduction.plane import plane
from usl.benchmarking.reproduction.recipe import Recipe

POINTS: dict[str, Any] = {"marker": "o", "ms": 3.5, "lw": 1.4}
ROUNDS = ("-", "o"), ("--", "s"), (":", "^")  # of lines that share a colour
Found = list[tuple[Cell, Result]]  # what was measured, and which result it is


@dataclass(frozen=True)
class Shown:
    """What a figure is drawn from."""

    recipe: Recipe
    plan: Plan
    cells: Sequence[Cell]
    pools: Sequence[Pool]
    ledger: Ledger

    def found(self) -> Found:
        """The cells that have numbers of ours, and which results they are."""
        pairs = [
            (cell, result_of(self.recipe, self.plan, cell.row, cell.column)) for cell in self.cells
        ]
        return [(cell, of) for cell, of in pairs if cell.ours and isinstance(of, Result)]


def draw_figures(shown: Shown, folder: Path) -> list[Path]:
    """Draw the figures of a recipe; the path of each one's light SVG. None while nothing is run."""
    found = []
    for kind in shown.recipe.plots if shown.found() else ():
        name = shown.recipe.name if kind == shown.recipe.plots[0] else f"{shown.recipe.name}-{kind}"
        found.append(save_themed(PLOTS[kind](shown), folder / name)[0])
    return found


def parameters(shown: Shown, theme: Theme) -> Any:
    """Figure 7: every figure against lambda, and the accuracies against k."""
    found = shown.found()
    columns = list(dict.fromkeys(cell.column for cell, _ in found))
    learned = [name for name in columns if _measure(shown, name) not in OF_PICKS]
    picked = [name for name in columns if name not in learned]
    panels: list[tuple[list[str], str]] = [(learned, "lam"), *(([name], "lam") for name in picked),
                                           (learned, "k")]  # fmt: skip
    figure, axes = new_figure(1, len(panels), width=2.7 * len(panels), height=2.7)
    for panel, (names, parameter) in zip(np.ravel(axes), panels, strict=True):
        for name, color in zip(names, theme.colors, strict=False):
            points = sorted(_along(found, name, parameter))
            if not points:
                continue
            x, mean, half = map(np.array, zip(*points, strict=True))
            panel.plot(x, mean, color=color, label=name, **POINTS)
            panel.fill_between(x, mean - half, mean + half, color=color, alpha=0.15, lw=0)
        panel.set_xlabel({"lam": "λ", "k": "k"}[parameter])
        _, words, unit = MEASURES[_measure(shown, names[0])]
        panel.set_title(f"{words}, {unit}", fontsize=8)
        if parameter == "k":
            panel.set_xscale("log")
    if len(learned) > 1:
        np.ravel(axes)[0].legend(frameon=False, fontsize=8)
    return figure


def _along(found: Found, column: str, parameter: str) -> Iterable[tuple[float, float, float]]:
    """A parameter's value, the mean, and half of its 95% interval, for each row that varies it."""
    for cell, result in found:
        params = result.entry.params
        other = {"lam": "k", "k": "lam"}[parameter]
        value = params.get(parameter)
        if parameter == "k" and params.get("lam") == 0.5:  # the paper's lambda, its k of 400
            value, other = 400, ""
        if cell.column == column and value is not None and other not in params:
            n = len(cell.ours)
            half = 0.0 if n < 2 else 1.96 * cell.sd / math.sqrt(n)
            yield float(value), cell.mean, half


def classes(shown: Shown, theme: Theme) -> Any:
    """Figures 2c and 5: how many picks each class has, mean of all draws; a panel for each row."""
    rows = {cell.row.name: of for cell, of in shown.found()}
    columns = min(4, len(rows))
    lines = math.ceil(len(rows) / columns)
    figure, axes = new_figure(lines, columns, width=2.4 * columns, height=1.7 * lines + 0.3)
    flat = list(np.ravel(axes))
    pools = {pool.dataset: pool for pool in shown.pools}
    counts = {name: class_counts(shown, pools[of.dataset.name], of) for name, of in rows.items()}
    top = max(float(np.max(own)) for own in counts.values())
    for panel, (name, own) in zip(flat, counts.items(), strict=False):
        panel.bar(range(len(own)), own, color=theme.colors[0])
        panel.axhline(own.mean(), color=theme.ink, lw=0.8, ls="--")
        panel.set_title(name, fontsize=8)
        panel.set_ylim(0, 1.05 * top)
        panel.set_xticks([])
    for panel in flat[len(rows) :]:
        panel.set_visible(False)
    figure.supxlabel("classes, the most frequent among the picks first", fontsize=8)
    figure.supylabel("picks, mean of draws", fontsize=8)
    return figure


def class_counts(shown: Shown, pool: Pool, of: Result) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Picks of the most frequent class, the second, ..., [C]; mean over the draws."""
    found = []
    for seed in range(shown.plan.seeds):
        line = shown.ledger.selections.get(selection_key(pool, seed, of.budget, of.entry))
        if line is not None:
            own = pool.classes[pool.rows(seed)[0]][line["picks"]]
            found.append(np.sort(np.bincount(own, minlength=len(pool.names)))[::-1])
    return np.asarray(np.mean(found, axis=0))


def budgets(shown: Shown, theme: Theme) -> Any:
    """Figures 2a and 4: accuracy against labels; the paper's numbers as hollow rings."""
    figure, panel = new_figure(1, 1, width=6.0, height=3.4)
    found = {(cell.row.name, cell.column): of for cell, of in shown.found()}
    lines: dict[str, list[tuple[int, float, float]]] = {}
    for cell in shown.cells:
        of = found.get((cell.row.name, cell.column))
        said = {**cell.row.where, **shown.recipe.columns[cell.column]}.get("budget")
        budget = said if of is None else of.budget
        if budget is not None and cell.measure not in OF_PICKS:
            name = cell.row.name.split(",")[0]
            lines.setdefault(name, []).append((int(budget), cell.mean, cell.paper))
    for place, (name, points) in enumerate(lines.items()):
        again, place = divmod(place, len(theme.colors))
        color, (line, mark) = theme.colors[place], ROUNDS[again % len(ROUNDS)]
        x, own, paper = map(np.array, zip(*sorted(points), strict=True))
        panel.plot(x, own, line, color=color, label=name, **{**POINTS, "marker": mark})
        panel.plot(x, paper, mark, color=color, mfc="none", ms=7)
    panel.set_xscale("log")
    ticks = sorted({budget for points in lines.values() for budget, *_ in points})
    panel.set_xticks(ticks, [f"{budget:,}" for budget in ticks])
    panel.minorticks_off()
    panel.set_xlabel("labels (rings: the paper's numbers)")
    panel.set_ylabel("accuracy, %")
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return figure


def _measure(shown: Shown, column: str) -> str:
    return str(shown.recipe.columns[column].get("figure", "test"))


PLOTS: dict[str, Callable[[Shown], Callable[[Theme], Any]]] = {
    "parameters": lambda shown: partial(parameters, shown),
    "classes": lambda shown: partial(classes, shown),
    "budgets": lambda shown: partial(budgets, shown),
    "pictures": pictures,
    "plane": plane,
}
