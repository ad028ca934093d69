"""USL-T on frozen features: its sensitive dial, and how it grows. Protocol as in cifar10.py.

    USL_DATA=/path/to/data python benchmarks/usl_t.py scale     # accuracy against the logit scale
    USL_DATA=/path/to/data python benchmarks/usl_t.py size      # 400 to 2,911 clusters, time
    USL_DATA=/path/to/data python benchmarks/usl_t.py health    # 40 seeds: collapse, empty clusters

``size`` grows the 50,000 CIFAR-10 features to 100,000 by mixing each with one of its near
neighbours, which keeps the local dimension real.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from cifar10 import RESULTS, read

import usl
from usl.core.files import write_json
from usl.evaluation.compare import Data, score
from usl.numeric.distances import nearest
from usl.training.frozen import logistic

PRESET = "threshold"  # the default when the published rows were made


def main() -> None:
    """Run one of the studies."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", choices=["scale", "size", "health"])
    parser.add_argument("--data", type=Path, default=None)
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    train, train_truth, test, test_truth = read(arguments.data)
    near, _ = nearest(train, train, 20, exclude_self=True)
    if arguments.study == "size":
        grow(train, near)
        return
    if arguments.study == "health":
        inspect(train, near)
        return
    data = Data(train, train_truth, test, test_truth)
    rows = []
    for budget, scales in (
        (10, (2.5, 5, 10, 20, 40)),
        (40, (5, 7, 10, 14, 20, 40)),
        (100, (7, 13, 25)),
    ):
        for scale in (None, *scales):
            accuracies = []
            for seed in range(arguments.seeds):
                picks = usl.select(
                    train,
                    budget,
                    method="usl_t",
                    seed=seed,
                    scale=scale,
                    neighbors=near,
                    preset=PRESET,
                )
                figures = score(picks.indices, data, logistic, {}, seed)
                accuracies.append(100 * figures[0])
            used = picks.parameters["scale"]
            rows.append(
                {"budget": budget, "derived": scale is None, "scale": used, "rows": accuracies}
            )
            write_json(RESULTS / "usl_t-scale.json", rows)
            name = f"{used:.1f} (derived)" if scale is None else f"{used:g}"
            mean, sd = np.mean(accuracies), np.std(accuracies, ddof=1)
            print(f"{budget:>4} labels, scale {name:<16} {mean:5.1f} +- {sd:.1f}", flush=True)


def inspect(train: np.ndarray, near: np.ndarray) -> None:
    """Empty and smallest clusters, and the entropy of the sizes, over 40 seeds at 40 labels."""
    rows = []
    for seed in range(40):
        found = usl.select(train, 40, method="usl_t", seed=seed, neighbors=near, preset=PRESET)
        occupied = len(set(found.columns["cluster"].tolist()))
        sizes = found.columns["cluster_size"]
        rows.append((occupied, sizes.min(), sizes.max(), found.history[-1]["entropy"]))
    occupied, smallest, largest, entropy = np.array(rows).T
    print(
        f"40 seeds, 40 clusters of {len(train):,}: occupied {occupied.min():.0f} to "
        f"{occupied.max():.0f}, sizes {smallest.min():.0f} to {largest.max():.0f}, entropy of the "
        f"sizes at least {entropy.min():.3f}"
    )


def grow(train: np.ndarray, near: np.ndarray) -> None:
    """Time and occupied clusters at several sizes."""
    rng = np.random.default_rng(0)
    partner = near[np.arange(len(train)), rng.integers(20, size=len(train))]
    share = rng.uniform(0.3, 0.7, size=(len(train), 1)).astype(np.float32)
    mixed = share * train + (1 - share) * train[partner]
    mixed /= np.linalg.norm(mixed, axis=1, keepdims=True)
    both = np.concatenate([train, mixed])
    for name, features, budget, params in (
        ("50,000, threshold", train, 400, {"preset": PRESET}),
        ("100,000, threshold", both, 1000, {"preset": PRESET}),
        (
            "100,000, large column",
            both,
            2911,
            {"tau": 0.0, "alpha": 2.5, "t": 0.5, "lam": 0.5, "pick_by": "density", "spare": 0.0},
        ),
    ):
        began = time.perf_counter()
        found = usl.select(features, budget, method="usl_t", **params)
        seconds = time.perf_counter() - began
        clusters = len(set(found.columns["cluster"].tolist()))
        sizes = found.columns["cluster_size"]
        print(
            f"{name}: {budget} picks from {clusters} clusters, sizes {sizes.min()} to "
            f"{sizes.max()}, {seconds:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
