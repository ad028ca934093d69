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

import numpy as np

from usl.core.files import write_json
from usl.evaluation.compare import Comparison, Row, compare
from usl.features.preprocessing import Preprocessing
from usl.numeric.stage_cache import KeepInMemory

FEATURES = "cifar10_efficientnet_lite1_160_prehead320_features.npy"
RESULTS = Path(__file__).parent / "results"
METHODS: dict[str, dict[str, Any]] = {
    "usl": {},
    "random": {},
    "stratified": {},
    "kmeans": {},
    "usl_t": {},
    "quorum": {},
}


def main() -> None:
    """Run the comparison for each budget and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=None, help="default: $USL_DATA")
    parser.add_argument("--budgets", type=int, nargs="+", default=[10, 40])
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--learner", default="logistic")
    parser.add_argument("--preset", default="paper", help="of usl")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    arguments = parser.parse_args()
    train, train_truth, test, test_truth = read(arguments.data)
    methods = {**METHODS, "usl": {"preset": arguments.preset}}

    RESULTS.mkdir(exist_ok=True)
    keep = KeepInMemory()  # neighbours and densities do not depend on the seed
    for budget in arguments.budgets:
        path = RESULTS / f"cifar10-{arguments.learner}-{budget}-{arguments.preset}.json"
        done = load(path)
        for seed in range(arguments.seeds):
            began = time.perf_counter()
            have = {row.method for row in done if row.seed == seed}
            missing = {name: methods[name] for name in arguments.methods if name not in have}
            if not missing:
                continue
            found = compare(
                train,
                train_truth,
                test,
                test_truth,
                budget=budget,
                methods=missing,
                seeds=[seed],
                learner=arguments.learner,
                keep=keep,
            )
            done += found.rows
            done.sort(key=lambda row: (list(METHODS).index(row.method), row.seed))
            write_json(path, Comparison(tuple(done), budget, arguments.learner).record())
            accuracies = {row.method: f"{100 * row.test:.1f}" for row in found.rows}
            print(
                f"{budget} labels, seed {seed}: {accuracies} {time.perf_counter() - began:.1f} s",
                flush=True,
            )
        summarise(Comparison(tuple(done), budget, arguments.learner))


def read(
    data: Path | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Train features and classes, test features and classes; standardised, unit length."""
    folder = Path(data or os.environ.get("USL_DATA", ""))
    if not (folder / FEATURES).is_file():
        sys.exit(f"Set USL_DATA (or --data) to a folder that holds {FEATURES}.")
    rows = np.load(folder / FEATURES)
    truth = np.load(folder / "cifar10_labels.npy").astype(np.int64)
    space = Preprocessing.fit(rows[:50_000], center=True, standardize=True, pca=None)
    train, test = space.transform(rows[:50_000]), space.transform(rows[50_000:])
    return train, truth[:50_000], test, truth[50_000:]


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
            f"{comparison.values(method, 'coverage').mean():.3f}   entropy "
            f"{comparison.values(method, 'balance').mean():.3f}   "
            f"USL gains {100 * gain.mean:+5.1f}"
            f" [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"
        )
    print()


if __name__ == "__main__":
    main()
