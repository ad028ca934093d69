"""The figures that the documents quote from the cold-start comparison, out of its published rows.

::

    python benchmarks/claims.py benchmarks/results/cold_start/rows.csv

Ranks, means and intervals are those of ``usl benchmark``: every data set counts the same, and the
bootstrap draws data sets and then seeds. Prints Markdown tables and, below them, single figures.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

from usl.benchmarking.page import interval, rank_text
from usl.benchmarking.summary import Cell, Standing, Table, standings
from usl.evaluation.compare import Estimate
from usl.selection.known_methods import is_oracle, list_methods

OURS = "quorum"
CLASSES = {"caltech101": 101, "tiny_imagenet": 20, "wbc": 4}  # all others have ten
TUNED = ("digits", "cifar10", "cifar10_unsupervised", "cifar10_lt10", "cifar10_lt100")
NEAR_THE_ENCODER = ("tiny_imagenet", "caltech101")
LEARNERS = ("nearest_mean", "logistic", "label_spreading", "poisson")
BEHIND = 1.0  # points by which a cell is worth naming


def main() -> None:
    """Print all of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", type=Path)
    parser.add_argument("--draws", type=int, default=None, help="only the first so many")
    given = parser.parse_args()
    table = read(given.rows, given.draws)
    seeds = {learner: most_seeds(table, learner) for learner in LEARNERS}
    print("Draws:", ", ".join(f"{learner} {count}" for learner, count in seeds.items()), "\n")
    print_headline(table)
    print_paired(table)
    print_groups(table)
    print_pools(table)
    print_single(table)


def read(path: Path, draws: int | None) -> Table:
    """The table of published rows; seeds count where every method has a score."""
    tests: dict[tuple[str, str, int, str], dict[str, dict[int, float]]] = {}
    figures: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
    with open(path, newline="", encoding="utf-8") as handle:
        rows = [r for r in csv.DictReader(handle) if draws is None or int(r["seed"]) < draws]
    most: dict[str, int] = defaultdict(int)
    for row in rows:
        most[row["dataset"]] = max(most[row["dataset"]], int(row["budget"]))
    for row in rows:
        largest = row["seconds"] and int(row["budget"]) == most[row["dataset"]]
        seconds = float(row["seconds"]) if largest else np.nan
        figures[row["method"]].append((float(row["coverage"]), float(row["balance"]), seconds))
        for learner in LEARNERS:
            cell = tests.setdefault(
                (row["dataset"], row["encoder"], int(row["budget"]), learner), {}
            )
            if row[learner]:
                cell.setdefault(row["method"], {})[int(row["seed"])] = float(row[learner])
    names = tuple(figures)
    cells = []
    for (dataset, encoder, budget, learner), found in tests.items():
        seeds = sorted(set.intersection(*(set(found.get(name, {})) for name in names)))
        if seeds:
            values = np.array([[found[name][seed] for seed in seeds] for name in names])
            cells.append(Cell(dataset, encoder, budget, learner, tuple(seeds), values))
    known = list_methods()
    oracle = np.array([name in known and is_oracle(name) for name in names])
    return Table(names, oracle, tuple(cells), {n: np.array(rows) for n, rows in figures.items()})


def print_headline(table: Table) -> None:
    """All methods over all data sets."""
    print("| method | average rank | accuracy | over random | seconds |")
    print("|---|---|---|---|---|")
    for s in standings(table, "random"):
        gain = "" if s.method == "random" else points(s.gain)
        accuracy = f"{100 * s.accuracy.mean:.1f}"
        print(f"| {s.method} | {rank_text(s)} | {accuracy} | {gain} | {s.seconds:.1f} |")


def print_paired(table: Table) -> None:
    """Our method against each other one."""
    few = table.where(lambda cell: per_class(cell) <= 4)
    others = table.without(TUNED)
    print(f"\n| {OURS} against | all budgets | up to 4 per class | not tuned on | worst |")
    print("|---|---|---|---|---|")
    for name in table.methods:
        if name == OURS:
            continue
        gains = [points(ours(standings(part, name)).gain) for part in (table, few, others)]
        by_pool = {pool: advantage(table, name, pool) for pool in pools(table)}
        worst = min(by_pool, key=by_pool.__getitem__)
        print(f"| {name} | {' | '.join(gains)} | {by_pool[worst]:+.1f} {' '.join(worst)} |")


def print_groups(table: Table) -> None:
    """The first methods of parts of the table."""
    groups = {
        "long tails": table.where(lambda cell: "_lt" in cell.dataset),
        "no long tail": table.where(lambda cell: "_lt" not in cell.dataset),
        "without those near the encoder's training data": table.without(NEAR_THE_ENCODER),
        "1 to 2 per class": table.where(lambda cell: per_class(cell) <= 2),
        "4 to 5 per class": table.where(lambda cell: 4 <= per_class(cell) <= 5),
        "10 and more per class": table.where(lambda cell: per_class(cell) >= 10),
        **{name: table.where(lambda c, name=name: c.learner == name) for name in LEARNERS},
    }
    for title, part in groups.items():
        found = standings(part, "random")
        print(f"\n{title} (accuracy; rank):")
        best = sorted(found, key=lambda s: -s.accuracy.mean)
        shown = [
            s for s in best if s in best[:9] or s.method in ("random", "stratified", "coreset")
        ]
        print(", ".join(f"{s.method} {100 * s.accuracy.mean:.1f}" for s in shown))
        print(", ".join(f"{s.method} {s.rank.mean:.1f}" for s in found[:6]))


def print_pools(table: Table) -> None:
    """The first methods of every pool, and of the few cells that are quoted."""
    parts = {" ".join(pool): of_pool(table, pool) for pool in pools(table)}
    for pool in (("cifar10", "given"), ("cifar10_unsupervised", "cifar-cld-small")):
        own = of_pool(table, pool)
        parts[f"{pool[0]}, 40 labels"] = own.where(lambda cell: cell.budget == 40)
    parts["caltech101, 404 labels, poisson"] = table.where(
        lambda c: (c.dataset, c.budget, c.learner) == ("caltech101", 404, "poisson")
    )
    print("\nAccuracy of each pool:")
    for title, part in parts.items():
        best = sorted(standings(part, "random"), key=lambda s: -s.accuracy.mean)
        print(f"{title}:", ", ".join(f"{s.method} {100 * s.accuracy.mean:.1f}" for s in best))


def print_single(table: Table) -> None:
    """Spread over draws, and the cells where our method is behind."""
    print("\nsd over draws:")
    for s in standings(table, "random"):
        print(f"  {s.method} {100 * s.spread:.1f}", end=";")
    rivals = ("usl", "usl_t", "kmeans", "maxherding")
    print(f"\n\nBudgets at which {OURS} is behind by more than {BEHIND}:")
    for pool in pools(table):
        for budget in sorted({c.budget for c in table.cells if (c.dataset, c.encoder) == pool}):
            found = {name: advantage(table, name, pool, budget) for name in rivals}
            behind = {name: round(d, 1) for name, d in found.items() if d < -BEHIND}
            if behind:
                print(f"  {' '.join(pool)}, {budget}: {behind}")


def pools(table: Table) -> list[tuple[str, str]]:
    """Data sets as encoders see them."""
    return sorted({(cell.dataset, cell.encoder) for cell in table.cells})


def of_pool(table: Table, pool: tuple[str, str]) -> Table:
    """The cells of a data set as one encoder sees it."""
    return table.where(lambda cell: (cell.dataset, cell.encoder) == pool)


def advantage(table: Table, other: str, pool: tuple[str, str], budget: int | None = None) -> float:
    """Points by which our method is ahead of another in one pool, over its cells."""
    one, two = table.methods.index(OURS), table.methods.index(other)
    cells = [c for c in of_pool(table, pool).cells if budget in (None, c.budget)]
    return float(np.mean([100 * (cell.test[one] - cell.test[two]).mean() for cell in cells]))


def ours(found: list[Standing]) -> Standing:
    """The standing of our method."""
    return next(s for s in found if s.method == OURS)


def per_class(cell: Cell) -> float:
    """Labels per class."""
    return cell.budget / CLASSES.get(cell.dataset, 10)


def points(estimate: Estimate) -> str:
    """In percentage points."""
    return interval(estimate, "+.1f", 100)


def most_seeds(table: Table, learner: str) -> int:
    """How many draws a learner has where it has the fewest."""
    return min(len(cell.seeds) for cell in table.cells if cell.learner == learner)


if __name__ == "__main__":
    main()
