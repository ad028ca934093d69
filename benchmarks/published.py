"""The selections that the authors of USL published, on features that had no part in their making.

    USL_DATA=/path/to/data python benchmarks/published.py

Lists of 40 CIFAR-10 images (torchvision's train order): three random, three of USL, one of USL-T,
chosen on CLD features. Here a classifier learns from them on EfficientNet-lite1 features
(ImageNet-supervised), and is tested on the 10,000 test images; beside them 20 random and 20
stratified draws of our own. Result: ``results/published.json``.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from cifar10 import RESULTS, read

from usl.core.files import write_json
from usl.evaluation.compare import Data, score
from usl.training.frozen import logistic, nearest_mean

LISTS = Path(__file__).parent / "published_selections.json"
LEARNERS = {"logistic": (logistic, {"c": 10.0}), "nearest_mean": (nearest_mean, {})}
DRAWS = 20


def main() -> None:
    """Measure every list, print the table, and write the result."""
    found = measure()
    write_json(RESULTS / "published.json", found)
    print(f"| picks | {' | '.join(LEARNERS)} |\n|---|{'---|' * len(LEARNERS)}")
    for name in found[next(iter(LEARNERS))]:
        cells = [text(found[learner][name]) for learner in LEARNERS]
        print(f"| {name} | {' | '.join(cells)} |")


def measure(data: Path | None = None) -> dict[str, dict[str, list[float]]]:
    """Test accuracy in per cent of each group of lists, by learner."""
    of_all = Data(*read(data))
    groups: dict[str, list[np.ndarray]] = {}
    for name, rows in json.loads(LISTS.read_text(encoding="utf-8"))["cifar10"].items():
        groups.setdefault(f"published {name.split('_seed')[0]}", []).append(np.array(rows))
    rngs = [np.random.default_rng(seed) for seed in range(DRAWS)]
    groups["random"] = [rng.choice(len(of_all.train), 40, replace=False) for rng in rngs]
    groups["stratified (an oracle)"] = [stratified(of_all.train_truth, rng) for rng in rngs]
    return {
        learner: {
            name: [round(100 * score(rows, of_all, module, params, 0)[0], 2) for rows in lists]
            for name, lists in groups.items()
        }
        for learner, (module, params) in LEARNERS.items()
    }


def stratified(truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Four of each of the ten classes."""
    classes = range(int(truth.max()) + 1)
    return np.concatenate(
        [rng.choice(np.flatnonzero(truth == number), 4, replace=False) for number in classes]
    )


def text(values: list[float]) -> str:
    """Few values each, many as mean and standard deviation."""
    if len(values) <= 3:
        return ", ".join(f"{value:.1f}" for value in values)
    return f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f} ({len(values)} draws)"


if __name__ == "__main__":
    main()
