"""Figures that the documents quote from a plan with rounds, out of its published rows.

::

    python benchmarks/round_claims.py benchmarks/results/rounds_field/rows.csv

Of every strategy: what its area gains over random, margin and uherding, paired, with 95% intervals
over collections and then draws; where it is below random; and the share of rounds, over collections
and draws, that it wins against each other one (a tie counts half, as in REFINE, CVPR 2026).
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict

import numpy as np

from usl.benchmarking.page import interval
from usl.benchmarking.summary import Cell, Table, standings
from usl.evaluation.compare import paired_difference

AGAINST = ("random", "margin", "uherding")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows")
    parser.add_argument("--leave-out", nargs="*", default=[], help="collections")
    given = parser.parse_args()
    names, curves = read(given.rows, given.leave_out)
    table = table_of(names, curves)
    against = [name for name in AGAINST if name in names]
    gains = {b: {s.method: s.gain for s in standings(table, b)} for b in against}
    ranked = standings(table, against[0])
    print("rank, area, gain over", *against, sep="  ")
    for s in ranked:
        over = [interval(gains[b][s.method], "+.1f", 100) for b in against if b != s.method]
        print(f"{s.method:12} {interval(s.rank, '.2f')}  {100 * s.accuracy.mean:.1f}", *over)
    print("\nbelow random: collection, gain, over draws")
    base = names.index("random")
    for cell in table.cells:
        for row, name in enumerate(names):
            found = paired_difference(cell.test[row], cell.test[base])
            if found.mean < 0:
                print(f"{name:12} {cell.dataset}  {interval(found, '+.1f', 100)}")
    print("\nshare of rounds won against")
    print(" " * 12, *(f"{s.method[:10]:>10}" for s in ranked))
    for s in ranked:
        shares = [won(names, curves, s.method, other.method) for other in ranked]
        print(f"{s.method:12}", *(f"{share:10.2f}" for share in shares))


Curves = dict[tuple[str, str, str], dict[tuple[str, int], list[float]]]


def read(path: str, leave_out: list[str]) -> tuple[list[str], Curves]:
    """Strategies, and per cell the accuracy after each round of (strategy, seed)."""
    curves: Curves = defaultdict(lambda: defaultdict(list))
    with open(path, newline="", encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            if row["round"] != "0" and row["dataset"] not in leave_out:
                cell = row["dataset"], row["encoder"], row["learner"]
                curves[cell][row["strategy"], int(row["seed"])].append(float(row["test"]))
    names = list(dict.fromkeys(name for own in curves.values() for name, _ in own))
    return names, curves


def table_of(names: list[str], curves: Curves) -> Table:
    """The areas, on the seeds that all strategies have."""
    cells = []
    for (dataset, encoder, learner), own in curves.items():
        seeds = common(names, own)
        areas = np.array([[np.mean(own[name, seed]) for seed in seeds] for name in names])
        cells.append(Cell(dataset, encoder, 0, learner, tuple(seeds), areas))
    return Table(tuple(names), np.zeros(len(names), dtype=bool), tuple(cells))


def common(names: list[str], own: dict[tuple[str, int], list[float]]) -> list[int]:
    """The seeds of a cell that all strategies have."""
    return sorted(set.intersection(*({s for n, s in own if n == name} for name in names)))


def won(names: list[str], curves: Curves, first: str, second: str) -> float:
    """The share of rounds in which the first is above the second."""
    pairs = [
        np.array(own[first, seed]) - np.array(own[second, seed])
        for own in curves.values()
        for seed in common(names, own)
    ]
    return float(np.mean((np.sign(np.concatenate(pairs)) + 1) / 2))


if __name__ == "__main__":
    main()
