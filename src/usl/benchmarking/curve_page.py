"""Results of a plan with rounds: tables of areas and of every round, rows, and plots."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from usl.benchmarking.curve_table import after_rounds, whole_curves
from usl.benchmarking.ledger import Ledger
from usl.benchmarking.outcome import Benchmark
from usl.benchmarking.page import (
    PAGE,
    ROWS,
    by_learner,
    cell_table,
    gains_over,
    headline,
    interval,
    markdown_table,
    pool_table,
    unfinished,
)
from usl.benchmarking.plan_values import CLASSES
from usl.benchmarking.plots import plot_curves, plot_gains, plot_ranks
from usl.benchmarking.pools import TEST_MOST
from usl.benchmarking.rounds import FIGURES
from usl.benchmarking.summary import Cell, Table, over_cells, spreads, standings
from usl.core.files import atomic_write
from usl.core.version import __version__
from usl.data.formulas import guarded
from usl.evaluation.compare import Estimate, paired_difference

CURVES = "curves.csv"
COLUMNS = ("labels", *FIGURES, "coverage", "balance", "seconds", "fit_seconds")


def write_curve_page(found: Benchmark, ledger: Ledger) -> None:
    """Write all of it into the benchmark's folder, each file whole or not at all."""
    _write_rows(found, ledger)
    if not found.table.cells:
        return
    rounds = after_rounds(found.plan, found.pools, ledger)
    _write_curves(found, rounds)
    plots = [plot_ranks(found.standings, found.out / "ranks.svg")]
    for learner in dict.fromkeys(cell.learner for cell in rounds.cells):
        own = rounds.of_learner(learner)
        ranked = standings(found.table.of_learner(learner), found.reference)
        plots.append(plot_curves(own, found.reference, ranked, found.out / f"{learner}.svg"))
        path = found.out / f"{learner}-gains.svg"
        plots.append(plot_gains(own, found.reference, ranked, path, log=False))
    with atomic_write(found.out / PAGE, "w") as handle:
        handle.write("\n".join(_page(found, rounds, plots)) + "\n")


def _page(found: Benchmark, rounds: Table, plots: list[Path]) -> list[str]:
    plan, table, reference = found.plan, found.table, found.reference
    lines = [f"# {plan.name}", "", *_protocol(found), ""]
    lines += ["## All data sets", "", *_standings(found, table), ""]
    lines += [f"![Average rank of each strategy with its 95% interval]({plots[0].name})", ""]
    if plan.leave_out and (rest := table.without(plan.leave_out)).cells:
        lines += [f"## Without {' and '.join(plan.leave_out)}", "", *_standings(found, rest), ""]
    learners = list(dict.fromkeys(cell.learner for cell in table.cells))
    if len(learners) > 1:
        lines += ["## By learner", "", *by_learner(table, reference, learners), ""]
    for place, learner in enumerate(learners):
        curves, gains = plots[1 + 2 * place : 3 + 2 * place]
        lines += [f"## {learner}", "", f"![Accuracy against labels]({curves.name})", ""]
        lines += [f"![Gain over {reference} against labels]({gains.name})", ""]
        for cell in table.of_learner(learner).cells:
            lines += [*_areas(found, cell), ""]
            name = cell.dataset, cell.encoder, learner
            own = [c for c in rounds.cells if (c.dataset, c.encoder, c.learner) == name]
            lines += [*cell_table(rounds, own), ""]
    return lines


def _protocol(found: Benchmark) -> list[str]:
    """What was measured, in words and one table."""
    plan, rounds = found.plan, found.plan.rounds
    assert rounds is not None
    start = rounds.start.name + (f" {dict(rounds.start.params)}" if rounds.start.params else "")
    lines = [
        f"usl {__version__}. Every seed draws {100 * plan.share:g}% of the pool and labels a start "
        f"that {start} picks, the same for all strategies; then {rounds.rounds} rounds, after each "
        "of which the learner is trained anew on all labels. Accuracy, in per cent, is that on the "
        f"test subset (at most {TEST_MOST:,} images), or, where there is none, on what the draw "
        "left. The area is the mean accuracy over the rounds after the start.",
        "Mean ± standard deviation over seeds; differences are paired; [ ] are 95% bootstrap "
        "intervals (over data sets, then seeds, where there are several data sets). Ranks: 1 is "
        "best, by area, averaged over learners within a data set, then over data sets. "
        "Seconds are the median of a query on one core; coverage and balance are those of all "
        "labels in the end.",
        "",
        *pool_table(found.pools),
        *unfinished(found),
    ]
    size, batch = (_words(n) for n in (rounds.size, rounds.batch))
    return [*lines, "", f"Labels of the start: {size}; of each round: {batch}."]


def _words(labels: int | str) -> str:
    return "as many as there are classes" if labels == CLASSES else str(labels)


def _standings(found: Benchmark, table: Table) -> list[str]:
    """The table of standings, with the differences to the rival where there is one."""
    gains = gains_over(found.plan.rival, table)
    return headline(standings(table, found.reference), found.reference, figure="area", rival=gains)


def _areas(found: Benchmark, cell: Cell) -> list[str]:
    """Areas of one cell, the best first, with paired differences over its seeds."""
    methods = found.table.methods
    others = [m for m in (found.reference, found.plan.rival) if m in methods]
    rows = []
    spread = spreads(cell)
    for row in np.argsort(-cell.test.mean(axis=1), kind="stable"):
        gains = [
            ""
            if methods[row] == other
            else interval(paired_difference(cell.test[row], cell.test[place]), "+.1f", 100)
            for other, place in ((o, methods.index(o)) for o in others)
        ]
        mean = f"{100 * cell.test[row].mean():.1f} ± {100 * spread[row]:.1f}"
        name = methods[row] + (" (oracle)" if found.table.oracle[row] else "")
        rows.append([name, mean, *gains])
    title = f"**{cell.dataset}**, {cell.encoder}, {len(cell.seeds)} seeds"
    return markdown_table([title, "area", *(f"over {other}" for other in others)], rows)


def _write_rows(found: Benchmark, ledger: Ledger) -> None:
    """One line per round: what was asked, what it took, and what the learner is worth after it."""
    with atomic_write(found.out / ROWS, "w") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        about = ["dataset", "encoder", "learner", "strategy", "seed", "round"]
        writer.writerow([*about, *COLUMNS, "picks"])
        for pool, learner, entry, seed, lines in whole_curves(found.plan, found.pools, ledger):
            names = (pool.dataset, pool.encoder, learner.name, entry.name)
            told = [guarded(name) for name in names]
            for line in lines:
                values = [line[column] for column in COLUMNS]
                picks = " ".join(map(str, line["picks"]))
                writer.writerow([*told, seed, line["round"], *values, picks])


def _write_curves(found: Benchmark, rounds: Table) -> None:
    """The mean of every strategy after every round, with intervals; fractions."""
    base = rounds.methods.index(found.reference)
    with atomic_write(found.out / CURVES, "w") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        bounds = ("accuracy", "low", "high")
        over = [f"over_{found.reference}", "over_low", "over_high"]
        about = ["dataset", "encoder", "learner", "strategy", "labels", "seeds"]
        writer.writerow([*about, *bounds, "sd", *over])
        for cell in rounds.cells:
            alone = Table(rounds.methods, rounds.oracle, (cell,))
            means = over_cells(alone, lambda values: values)
            gains = over_cells(alone, lambda values: values - values[base])
            for name, mean, gain, sd in zip(
                rounds.methods, means, gains, spreads(cell), strict=True
            ):
                texts = map(guarded, (cell.dataset, cell.encoder, cell.learner, name))
                figures = [*_bounds(mean), f"{sd:.6f}", *_bounds(gain)]
                writer.writerow([*texts, cell.budget, len(cell.seeds), *figures])


def _bounds(estimate: Estimate) -> list[str]:
    return [f"{value:.6f}" for value in (estimate.mean, estimate.low, estimate.high)]
