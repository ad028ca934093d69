"""Is the first part of a selection a good selection? The first 40 of 100 picks, in several orders.

Protocol as in cifar10.py::

    USL_DATA=/path/to/data python benchmarks/order.py --seeds 10
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from cifar10 import read

import usl
from usl.evaluation.compare import Data, paired_difference, score
from usl.numeric.stage_cache import KeepInMemory
from usl.training.frozen import logistic


def main() -> None:
    """Compare the orders with 40 picks selected directly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    data = read(arguments.data)
    found: dict[str, list[float]] = {}
    keep = KeepInMemory()  # densities do not depend on the seed
    for seed in range(arguments.seeds):
        hundred, direct = (
            usl.select(data[0], budget, method="usl", seed=seed, resume=keep)
            for budget in (100, 40)
        )
        shuffled = np.random.default_rng(seed).permutation(100)
        orders = {
            "40 selected directly": direct.indices,
            "first 40 of 100, as ranked": hundred.indices[:40],
            "first 40 of 100, by utility": hundred.indices[
                np.argsort(-hundred.columns["utility"], kind="stable")[:40]
            ],
            "first 40 of 100, by cluster size": hundred.indices[
                np.argsort(-hundred.columns["cluster_size"], kind="stable")[:40]
            ],
            "first 40 of 100, shuffled": hundred.indices[shuffled[:40]],
        }
        for name, picks in orders.items():
            found.setdefault(name, []).append(
                100 * score(picks, Data(*data), logistic, {}, seed)[0]
            )
    print(f"CIFAR-10, logistic, {arguments.seeds} seeds")
    for name, values in found.items():
        gap = paired_difference(values, found["40 selected directly"])
        print(
            f"  {name:<34} {np.mean(values):5.1f} +- {np.std(values, ddof=1):3.1f}   "
            f"against direct {gap.mean:+.1f} [{gap.low:+.1f}, {gap.high:+.1f}]"
        )


if __name__ == "__main__":
    main()
