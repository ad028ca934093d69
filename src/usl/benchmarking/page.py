"""Results of a benchmark as Markdown, CSV and plots."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from usl.benchmarking.keys import entry_key, selection_key
from usl.benchmarking.learners import learner_rows, write_scores
from usl.benchmarking.ledger import Ledger
from usl.benchmarking.outcome import Benchmark
from usl.benchmarking.plan import Plan
from usl.benchmarking.plots import plot_gains, plot_ranks
from usl.benchmarking.pools import TEST_MOST, Pool
from usl.benchmarking.summary import Cell, Standing, Table, collect, spreads, standings
from usl.core.files import atomic_write
from usl.core.version import __version__
from usl.data.formulas import guarded
from usl.evaluation.compare import Estimate

PAGE, ROWS = "results.md", "rows.csv"


def write_page(found: Benchmark, ledger: Ledger) -> None:
    """Write all of it into the benchmark's folder, each file whole or not at all."""
    _write_rows(found, ledger)
    write_scores(found.plan, found.pools, ledger, found.out)
    if not found.table.cells:
        return
    plots = [plot_ranks(found.standings, found.out / "ranks.svg")]
    for learner in dict.fromkeys(cell.learner for cell in found.table.cells):
        own = found.table.of_learner(learner)
        plots.append(
            plot_gains(own, found.reference, found.standings, found.out / f"{learner}.svg")
        )
    with atomic_write(found.out / PAGE, "w") as handle:
        handle.write("\n".join(_page(found, ledger, plots)) + "\n")


def _page(found: Benchmark, ledger: Ledger, plots: list[Path]) -> list[str]:
    plan, table = found.plan, found.table
    lines = [f"# {plan.name}", "", *_protocol(plan, found.pools, found), ""]
    lines += ["## All data sets", "", *_standings(found, table), ""]
    lines += [f"![Average rank of each method with its 95% interval]({plots[0].name})", ""]
    if plan.leave_out and (rest := table.without(plan.leave_out)).cells:
        lines += [f"## Without {' and '.join(plan.leave_out)}", ""]
        lines += [*_standings(found, rest), ""]
    for seeds in plan.fewer_seeds():
        few = collect(plan.of_seeds(seeds), found.pools, ledger)
        if few.cells and found.reference in few.methods:
            lines += [f"## On the first {seeds} draws", ""]
            lines += [*_standings(found, few), ""]
    learners = list(dict.fromkeys(cell.learner for cell in table.cells))
    if len(learners) > 1:
        lines += ["## By learner", "", *by_learner(table, found.reference, learners), ""]
        lines += _learners(found, ledger)
    for learner, plot in zip(learners, plots[1:], strict=True):
        lines += [f"## {learner}", "", f"![Gain over {found.reference}]({plot.name})", ""]
        own = table.of_learner(learner).cells
        for name in dict.fromkeys((cell.dataset, cell.encoder) for cell in own):
            cells = [cell for cell in own if (cell.dataset, cell.encoder) == name]
            lines += [*cell_table(table, cells), ""]
    return lines


def _protocol(plan: Plan, pools: tuple[Pool, ...], found: Benchmark) -> list[str]:
    """What was measured, in words and one table."""
    lines = [
        f"usl {__version__}. Every seed draws {100 * plan.share:g}% of the pool, the same for all "
        "methods; the space is fitted on the draw. Accuracy, in per cent, is that on the test "
        f"subset (at most {TEST_MOST:,} images), or, where there is none, on what the draw left.",
        "Mean ± standard deviation over seeds; differences are paired; [ ] are 95% bootstrap "
        "intervals (over data sets, then seeds, where there are several data sets). Ranks: 1 is "
        "best, averaged over budgets and learners within a data set, then over data sets.",
        "",
    ]
    return [*lines, *pool_table(pools), *strategies(plan), *networks(plan), *unfinished(found)]


def _standings(found: Benchmark, table: Table) -> list[str]:
    """The table of standings, with the differences to the rival where there is one."""
    return headline(
        standings(table, found.reference),
        found.reference,
        rival=gains_over(found.plan.rival, table),
    )


def gains_over(rival: str | None, table: Table) -> tuple[str, dict[str, Estimate]] | None:
    """A rival's name, and what every method gains over it; None where the table has it not."""
    if rival not in table.methods:
        return None
    return rival, {s.method: s.gain for s in standings(table, rival)}


def strategies(plan: Plan) -> list[str]:
    """How the strategies among the methods come to their labels."""
    ways: dict[str, list[str]] = {}
    for entry in plan.methods:
        if entry.asking is not None:
            ways.setdefault(str(entry.asking), []).append(entry.name)
    rows = [[", ".join(names), way] for way, names in ways.items()]
    return ["", *markdown_table(["strategies", "their labels"], rows)] if rows else []


def networks(plan: Plan) -> list[str]:
    """What the learners are that train a network, and the encoders that the plan trains."""
    trained = [entry for entry in plan.learners if entry.network]
    rows = [[entry.name, str(entry)] for entry in (*trained, *plan.pretrained)]
    return ["", *markdown_table(["network", "its training"], rows)] if rows else []


def pool_table(pools: Iterable[Pool]) -> list[str]:
    """What each pool is, and how large."""
    rows = []
    for pool in pools:
        drawn, test = (f"{len(part):,}" for part in pool.rows(0))
        name = pool.dataset + ("" if pool.imbalance is None else f", imbalance {pool.imbalance:g}")
        rows.append([name, pool.encoder, pool.supervision, drawn, len(pool.names), test])
    header = ["data set", "encoder", "supervision", "draw", "classes", "tested on"]
    return markdown_table(header, rows)


def unfinished(found: Benchmark) -> list[str]:
    """What a plan asks for and the tables do not have."""
    lines = []
    whole = found.plan.of_seeds(found.plan.seeds).methods
    missing = {entry.name for entry in whole} - set(found.table.methods)
    if missing:
        lines += ["", f"**Without a result: {', '.join(sorted(missing))}.**"]
    if found.left:
        lines += ["", f"**Not finished: {found.left} draws are left.**"]
    return lines


def markdown_table(header: Iterable[object], rows: Iterable[Iterable[object]]) -> list[str]:
    """The lines of a table."""
    head, *body = ("| " + " | ".join(map(str, row)) + " |" for row in (header, *rows))
    return [head, "|---" * len(list(header)) + "|", *body]


def headline(
    ranked: list[Standing],
    reference: str,
    *,
    figure: str = "accuracy",
    rival: tuple[str, dict[str, Estimate]] | None = None,
) -> list[str]:
    """The table of standings; ``rival``: its name, and what each method gains over it."""
    over = {reference: {s.method: s.gain for s in ranked}}
    over |= {} if rival is None else dict([rival])
    shown = [*(f"over {name}" for name in over), "sd over seeds", "coverage", "balance", "seconds"]
    rows = [
        [
            s.method,
            rank_text(s),
            f"{100 * s.accuracy.mean:.1f}",
            *(
                "" if s.method == name else interval(gains[s.method], "+.1f", 100)
                for name, gains in over.items()
            ),
            f"{100 * s.spread:.1f}",
            f"{100 * s.coverage:.0f}%",
            f"{s.balance:.3f}",
            "" if np.isnan(s.seconds) else f"{s.seconds:.2f}",
        ]
        for s in ranked
    ]
    return markdown_table(["method", "average rank", figure, *shown], rows)


def rank_text(standing: Standing) -> str:
    """The average rank with its interval, or that the method is an oracle."""
    return "oracle" if np.isnan(standing.rank.mean) else interval(standing.rank, ".2f")


def interval(estimate: Estimate, spec: str, factor: float = 1) -> str:
    """``mean [low, high]``; the mean alone where nothing could be resampled."""
    mean, low, high = (
        format(factor * x, spec) for x in (estimate.mean, estimate.low, estimate.high)
    )
    return mean if estimate.low == estimate.high else f"{mean} [{low}, {high}]"


def short(standing: Standing) -> str:
    """The average rank by itself."""
    return "oracle" if np.isnan(standing.rank.mean) else f"{standing.rank.mean:.1f}"


def by_learner(table: Table, reference: str, learners: list[str]) -> list[str]:
    """Average rank, and gain over the reference, for each learner by itself."""
    ranked = {
        learner: {s.method: s for s in standings(table.of_learner(learner), reference)}
        for learner in learners
    }
    mean = {m: np.mean([ranked[name][m].rank.mean for name in learners]) for m in table.methods}
    rows = [
        [
            method,
            *(
                f"{short(ranked[name][method])} ({100 * ranked[name][method].gain.mean:+.1f})"
                for name in learners
            ),
        ]
        for method in sorted(table.methods, key=lambda m: (np.isnan(mean[m]), mean[m]))
    ]
    words = f"Average rank, and points over {reference}."
    return [words, "", *markdown_table(["method", *learners], rows)]


def _learners(found: Benchmark, ledger: Ledger) -> list[str]:
    """The learners themselves, on the same picks."""
    header, rows = learner_rows(found.plan, found.pools, ledger)
    if not rows:
        return []
    words = (
        "Learners on the same picks, over all data sets, budgets and methods, on the draws that "
        "all of them have; in per cent. *Pool's classes*: every class as frequent as in the draw. "
        "*Balanced*: mean recall. Both, macro-F1 and the accuracy are of the test items. The "
        "calibration error (15 bins of equal mass) and the surer half are of the unlabelled items."
    )
    return ["## Learners", "", words, "", *markdown_table(header, rows), ""]


def cell_table(table: Table, cells: list[Cell]) -> list[str]:
    """Mean ± sd of every method at every budget of one data set and encoder.

    The best is in bold; an oracle cannot be.
    """
    title = f"**{cells[0].dataset}**, {cells[0].encoder}"
    columns = []
    for cell in cells:
        texts = [
            f"{100 * own.mean():.1f} ± {100 * spread:.1f}"
            for own, spread in zip(cell.test, spreads(cell), strict=True)
        ]
        best = np.where(table.oracle, -1, cell.test.mean(axis=1)).argmax()
        texts[best] = f"**{texts[best]}**"
        columns.append([*texts, len(cell.seeds)])
    rows = zip([*table.methods, "seeds"], *columns, strict=True)
    return markdown_table([title, *(f"{cell.budget} labels" for cell in cells)], rows)


def _write_rows(found: Benchmark, ledger: Ledger) -> None:
    """One line per selection, with the test accuracy of every learner."""
    plan = found.plan
    learners = [(entry_key(learner), learner.name) for learner in plan.learners]
    with atomic_write(found.out / ROWS, "w") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        shown = ["dataset", "encoder", "budget", "method", "seed", "seconds", "coverage", "balance"]
        writer.writerow([*shown, *(guarded(name) for _, name in learners)])
        for pool in found.pools:
            for budget in pool.budgets:
                for entry in plan.methods:
                    for seed in range(plan.seeds):
                        key = selection_key(pool, seed, budget, entry)
                        line = ledger.selections.get(key)
                        if line is not None:
                            scores = (ledger.scores.get((key, k)) for k, _ in learners)
                            tests = ["" if s is None else s["test"] for s in scores]
                            # the plan's names: a row may have been made under another one
                            names = {"dataset": pool.dataset, "method": entry.name}
                            known = {**line, **names}
                            cells = [known[name] for name in shown]
                            texts = [guarded(c) if isinstance(c, str) else c for c in cells]
                            writer.writerow([*texts, *tests])
