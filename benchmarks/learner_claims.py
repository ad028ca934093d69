"""The figures that the documents quote of learners, out of the rows of `learners.toml`.

    python benchmarks/learner_claims.py

Ranks, means and intervals are those of ``usl benchmark``, with learners in the place of selection
methods: every data set counts the same, differences are paired within a draw, a budget and a
selection method, and the bootstrap draws data sets and then seeds.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from claims import of_pool, points, pools

from usl.benchmarking.summary import Cell, Table, over_cells, standings

ROWS = Path(__file__).parent / "results" / "learners" / "learners.csv"
OURS = "accord"
FEW = ("paws", "alpha_tim", "flexmatch_features")  # on the first draw alone
Row = dict[str, str]
FIGURES: dict[str, Callable[[Row], float]] = {
    "accuracy": lambda row: float(row["pooled"]),
    "balanced": lambda row: float(row["balanced"]),
    "mean": lambda row: (float(row["pooled"]) + float(row["balanced"])) / 2,
}


def main() -> None:
    """Print what is quoted."""
    with open(ROWS, newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    everybody = [name for name in dict.fromkeys(r["learner"] for r in rows) if name not in FEW]
    tables = {name: table(rows, everybody, figure) for name, figure in FIGURES.items()}
    print("## Ranks, means, and what ours is ahead by")
    found = {name: {s.method: s for s in standings(t, OURS)} for name, t in tables.items()}
    for name in everybody:
        own = [found[figure][name] for figure in FIGURES]
        told = [f"{s.rank.mean:.2f}, {100 * s.accuracy.mean:.1f}" for s in own]
        print(
            f"{name:18} {' | '.join(told)} | {' | '.join(ahead(t, name) for t in tables.values())}"
        )
    for name in FEW:
        print(f"{name:18} first draw | {ahead(table(rows, [OURS, name], FIGURES['mean']), name)}")
    print("\n## Against the learner that is best there on the other draws")
    for figure in ("accuracy", "balanced"):
        for pool in pools(tables[figure]):
            print(f"{figure:9} {' '.join(pool):42} {against_best(of_pool(tables[figure], pool))}")
    print("\n## Calibration error at 40 labels, or the nearest budget")
    sure = table(near_forty(rows), everybody, lambda row: float(row["calibration"]))
    worst = [
        [s.mean for s in over_cells(of_pool(sure, pool), lambda means: means)]
        for pool in pools(sure)
    ]
    for place, one in enumerate(over_cells(sure, lambda means: means)):
        most = max(errors[place] for errors in worst)
        print(f"{everybody[place]:18} mean {100 * one.mean:.1f}, most {100 * most:.1f}")
    print("\n## Balanced accuracy by budget, picks of quorum")
    for data in ("cifar10", "cifar10_lt10", "cifar10_lt100"):
        own = tables["balanced"].where(lambda c, d=data: (c.dataset, c.learner) == (d, "quorum"))
        place = everybody.index(OURS)
        told = {cell.budget: 100 * cell.test[place].mean() for cell in own.cells}
        print(data, " ".join(f"{budget}: {told[budget]:.1f}" for budget in sorted(told)))


def table(rows: list[Row], learners: list[str], figure: Callable[[Row], float]) -> Table:
    """One figure of some learners on the seeds that all of them have, by selection method."""
    cells: dict[tuple[str, str, int, str], dict[int, dict[str, float]]] = defaultdict(dict)
    for row in rows:
        if row["learner"] in learners:
            cell = row["dataset"], row["encoder"], int(row["budget"]), row["method"]
            cells[cell].setdefault(int(row["seed"]), {})[row["learner"]] = figure(row)
    made = []
    for (data, encoder, budget, method), draws in cells.items():
        seeds = tuple(sorted(seed for seed, told in draws.items() if len(told) == len(learners)))
        values = np.array([[draws[seed][name] for seed in seeds] for name in learners])
        made.append(Cell(data, encoder, budget, method, seeds, values))
    return Table(tuple(learners), np.zeros(len(learners), dtype=bool), tuple(made))


def ahead(found: Table, name: str) -> str:
    """Points by which ours is ahead of a learner."""
    ours, other = found.methods.index(OURS), found.methods.index(name)
    return points(over_cells(found, lambda means: means[[ours]] - means[[other]])[0])


def against_best(found: Table) -> str:
    """Ours less the learner that is best on the other draws of a pool, over its draws."""
    ours = found.methods.index(OURS)
    draws = np.mean([cell.test for cell in found.cells], axis=0)  # [learners, draws]
    rest = (draws.sum(axis=1, keepdims=True) - draws) / max(1, draws.shape[1] - 1)
    rest[ours] = -np.inf
    best = rest.argmax(axis=0)
    gains = draws[ours] - draws[best, np.arange(len(best))]
    one = found.cells[0]
    paired = Cell(one.dataset, one.encoder, 0, "", one.seeds, gains[None])
    gain = over_cells(Table((OURS,), np.zeros(1, dtype=bool), (paired,)), lambda means: means)[0]
    return f"{points(gain)} against {found.methods[int(np.bincount(best).argmax())]}"


def near_forty(rows: list[Row]) -> list[Row]:
    """The rows of 40 labels, or of the budget of a data set that is nearest."""
    budgets = defaultdict(set)
    for row in rows:
        budgets[row["dataset"]].add(int(row["budget"]))
    wanted = {data: min(found, key=lambda n: abs(n - 40)) for data, found in budgets.items()}
    return [row for row in rows if int(row["budget"]) == wanted[row["dataset"]]]


if __name__ == "__main__":
    main()
