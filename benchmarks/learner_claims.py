"""The figures that the documents quote of learners, out of the rows of `learners.toml`.

    python benchmarks/learner_claims.py

Differences are paired within a draw, a budget and a selection method; intervals hold 95%:
bootstrap over collections, then over draws.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

ROWS = Path(__file__).parent / "results" / "learners" / "learners.csv"
OURS = "accord"
FEW = ("paws", "alpha_tim", "flexmatch_features")  # on the first draw alone
DRAWS = 2_000

Key = tuple[str, str]  # collection: data set, encoder
Values = dict[Key, dict[int, dict[str, float]]]  # by draw, then learner: mean over its cells


def main() -> None:
    """Print what is quoted."""
    rows = read()
    everybody = [name for name in learners(rows) if name not in FEW]
    figures = {
        "accuracy": values(rows, everybody, lambda row: float(row["pooled"])),
        "balanced": values(rows, everybody, lambda row: float(row["balanced"])),
        "mean": values(rows, everybody, both),
    }
    print("## Average rank over collections, and means")
    for name in everybody:
        ranks = [f"{rank(found, name):.2f}" for found in figures.values()]
        means = [f"{100 * np.mean(per_collection(found, name)):.1f}" for found in figures.values()]
        print(f"{name:20} ranks {' '.join(ranks)}  means {' '.join(means)}")
    print(f"\n## {OURS} against each, points (mean of accuracy and balanced accuracy; each)")
    for name in everybody:
        if name != OURS:
            told = [difference(found, name) for found in (*figures.values(),)]
            print(f"{name:20} {told[2]}  accuracy {told[0]}  balanced {told[1]}")
    for name in FEW:
        found = values(rows, [OURS, name], both)
        print(f"{name:20} {difference(found, name)}  (first draw)")
    print("\n## Against the learner that is best there on the other draws")
    for what in ("accuracy", "balanced"):
        for key, draws in figures[what].items():
            print(f"{what:9} {' '.join(key):42} {against_best(draws, everybody)}")
    print("\n## Calibration error at 40 labels, or the nearest budget; per collection")
    sure = values(calibrated(rows), everybody, lambda row: float(row["calibration"]))
    for name in everybody:
        found = 100 * np.array(per_collection(sure, name))
        print(f"{name:20} mean {found.mean():.1f}, most {found.max():.1f}")
    print("\n## Balanced accuracy by budget, CIFAR-10")
    for data in ("cifar10", "cifar10_lt10", "cifar10_lt100"):
        told = defaultdict(list)
        for row in rows:
            if row["dataset"] == data and row["learner"] == OURS and row["method"] == "quorum":
                told[int(row["budget"])].append(100 * float(row["balanced"]))
        print(data, " ".join(f"{budget}: {np.mean(told[budget]):.1f}" for budget in sorted(told)))


def read() -> list[dict[str, str]]:
    """The rows, whole ones alone."""
    with open(ROWS, newline="", encoding="utf-8") as handle:
        return [row for row in csv.DictReader(handle) if row["pooled"] and row["balanced"]]


def both(row: dict[str, str]) -> float:
    """Mean of accuracy with the pool's frequencies and balanced accuracy."""
    return (float(row["pooled"]) + float(row["balanced"])) / 2


def learners(rows: list[dict[str, str]]) -> list[str]:
    """Their names, in the order of the plan."""
    return list(dict.fromkeys(row["learner"] for row in rows))


def calibrated(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows of 40 labels, or of the budget of a data set that is nearest."""
    budgets = defaultdict(set)
    for row in rows:
        budgets[row["dataset"]].add(int(row["budget"]))
    wanted = {data: min(found, key=lambda n: abs(n - 40)) for data, found in budgets.items()}
    return [row for row in rows if int(row["budget"]) == wanted[row["dataset"]]]


def values(rows: list[dict[str, str]], names: list[str], figure) -> Values:
    """The mean of a figure over the cells of a draw that all of the learners have."""
    cells = defaultdict(dict)
    for row in rows:
        cell = row["dataset"], row["encoder"], int(row["seed"]), row["budget"], row["method"]
        if row["learner"] in names:
            cells[cell][row["learner"]] = figure(row)
    found: Values = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for (data, encoder, seed, _, _), told in cells.items():
        if len(told) == len(names):
            for name, value in told.items():
                found[data, encoder][seed][name].append(value)
    return {
        key: {
            seed: {name: float(np.mean(told)) for name, told in by.items()}
            for seed, by in draws.items()
        }
        for key, draws in found.items()
    }


def per_collection(found: Values, name: str) -> list[float]:
    """A learner's mean over draws, for each collection."""
    return [float(np.mean([told[name] for told in draws.values()])) for draws in found.values()]


def rank(found: Values, name: str) -> float:
    """Average rank over collections, by the means over draws."""
    places = []
    for draws in found.values():
        means = {n: np.mean([t[n] for t in draws.values()]) for n in next(iter(draws.values()))}
        places.append(1 + sum(value > means[name] for value in means.values()))
    return float(np.mean(places))


def difference(found: Values, name: str) -> str:
    """How far ours is ahead, in points, with its interval."""
    gains = [
        np.array([told[OURS] - told[name] for told in draws.values()]) for draws in found.values()
    ]
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(DRAWS):
        chosen = [gains[i] for i in rng.integers(0, len(gains), len(gains))]
        drawn.append(np.mean([one[rng.integers(0, len(one), len(one))].mean() for one in chosen]))
    low, high = 100 * np.quantile(drawn, [0.025, 0.975])
    return f"{100 * np.mean([one.mean() for one in gains]):+.1f} [{low:+.1f}, {high:+.1f}]"


def against_best(draws: dict[int, dict[str, float]], names: list[str]) -> str:
    """Ours less the learner that is best on the other draws, with its interval over draws."""
    seeds = list(draws)
    gains, chosen = [], []
    for seed in seeds:
        rest = {n: np.mean([draws[s][n] for s in seeds if s != seed]) for n in names if n != OURS}
        chosen.append(max(rest, key=rest.get))
        gains.append(draws[seed][OURS] - draws[seed][chosen[-1]])
    rng = np.random.default_rng(0)
    means = [np.mean(rng.choice(gains, len(gains))) for _ in range(DRAWS)]
    low, high = 100 * np.quantile(means, [0.025, 0.975])
    rival = max(set(chosen), key=chosen.count)
    return f"{100 * np.mean(gains):+.1f} [{low:+.1f}, {high:+.1f}] against {rival}"


if __name__ == "__main__":
    main()
