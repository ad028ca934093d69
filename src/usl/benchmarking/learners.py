"""Learners against each other: the same picks, every figure of a learner's guess.

A cell is a data set, an encoder, a budget and a selection method; otherwise all is as in
:mod:`usl.benchmarking.summary`, with learners in the methods' place. Rows of former versions have
the accuracy alone and take no part in the others.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from math import nan
from pathlib import Path

import numpy as np

from usl.benchmarking.keys import entry_key, selection_key
from usl.benchmarking.ledger import Ledger
from usl.benchmarking.plan import Plan
from usl.benchmarking.pools import Pool
from usl.benchmarking.summary import Cell, Table, over_cells, standings
from usl.core.files import atomic_write

SCORES = "learners.csv"
TEST = "test"
SHOWN = {  # figures of usl.evaluation.compare.learner_figures, and their words in the table
    "pooled": "accuracy, pool's classes",
    "balanced": "balanced accuracy",
    "macro_f1": "macro-F1",
    TEST: "accuracy on the test items",
    "calibration": "calibration error",
    "confident_half": "accuracy of the surer half",
}
WRITTEN = (TEST, "transductive", "pooled", "balanced", "macro_f1", "calibration", "confident_half")


def learner_table(plan: Plan, pools: Iterable[Pool], ledger: Ledger, figure: str = TEST) -> Table:
    """One figure of all learners, on the seeds that all of them have."""
    keys = [entry_key(learner) for learner in plan.learners]
    cells = []
    for pool in pools:
        for budget in pool.budgets:
            for entry in plan.methods:
                made = [selection_key(pool, s, budget, entry) for s in range(plan.seeds)]
                values = np.array(
                    [[ledger.scores.get((s, k), {}).get(figure, nan) for s in made] for k in keys]
                )
                whole = np.flatnonzero(np.isfinite(values).all(axis=0))
                if len(whole):
                    seeds = tuple(int(seed) for seed in whole)
                    cells.append(
                        Cell(pool.dataset, pool.encoder, budget, entry.name, seeds,
                             values[:, whole])
                    )  # fmt: skip
    names = tuple(learner.name for learner in plan.learners)
    return Table(names, np.zeros(len(names), dtype=bool), tuple(cells))


def learner_rows(
    plan: Plan, pools: Iterable[Pool], ledger: Ledger
) -> tuple[list[str], list[list[str]]]:
    """Header and rows of the table of learners, the best by balanced accuracy first.

    Without rows where the plan has one learner, or nothing was measured but the accuracy.
    """
    pools = list(pools)
    tables = {figure: learner_table(plan, pools, ledger, figure) for figure in SHOWN}
    if len(plan.learners) < 2 or not all(table.cells for table in tables.values()):
        return [], []
    base = plan.learners[0].name
    by = {
        figure: {s.method: s for s in standings(tables[figure], base)}
        for figure in ("pooled", "balanced")
    }
    mean = {figure: over_cells(table, lambda found: found) for figure, table in tables.items()}
    header = ["learner", "rank, pool's classes", "rank, balanced"]
    header += [f"over {base}, pool's classes", f"over {base}, balanced", *SHOWN.values()]
    rows = []
    for place, learner in enumerate(entry.name for entry in plan.learners):
        own = [by[figure][learner] for figure in ("pooled", "balanced")]
        gains = ["" if learner == base else
                 f"{100 * s.gain.mean:+.1f} [{100 * s.gain.low:+.1f}, {100 * s.gain.high:+.1f}]"
                 for s in own]  # fmt: skip
        ranks = [f"{s.rank.mean:.2f}" for s in own]
        shown = [f"{100 * mean[figure][place].mean:.1f}" for figure in SHOWN]
        rows.append([learner, *ranks, *gains, *shown])
    rows.sort(key=lambda row: by["balanced"][row[0]].rank.mean)
    return header, rows


def write_scores(plan: Plan, pools: Iterable[Pool], ledger: Ledger, out: Path) -> None:
    """One line per selection and learner, with every figure; empty where a row has none."""
    with atomic_write(out / SCORES, "w") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(["dataset", "encoder", "budget", "method", "seed", "learner", *WRITTEN])
        for pool in pools:
            for budget in pool.budgets:
                for entry in plan.methods:
                    for seed in range(plan.seeds):
                        key = selection_key(pool, seed, budget, entry)
                        about = [pool.dataset, pool.encoder, budget, entry.name, seed]
                        for learner in plan.learners:
                            line = ledger.scores.get((key, entry_key(learner)))
                            if line is not None:
                                figures = [line.get(name, "") for name in WRITTEN]
                                writer.writerow([*about, learner.name, *figures])
