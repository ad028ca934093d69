"""Plots of a benchmark, as SVG: average ranks, and gains over the reference by budget.

And what all plots share: the style, figures without pyplot, and files in light and dark.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from usl.benchmarking.summary import Cell, Standing, Table, over_cells
from usl.core.files import atomic_write

# Colour-blind safe, in fixed order; methods beyond them are grey.
COLORS = ("#2a6fb0", "#d9772b", "#3a9b6b", "#b0407f", "#7a66c4", "#a8860f")
GREY, INK, LINE = "#b4bac2", "#333a42", "#d5d9de"
BEST: dict[str, Any] = {"lw": 1.6, "marker": "o", "ms": 3.5, "zorder": 3}  # over the frame
ORACLE: dict[str, Any] = {"color": INK, "lw": 0.9, "ls": "--", "marker": "o", "ms": 2, "zorder": 3}
OTHER: dict[str, Any] = {"color": GREY, "lw": 0.9, "ms": 3.5}
GROWTH: dict[str, Any] = {"lw": 1.2, "marker": "o", "ms": 3}
CURVE: dict[str, Any] = {"lw": 1.4, "zorder": 3}
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.5,
    "svg.hashsalt": "usl",  # the same file for the same numbers
    "svg.fonttype": "path",
}


@dataclass(frozen=True)
class Theme:
    """The colours of a page: of words and axes, of the grid, of what is not named, of the ground.

    ``colors`` are those of what is named, in fixed order.
    """

    ink: str
    line: str
    grey: str
    ground: str
    colors: tuple[str, ...]

    def style(self) -> dict[Any, Any]:
        """For matplotlib."""
        inks = {key: self.ink for key, value in STYLE.items() if value == INK}
        lines = {key: self.line for key, value in STYLE.items() if value == LINE}
        ground = {"figure.facecolor": self.ground, "axes.facecolor": self.ground}
        return {**STYLE, **inks, **lines, **ground, "savefig.facecolor": self.ground}


LIGHT = Theme(INK, LINE, GREY, "#ffffff", COLORS)
DARK = Theme(
    *("#d5dae0", "#3d444d", "#6b737d", "#14181d"),
    ("#6aa9e9", "#f0a05f", "#62c592", "#e07db3", "#a99af0", "#d1b03f"),
)


def save_themed(draw: Callable[[Theme], Any], path: Path) -> list[Path]:
    """Draw a figure on light and on dark ground, each as SVG and as PNG; ``path`` has no ending.

    Returns the files, the light SVG first: NAME.svg, NAME.png, NAME-dark.svg, NAME-dark.png.
    """
    import matplotlib as mpl

    files = []
    for theme, name in ((LIGHT, path.name), (DARK, f"{path.name}-dark")):
        with mpl.rc_context(theme.style()):
            figure = draw(theme)
            files.append(_save(figure, path.with_name(f"{name}.svg")))
            files.append(_save(figure, path.with_name(f"{name}.png")))
    return files


def plot_ranks(ranked: list[Standing], path: Path) -> Path:
    """A dot per method at its average rank, with the interval; the best at the top, no oracles."""
    with _styled():
        figure, axes = new_figure(1, 1, width=6.4, height=0.8 + 0.24 * len(ranked))
        ranked = [standing for standing in ranked if not math.isnan(standing.rank.mean)]
        places = np.arange(len(ranked))[::-1]
        for place, standing in zip(places, ranked, strict=True):
            rank = standing.rank
            axes.plot([rank.low, rank.high], [place, place], color=COLORS[0], lw=2, alpha=0.5)
            axes.plot([rank.mean], [place], "o", color=COLORS[0], ms=6)
        axes.set_yticks(places, [standing.method for standing in ranked])
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("average rank (1 is best), 95% interval")
        axes.set_xlim(0.8, len(ranked) + 0.2)
        return _save(figure, path)


def plot_gains(
    table: Table, reference: str, ranked: list[Standing], path: Path, *, log: bool = True
) -> Path:
    """A panel per data set: points gained over the reference against the budget, on a ``log`` axis.

    The best ``len(COLORS)`` methods by average rank are coloured, oracles dashed, the others grey.
    Where a grey line runs so far below the reference that it would flatten all others, the panel
    cuts it off and the axis says so.
    """
    oracles = [
        method
        for method, knows in zip(table.methods, table.oracle, strict=True)
        if knows and method != reference
    ]
    others = [s.method for s in ranked if s.method not in {reference, *oracles}]
    named = {
        method: {"label": method, "color": color, **BEST}
        for method, color in zip(others, COLORS, strict=False)
    }
    named |= {method: {"label": f"{method} (oracle)", **ORACLE} for method in oracles}
    unnamed = others[len(COLORS) :]
    base = table.methods.index(reference)
    cut = False
    with _styled():
        figure, panels, sets = _panels(table)
        for axes, cells in zip(panels, sets, strict=False):
            budgets = [cell.budget for cell in cells]
            axes.axhline(0, color=INK, lw=1)
            gains = {
                method: [100 * (c.test[row] - c.test[base]).mean() for c in cells]
                for row, method in enumerate(table.methods)
            }
            for method in reversed(unnamed):  # the best on top
                axes.plot(budgets, gains[method], marker="o" if len(budgets) == 1 else "", **OTHER)
            for method in reversed(named):
                axes.plot(budgets, gains[method], **named[method])
            hidden = [gain for method in unnamed for gain in gains[method]]
            low, high = gain_limits([g for method in named for g in gains[method]], hidden)
            cut |= min(hidden, default=low) < low
            margin = 0.05 * (high - low)
            axes.set_ylim(low - margin, high + margin)
            if log:
                axes.set_xscale("log")
                axes.set_xticks(budgets, [str(budget) for budget in budgets])
                axes.minorticks_off()
        _finish(figure, panels, len(sets), others=bool(unnamed))
        note = " (what is far below is cut off)" if cut else ""
        figure.supylabel(f"points over {reference}{note}", fontsize=9)
        return _save(figure, path)


def plot_curves(rounds: Table, reference: str, ranked: list[Standing], path: Path) -> Path:
    """A panel per data set: accuracy against labels, with its 95% interval over seeds.

    The best methods by average rank are coloured, the reference dashed, the others grey and without
    interval.
    """
    others = [s.method for s in ranked if s.method != reference]
    colored = dict(zip(others, COLORS, strict=False))
    with _styled():
        figure, panels, sets = _panels(rounds)
        for axes, cells in zip(panels, sets, strict=False):
            labels = [cell.budget for cell in cells]
            found = [over_cells(replace(rounds, cells=(c,)), lambda means: means) for c in cells]
            for method in reversed([reference, *others]):  # the best on top
                own = [estimates[rounds.methods.index(method)] for estimates in found]
                style = {"label": method, **ORACLE} if method == reference else OTHER
                if method in colored:
                    style = {"label": method, "color": colored[method], **CURVE}
                    band = [100 * e.low for e in own], [100 * e.high for e in own]
                    axes.fill_between(labels, *band, color=colored[method], alpha=0.12, lw=0)
                axes.plot(labels, [100 * e.mean for e in own], **style)
        _finish(figure, panels, len(sets), others=len(others) > len(COLORS))
        figure.supylabel("accuracy, per cent", fontsize=9)
        return _save(figure, path)


def plot_growth(
    curves: Sequence[tuple[str, Sequence[tuple[float, float]]]], path: Path, *, x: str, y: str
) -> Path:
    """Named curves of points (x, y) on two logarithmic axes; the first ones are coloured.

    A dotted line shows growth in proportion to x, through the last point of the first curve.
    """
    with _styled():
        figure, axes = new_figure(1, 1, width=6.4, height=3.8)
        for number, (name, points) in enumerate(curves):
            color = COLORS[number] if number < len(COLORS) else GREY
            axes.plot(*zip(*points, strict=True), color=color, label=name, **GROWTH)
        along = [at for at, _ in curves[0][1]]
        last_x, last_y = curves[0][1][-1]
        line = [last_y * at / last_x for at in along]
        axes.plot(along, line, ":", color=INK, lw=0.9, label=f"in proportion to {x}")
        axes.set(xscale="log", yscale="log", xlabel=x, ylabel=y)
        figure.legend(loc="outside right upper", frameon=False)
        return _save(figure, path)


def gain_limits(shown: list[float], hidden: list[float]) -> tuple[float, float]:
    """Lowest and highest gain of a panel.

    All of ``shown`` lies within, and 0; of ``hidden`` what is at most half as far down as the best
    is up.
    """
    high = max([*shown, *hidden, 0.0])
    low = min([*shown, 0.0])
    return max(min([*hidden, low]), min(low, -high / 2)), max(high, low + 1.0)


def _styled() -> Any:
    import matplotlib as mpl

    return mpl.rc_context(STYLE)


def new_figure(
    rows: int,
    columns: int,
    *,
    width: float,
    height: float,
    ratios: Sequence[float] | None = None,
) -> Any:
    """A figure without pyplot, which would keep it in a global list; ``ratios``: of its columns."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasSVG(figure)
    return figure, figure.subplots(rows, columns, width_ratios=ratios)


def _panels(table: Table) -> tuple[Any, Any, list[list[Cell]]]:
    """A figure with a panel for each data set, which names it; the panels, and the sets' cells."""
    sets: dict[tuple[str, str], list[Cell]] = {}
    for cell in table.cells:
        sets.setdefault((cell.dataset, cell.encoder), []).append(cell)
    columns = min(3, len(sets))
    rows = math.ceil(len(sets) / columns)
    figure, panels = new_figure(rows, columns, width=3.1 * columns + 1.4, height=2.5 * rows)
    flat = np.ravel(panels)
    for axes, (dataset, encoder) in zip(flat, sets, strict=False):
        axes.set_title(f"{dataset}\n{encoder}", fontsize=9)
    return figure, flat, list(sets.values())


def _finish(figure: Any, panels: Any, used: int, *, others: bool) -> None:
    """Hide the panels that are not used, and say what the lines are; drawn last, named first."""
    for axes in panels[used:]:
        axes.set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    handles, labels = handles[::-1], labels[::-1]
    if others:
        handles.append(panels[0].plot([], [], **OTHER)[0])
        labels.append("others")
    figure.legend(handles, labels, loc="outside right upper", frameon=False)
    figure.supxlabel("labels", fontsize=9)


def _save(figure: Any, path: Path) -> Path:
    """Write a figure in the format of the path's ending."""
    kind = path.suffix.removeprefix(".")
    details = {"metadata": {"Date": None}} if kind == "svg" else {"dpi": 150}
    with atomic_write(path) as handle:
        figure.savefig(handle, format=kind, **details)
    return path
