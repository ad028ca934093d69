"""Statistics of learning curves: the area under each, and the accuracy after each round.

The *area* is the mean accuracy over the rounds after the start, which all strategies share; with
batches of one size that is the area under the curve over its width. Only curves that are whole
count, and of a cell (a data set, an encoder and a learner) only the seeds on which
every strategy has one. Ranks, differences and intervals are those of
:mod:`usl.benchmarking.summary`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from usl.benchmarking.entries import Entry
from usl.benchmarking.ledger import Ledger, Line
from usl.benchmarking.plan import Plan
from usl.benchmarking.pools import Pool
from usl.benchmarking.rounds import curve_key
from usl.benchmarking.summary import Cell, Table

CurveLines = list[Line]
Points = Callable[[CurveLines], list[tuple[int, float]]]


def areas(plan: Plan, pools: Iterable[Pool], ledger: Ledger, figure: str = "test") -> Table:
    """The area under every curve; a strategy without a single whole curve is left out.

    ``budget`` of a cell is the size of the start. The figures of a strategy are coverage and
    balance of all labels in the end, and the seconds of each query.
    """
    return _table(plan, pools, ledger, lambda lines: [_area(lines, figure)])


def after_rounds(plan: Plan, pools: Iterable[Pool], ledger: Ledger, figure: str = "test") -> Table:
    """The accuracy after every round, on the same curves; ``budget`` is the labels until then."""
    return _table(plan, pools, ledger, lambda lines: [(i["labels"], i[figure]) for i in lines])


def whole_curves(
    plan: Plan, pools: Iterable[Pool], ledger: Ledger
) -> Iterator[tuple[Pool, Entry, Entry, int, CurveLines]]:
    """Pool, learner, strategy, seed and lines of every whole curve, in this order."""
    assert plan.rounds is not None
    for pool in pools:
        for learner in plan.learners:
            for entry in plan.methods:
                for seed in range(plan.seeds):
                    key = curve_key(plan.rounds, pool, seed, entry, learner)
                    lines = ledger.curve(key)[: plan.rounds.rounds + 1]
                    if len(lines) > plan.rounds.rounds:
                        yield pool, learner, entry, seed, lines


def _area(lines: CurveLines, figure: str) -> tuple[int, float]:
    """Labels of the start, and the mean of a figure over the rounds after it."""
    return lines[0]["labels"], float(np.mean([line[figure] for line in lines[1:]]))


def _table(plan: Plan, pools: Iterable[Pool], ledger: Ledger, points: Points) -> Table:
    """A table with a cell for each of a curve's points (labels, value)."""
    cells: dict[tuple[str, str, str], dict[str, dict[int, CurveLines]]] = {}
    figures: dict[str, list[tuple[float, float, float]]] = {}
    for pool, learner, entry, seed, lines in whole_curves(plan, pools, ledger):
        cell = cells.setdefault((pool.dataset, pool.encoder, learner.name), {})
        cell.setdefault(entry.name, {})[seed] = lines
        last = lines[-1]["coverage"], lines[-1]["balance"]
        figures.setdefault(entry.name, []).extend((*last, line["seconds"]) for line in lines[1:])
    entries = [entry for entry in plan.methods if entry.name in figures]
    names = tuple(entry.name for entry in entries)
    found = []
    for (dataset, encoder, learner_name), curves in cells.items():
        seeds = [set(curves.get(name, {})) for name in names]
        common = tuple(sorted(set.intersection(*seeds)))
        if common:
            values = np.array([[points(curves[n][s]) for s in common] for n in names], dtype=float)
            for place in range(values.shape[2]):
                labels, own = int(values[0, 0, place, 0]), values[:, :, place, 1]
                found.append(Cell(dataset, encoder, labels, learner_name, common, own))
    tables = {name: np.array(rows) for name, rows in figures.items()}
    oracle = np.array([entry.is_oracle() for entry in entries], dtype=bool)
    return Table(names, oracle, tuple(found), tables)
