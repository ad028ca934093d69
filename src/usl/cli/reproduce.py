"""Make a table or figure of the paper again, its numbers beside ours; without a name, list all."""

from __future__ import annotations

import math
from typing import Any

from usl.benchmarking.outcome import check_outcome
from usl.benchmarking.reproduction.page import PAGE, READ, footnotes, gain_table
from usl.benchmarking.reproduction.page import table as table_of
from usl.benchmarking.reproduction.reproduce import (
    plan_reproduction,
    printed,
    recipes,
)
from usl.benchmarking.reproduction.reproduce import reproduce as run
from usl.cli.options import verb
from usl.cli.shared import DryRun, Json
from usl.console import bars, note, print_json, print_table, say
from usl.core.words import counted, verb_for


@verb(run)
def reproduce(
    table: str | None = None, /, *, dry_run: DryRun = False, json: Json = False, **options: Any
) -> None:
    """Print the table: the paper's numbers, ours, and the difference."""
    if table is None:
        list_recipes(as_json=json)
        return
    if (constants := printed(table)) is not None:
        title, header, rows = constants
        if json:
            print_json({"title": title, "rows": [dict(zip(header, r, strict=True)) for r in rows]})
            return
        say(f"{title} (the code's own constants)")
        print_table(header, rows)
        return
    if dry_run:
        asked = {key: options[key] for key in ("preset", "only", "data") if key in options}
        show_plan(plan_reproduction(table, **asked), as_json=json)
        return
    with bars() as progress:
        found = run(table, **options, progress=progress)
    recipe, cells = found.recipe, found.cells
    if json:
        print_json({"table": recipe.name, "preset": found.preset, "cells": [
            {"row": cell.row.name, "column": cell.column, "figure": cell.measure,
             "paper": _json(cell.paper), "ours": _json(cell.mean), "sd": _json(cell.sd),
             "n": len(cell.ours), "why": cell.why}
            for cell in cells
        ]})  # fmt: skip
    else:
        say(f"{recipe.label}: {recipe.title}")
        for line in footnotes(recipe, found.preset):
            say(line)
        say(READ)
        print_table(*table_of(recipe, cells))
        header, gains = gain_table(recipe, cells)
        if gains:
            say()
            say(f"Over {recipe.base}: paper / ours [95% interval of paired draws].")
            print_table(header, gains)
        say(f"Written: {found.out / PAGE}")
    check_outcome(found.benchmark)
    if left := found.benchmark.left:
        are = verb_for(left, "is", "are")
        note(f"{counted(left, 'draw')} {are} left; the same command goes on.")


def list_recipes(*, as_json: bool) -> None:
    """All tables and figures, a line each."""
    found = recipes()
    if as_json:
        print_json(found)
        return
    rows = [[one["name"], one["title"], one["cpu"], one["full"]] for one in found]
    print_table(["table", "what", "cpu", "full"], rows)


def show_plan(plan: dict[str, Any], *, as_json: bool) -> None:
    """What would be done, row by row."""
    if as_json:
        print_json(plan)
        return
    say(f"Nothing is done; this is the plan of {plan['table']}, {plan['preset']}: {plan['title']}")
    say(plan["says"])
    say(f"Cost: {plan['cost']}, {counted(plan['draws'], 'draw')}")
    for where in plan["data"].values():
        say(f"Data: {where}")
    rows = []
    for name, row in plan["rows"].items():
        missing = [f"{why}: {', '.join(columns)}" for why, columns in row["not_run"].items()]
        rows += [[name if place == 0 else "", text] for place, text in enumerate(row["runs"])]
        rows += [["" if row["runs"] else name, text] for text in missing]
    print_table(["row", "runs"], rows)


def _json(number: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(number) else number
