"""What a model learns from sheets: its accuracy after so many, on images that are never swept.

    USL_PREPARED=/data python benchmarks/sweep_retrain.py cifar10_lite1 accord > retrain.jsonl

5,000 train images; 30% of them are held out. 40 labels are drawn at random from the others, sheets
of 40 are swept by the page's own rule, without training in between; the unmarked images get their
label one by one. One line of JSON for each seed.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sweep import SHEET, first_labels

from usl.core.methods import find_method
from usl.labeling.sweep.sheets import EVEN, most_promising
from usl.numeric.unit_rows import unit_rows
from usl.training.contract import FROZEN

N, HELD_OUT, LABELS, SEEDS = 5_000, 0.3, 40, 3
AFTER = (0, 2, 5, 10, 20, 40)  # sheets


def main() -> None:
    """Sweep and train with each seed."""
    name, method = sys.argv[1:3]
    with np.load(Path(os.environ["USL_PREPARED"]) / f"{name}.npz") as table:
        train = np.flatnonzero(table["subset"] == "train")
        rows = np.random.default_rng(1).choice(train, N, replace=False)
        features = unit_rows(table["features"][rows].astype(np.float32))
        names, truth = np.unique(table["labels"][rows], return_inverse=True)
    fit = find_method([FROZEN], method)[1].fit

    def chances(given: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
        model = fit(features, given, np.ones(N), len(names), seed=seed)
        own = model.fitted()
        found: NDArray[np.float64] = model.probabilities(features) if own is None else own
        return found

    for seed in range(SEEDS):
        found = one_draw(chances, truth, len(names), seed)
        print(json.dumps({"set": name, "method": method, "seed": seed, **found}), flush=True)


def one_draw(chances: Any, truth: NDArray[np.int64], classes: int, seed: int) -> dict[str, Any]:
    """Accuracy on the held-out images after each number of sheets, and the number of classes."""
    held_out = np.random.default_rng(9).random(N) < HELD_OUT
    given = np.full(N, -1)
    first = first_labels(truth, LABELS, seed)
    given[first] = truth[first]
    judged, first_chances = held_out & (given < 0), chances(given, seed)
    best, sure = first_chances.argmax(axis=1), first_chances.max(axis=1)
    free = (given < 0) & ~held_out & (sure >= EVEN)
    order = np.argsort(-sure, kind="stable")
    surest = {str(number): order[best[order] == number] for number in range(classes)}
    found: dict[str, Any] = {"judged": int(judged.sum()), "accuracy": {}, "classes": {}}
    label, swept = "", set()
    for done in range(max(AFTER) + 1):
        if done in AFTER:
            right = chances(given, seed).argmax(axis=1) == truth
            found["accuracy"][done] = round(float(right[judged].mean()), 4)
            found["classes"][done] = len(swept)
        if not free.any():
            break
        sheets = {name: rows[free[rows]][:SHEET] for name, rows in surest.items()}
        label = most_promising(sheets, sure, label)
        free[sheets[label]] = False
        given[sheets[label]] = truth[sheets[label]]
        swept.add(label)
    return found


if __name__ == "__main__":
    main()
