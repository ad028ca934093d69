"""Where MCDAL's classifiers differ, is the classifier wrong there? By the length of the rows.

    python benchmarks/mcdal_length.py

A draw is 5,000 random training images of CIFAR-10 (``$USL_PREPARED/cifar10_lite1.npz``, whose
encoder learned ImageNet with labels), 40 of them labelled at random. The unlabelled ones are sorted
by ``mcdal``'s disagreement: ``agree`` and ``differ`` are the shares that the classifier gets wrong
of the tenth of the least and of the greatest, ``all`` of all. Printed is mean +- sd over draws.

Rows go to ``benchmarks/results/mcdal_length.jsonl``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from graph_networks import opened

RESULTS = Path(__file__).parent / "results" / "mcdal_length.jsonl"
IMAGES, LABELS, STEPS = 5_000, 40, 1_000


def main() -> None:
    """Run the draws at both lengths."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    features, truth, train = opened()
    for squared in (1, features.shape[1]):
        rows = []
        for draw in range(given.draws):
            rng = np.random.default_rng(draw)
            taken = rng.choice(np.flatnonzero(train), IMAGES, replace=False)
            points = features[taken] * np.float32(np.sqrt(squared))
            rows.append(measure(points, truth[taken], rng, draw))
            with open(given.results, "a") as handle:
                handle.write(
                    json.dumps({"squared_length": squared, "draw": draw, **rows[-1]}) + "\n"
                )
        for name in rows[0]:
            shares = 100 * np.array([row[name] for row in rows])
            print(f"{squared:4} {name:7} {shares.mean():.1f} +- {shares.std(ddof=1):.1f}")


def measure(points: Any, truth: Any, rng: np.random.Generator, seed: int) -> dict[str, float]:
    """Shares of wrong answers on one draw."""
    from usl.active.shared.row_training import looked_at, torch_alone
    from usl.active.strategies import mcdal
    from usl.core.progress import silent
    from usl.numeric.table import as_table

    table = as_table(points)
    labeled = np.sort(rng.choice(IMAGES, LABELS, replace=False))
    others = np.setdiff1d(np.arange(IMAGES), labeled)
    numbers, own = np.unique(truth[labeled], return_inverse=True)
    with torch_alone("mcdal", seed):
        heads, _ = mcdal.trained(table, labeled, own, steps=STEPS, seed=seed, progress=silent)
        order = np.argsort(mcdal.discrepancies(table, others, heads), kind="stable")
        said = looked_at(table, others, lambda rows: heads[0](rows).argmax(1)).astype(np.int64)
    wrong = (numbers[said] != truth[others])[order]
    tenth = len(wrong) // 10
    return {
        "agree": float(wrong[:tenth].mean()),
        "differ": float(wrong[-tenth:].mean()),
        "all": float(wrong.mean()),
    }


if __name__ == "__main__":
    main()
