"""The table of a reproduction as Markdown and CSV."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from usl.benchmarking.page import markdown_table, pool_table
from usl.benchmarking.pools import Pool
from usl.benchmarking.reproduction.comparison import (
    Cell,
    gain_text,
    header_of,
    text_of,
)
from usl.benchmarking.reproduction.measures import OF_PICKS
from usl.benchmarking.reproduction.recipe import Recipe
from usl.core.files import atomic_write
from usl.core.version import __version__

PAGE, SHEET = "results.md", "results.csv"
READ = (
    "Each cell: the paper's number / ours ± sd (draws) / difference. A dash: no number in the "
    "paper, or not run at this scale."
)
SHEET_HEADER = (
    *("row", "column", "figure", "paper", "paper_sd", "ours", "sd", "n", "difference"),
    *("over", "gain", "gain_low", "gain_high", "why"),
)


def table(recipe: Recipe, cells: Sequence[Cell]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table, as texts, without columns that have no number at all."""
    columns = [
        name
        for name in recipe.columns
        if any(cell.ours or not math.isnan(cell.paper) for cell in cells if cell.column == name)
    ]
    rows: dict[str, list[str]] = {}
    for cell in cells:
        if cell.column in columns:
            rows.setdefault(cell.row.name, [cell.row.shown]).append(text_of(cell))
    return ["", *header_of(recipe, columns)], list(rows.values())


def gain_table(recipe: Recipe, cells: Sequence[Cell]) -> tuple[list[str], list[list[str]]]:
    """What every row gains over the recipe's base, in columns of learners that we have run.

    Without rows where there is no base, or no number of ours.
    """
    base = {cell.column: cell for cell in cells if cell.row.name == recipe.base and cell.ours}
    columns = [name for name, cell in base.items() if cell.measure not in OF_PICKS]
    rows: dict[str, list[str]] = {}
    for cell in cells:
        if cell.row.name != recipe.base and cell.column in columns:
            own = rows.setdefault(cell.row.name, [cell.row.shown])
            own.append(gain_text(cell, base[cell.column]))
    return ["", *columns], list(rows.values())


def footnotes(recipe: Recipe, preset: str) -> list[str]:
    """What has to be known to read the table, a line each."""
    marks = [f"{mark} {text}." for mark, text in recipe.marks.items()]
    return [f"{preset}: {recipe.says.get(preset, '')}", f"Paper: {recipe.protocol}", *marks]


def write_results(
    recipe: Recipe, preset: str, cells: Sequence[Cell], pools: Sequence[Pool],
    pictures: Sequence[Path], out: Path,
) -> None:  # fmt: skip
    """Write the page and the sheet, each whole or not at all."""
    lines = [f"# {recipe.label}: {recipe.title}", "", *markdown_lines(footnotes(recipe, preset))]
    lines += ["", f"usl {__version__}. {READ}", ""]
    lines += markdown_table(*table(recipe, cells))
    header, gains = gain_table(recipe, cells)
    if gains:
        lines += ["", f"Over *{recipe.base}*: paper / ours [95% interval of paired draws].", ""]
        lines += markdown_table(header, gains)
    for picture in pictures:
        lines += ["", f"![{recipe.label}]({picture.name})"]
    lines += ["", *pool_table(pools)]
    with atomic_write(out / PAGE, "w") as handle:
        handle.write("\n".join(lines) + "\n")
    with atomic_write(out / SHEET, "w") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(SHEET_HEADER)
        base = {cell.column: cell for cell in cells if cell.row.name == recipe.base}
        writer.writerows(_sheet_row(cell, base.get(cell.column)) for cell in cells)


def markdown_lines(lines: Sequence[str]) -> list[str]:
    """Each a line of its own on the page."""
    return [f"{line}\\" for line in lines[:-1]] + list(lines[-1:])


def _sheet_row(cell: Cell, base: Cell | None) -> list[object]:
    gain = None if base is None or base is cell else cell.over(base)
    over = "" if gain is None or base is None else base.row.name
    gains = ["", "", ""] if gain is None else [gain.mean, gain.low, gain.high]
    numbers = [cell.paper, cell.paper_sd, cell.mean, cell.sd]
    texts = [_text(number) for number in numbers]
    difference = _text(cell.mean - cell.paper)
    about = [cell.row.name, cell.column, cell.measure]
    return [*about, *texts, len(cell.ours), difference, over, *map(_text, gains), cell.why]


def _text(number: float | str) -> str:
    return number if isinstance(number, str) else "" if math.isnan(number) else f"{number:.4f}"
