"""What sweeping gains a person: sheets of predictions, confirmed at a glance.

    USL_PREPARED=/data python benchmarks/sweep.py cifar10_lite1 accord > sweep.jsonl

Labels are drawn at random, a learner predicts all other train images, and a simulated person sweeps
them in sheets of 40 by the page's own rule, until the model is less than half sure of what is left.
The person takes 0.35 s an image that is looked at, 1.5 s for an unmarking and 2.0 s for a label
given one by one, and makes no mistakes. One line of JSON for each number of labels and seed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.methods import find_method
from usl.labeling.sweep.sheets import EVEN, most_promising
from usl.numeric.unit_rows import unit_rows
from usl.training.contract import FROZEN

GLANCE, UNMARK, LABEL = 0.35, 1.5, 2.0  # seconds
SHEET, SEEDS, LABELS = 40, 5, (40, 400)


def main() -> None:
    """Sweep after so many labels, with each seed."""
    name, method = sys.argv[1:3]
    with np.load(Path(os.environ["USL_PREPARED"]) / f"{name}.npz") as table:
        train = table["subset"] == "train"
        features = unit_rows(table["features"][train].astype(np.float32))
        names, truth = np.unique(table["labels"][train], return_inverse=True)
    for count in LABELS:
        for seed in range(SEEDS):
            start = time.perf_counter()
            rows = first_labels(truth, count, seed)
            given = np.full(len(truth), -1)
            given[rows] = truth[rows]
            fit = find_method([FROZEN], method)[1].fit
            model = fit(features, given, np.ones(len(truth)), len(names), seed=seed)
            chances = model.fitted() if model.fitted() is not None else None
            chances = model.probabilities(features) if chances is None else chances
            found = sweep(chances, truth, given < 0, [str(one) for one in names])
            line = {"set": name, "method": method, "labels": count, "seed": seed, **found}
            line["fit_seconds"] = round(time.perf_counter() - start, 1)
            print(json.dumps(line), flush=True)


def first_labels(truth: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Rows drawn at random, drawn again until every class has one."""
    rng = np.random.default_rng(seed)
    while True:
        rows = rng.choice(len(truth), count, replace=False)
        if len(np.unique(truth[rows])) == truth.max() + 1:
            return rows


def sweep(
    chances: NDArray[np.float64],
    truth: NDArray[np.int64],
    free: NDArray[np.bool_],
    names: list[str],
) -> dict[str, Any]:
    """Confirm sheet after sheet; images shown, labels confirmed, seconds, in all and by confidence.

    ``rate`` is how many labels an hour are given, those of the unmarked images one by one among
    them; ``early`` the same of the first tenth of the images shown.
    """
    best, sure = chances.argmax(axis=1), chances.max(axis=1)
    free = free & (sure >= EVEN)
    order = np.argsort(-sure, kind="stable")
    surest = {name: order[best[order] == number] for number, name in enumerate(names)}
    label, shown, right = "", [0], [0]
    while free.any():
        sheets = {name: rows[free[rows]][:SHEET] for name, rows in surest.items()}
        label = most_promising(sheets, sure, label)
        rows = sheets[label]
        free[rows] = False
        shown.append(shown[-1] + len(rows))
        right.append(right[-1] + int((best[rows] == truth[rows]).sum()))
    early = int(np.searchsorted(shown, 0.1 * shown[-1]))
    left = sure < EVEN
    share = float((best[left] == truth[left]).mean()) if left.any() else None
    return {
        "accuracy": round(float((best == truth).mean()), 4),
        "sheets": len(shown) - 1,
        "shown": shown[-1],
        "confirmed": right[-1],
        "hours": round(seconds(shown[-1], right[-1]) / 3600, 3),
        "rate": round(3600 * shown[-1] / seconds(shown[-1], right[-1])),
        "early": round(3600 * shown[early] / seconds(shown[early], right[early])),
        "left": int(left.sum()),
        "left_right": share,
    }


def seconds(shown: int, right: int) -> float:
    """What a person takes for so many images, of which so many are as predicted."""
    wrong = shown - right
    return GLANCE * shown + (UNMARK + LABEL) * wrong


if __name__ == "__main__":
    main()
