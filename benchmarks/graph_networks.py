"""What UncertainGCN and CoreGCN lose or gain by a sparse graph, and by the paper's equation.

    python benchmarks/graph_networks.py            # 10 draws, some minutes
    python benchmarks/graph_networks.py --table    # of the published rows

A draw is 2,000 random training images of CIFAR-10 (``$USL_PREPARED/cifar10_lite1.npz``, whose
encoder learned ImageNet with labels), 20 of them labelled at random; 20 more are asked for. The
accuracy is that of a logistic regression on the 40, on the 10,000 test images. Every variant sees
the same draws; differences from a random batch are paired, with 95% intervals.

``k = 1,999`` links every two images whose cosine is above 0, as near as this gets to the authors'
graph; ``margin = 1`` asks for the rows that look the most labelled, as the equation of the paper
does with a margin near 0.

Rows go to ``benchmarks/results/graph_networks.jsonl``.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results" / "graph_networks.jsonl"
IMAGES, LABELS, ASKED = 2_000, 20, 20
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "random": ("random", {}),
    "uncertain_gcn": ("uncertain_gcn", {}),
    "uncertain_gcn, k = 1,999": ("uncertain_gcn", {"k": IMAGES - 1}),
    "uncertain_gcn, margin = 1": ("uncertain_gcn", {"margin": 1.0}),
    "core_gcn": ("core_gcn", {}),
    "core_gcn, k = 1,999": ("core_gcn", {"k": IMAGES - 1}),
    "coreset": ("coreset", {}),
}


def main() -> None:
    """Run the draws, or print what is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    if not given.table:
        features, truth, train = opened()
        for draw in range(given.draws):
            for name in VARIANTS:
                row = measure(features, truth, train, name, draw)
                with open(given.results, "a") as handle:
                    handle.write(json.dumps(row) + "\n")
    table(given.results)


def opened() -> tuple[Any, Any, Any]:
    """Unit rows, standardised by the training images; class numbers; which are training images."""
    with np.load(Path(os.environ["USL_PREPARED"]) / "cifar10_lite1.npz") as file:
        features = file["features"].astype(np.float32)
        truth = np.unique(file["labels"], return_inverse=True)[1]
        train = file["subset"] == "train"
    features -= features[train].mean(axis=0)
    features /= features[train].std(axis=0)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    return features, truth, train


def measure(features: Any, truth: Any, train: Any, name: str, draw: int) -> dict[str, Any]:
    """One variant on one draw."""
    import usl
    from usl.numeric.blocks import one_blas_thread
    from usl.training.frozen import logistic

    method, parameters = VARIANTS[name]
    rng = np.random.default_rng(draw)
    rows = rng.choice(np.flatnonzero(train), IMAGES, replace=False)
    points, classes = features[rows], truth[rows]
    labeled = rng.choice(IMAGES, LABELS, replace=False)
    given = {"labeled": labeled, "classes": classes[labeled], "seed": draw, **parameters}
    asked = usl.query(points, ASKED, method=method, learner="nearest_mean", **given).indices
    both = np.concatenate([labeled, asked])
    numbers, own = np.unique(classes[both], return_inverse=True)
    with one_blas_thread():
        model = logistic.fit(points[both], own, np.ones(len(both)), len(numbers))
    said = numbers[model.probabilities(features[~train]).argmax(axis=1)]
    row = {"variant": name, "draw": draw, "accuracy": float((said == truth[~train]).mean())}
    return {**row, "classes": len(numbers), "asked": len(np.unique(classes[asked]))}


def table(results: Path) -> None:
    """Mean, standard deviation, and the paired difference from a random batch."""
    from usl.benchmarking.page import interval
    from usl.evaluation.compare import paired_difference

    rows = [json.loads(line) for line in results.read_text().splitlines()]
    by = {name: {r["draw"]: r for r in rows if r["variant"] == name} for name in VARIANTS}
    for name, found in by.items():
        draws = sorted(set(found) & set(by["random"]))
        own = np.array([found[draw]["accuracy"] for draw in draws])
        base = np.array([by["random"][draw]["accuracy"] for draw in draws])
        kinds = np.mean([found[draw]["asked"] for draw in draws])
        line = f"{name:25} n {len(own)}  {100 * own.mean():.1f} +- {100 * own.std(ddof=1):.1f}"
        line += f"  classes asked {kinds:.1f}"
        if name != "random":
            line += f"  over random {interval(paired_difference(own, base), '+.1f', 100)}"
        print(line)


if __name__ == "__main__":
    main()
