"""Does selection beat chance on CIFAR-10? Logistic regression on the picks, paired seeds.

Needs a folder with ``cifar10_efficientnet_lite1_160_prehead320_features.npy`` [60000, 320] and
``cifar10_labels.npy`` [60000], train first, in torchvision's order::

    USL_DATA=/path/to/data python benchmarks/cifar10.py --budgets 10 40 --seeds 40

The features come from a network trained on ImageNet *with labels*; every figure rests on that.
Rows go to ``benchmarks/results/`` as they are finished; a second call continues.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from usl.core.files import write_json
from usl.core.neighbors import mean_neighbor_distance
from usl.evaluation.compare import Comparison, Row, compare
from usl.features.preprocessing import Preprocessing

FEATURES = "cifar10_efficientnet_lite1_160_prehead320_features.npy"
RESULTS = Path(__file__).parent / "results"
METHODS: dict[str, dict[str, Any]] = {
    "usl": {},
    "random": {},
    "stratified": {},
    "kmeans": {},
}


def main() -> None:
    """Run the comparison for each budget and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("USL_DATA"))
    parser.add_argument("--budgets", type=int, nargs="+", default=[10, 40])
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--learner", default="logistic")
    parser.add_argument("--preset", default="paper")
    arguments = parser.parse_args()
    if arguments.data is None or not (Path(arguments.data) / FEATURES).is_file():
        sys.exit(f"Set USL_DATA (or --data) to a folder that holds {FEATURES}.")
    rows = np.load(Path(arguments.data) / FEATURES)
    truth = np.load(Path(arguments.data) / "cifar10_labels.npy").astype(np.int64)
    space = Preprocessing.fit(rows[:50_000], center=True, scale=True, pca=None)
    train, test = space.transform(rows[:50_000]), space.transform(rows[50_000:])
    methods = {**METHODS, "usl": {"preset": arguments.preset}}

    densities: dict[Any, Any] = {}

    def remembered(features: Any, k: int, **options: Any) -> Any:
        """The densities do not depend on the seed: computed once, they are the same values."""
        options.pop("progress", None)
        key = (id(features.base), features.shape, k, *sorted(options.items()))
        if key not in densities:
            densities[key] = mean_neighbor_distance(features, k, **options)
        return densities[key]

    RESULTS.mkdir(exist_ok=True)
    for budget in arguments.budgets:
        name = f"cifar10-{arguments.learner}-{budget}-{arguments.preset}.json"
        done = load(RESULTS / name)
        for seed in range(arguments.seeds):
            if any(row.seed == seed for row in done):
                continue
            began = time.perf_counter()
            with mock.patch("usl.selection.usl.mean_neighbor_distance", remembered):
                found = compare(
                    train,
                    truth[:50_000],
                    test,
                    truth[50_000:],
                    budget=budget,
                    methods=methods,
                    seeds=[seed],
                    learner=arguments.learner,
                )
            done += found.rows
            write_json(RESULTS / name, Comparison(tuple(done), budget, arguments.learner).record())
            accuracies = {row.method: f"{100 * row.test:.1f}" for row in found.rows}
            print(f"{budget} labels, seed {seed}: {accuracies} {time.perf_counter() - began:.1f} s")
        summarise(Comparison(tuple(done), budget, arguments.learner))


def load(path: Path) -> list[Row]:
    """Rows of an earlier call."""
    if not path.exists():
        return []
    return [Row(**row) for row in json.loads(path.read_text())["rows"]]


def summarise(comparison: Comparison) -> None:
    """Mean, sd and paired differences on stdout."""
    n = len(comparison.values("usl"))
    print(f"\n{comparison.budget} labels, {comparison.learner}, 10,000 test images, {n} seeds")
    for method in comparison.methods():
        values = 100 * comparison.values(method)
        gain = comparison.difference("usl", method)
        print(
            f"  {method:<11} {values.mean():5.1f} +- {values.std(ddof=1):3.1f}   coverage "
            f"{comparison.values(method, 'coverage').mean():.3f}   "
            f"USL gains {100 * gain.mean:+5.1f}"
            f" [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"
        )
    print()


if __name__ == "__main__":
    main()
