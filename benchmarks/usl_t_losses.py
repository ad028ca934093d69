"""Does the global loss of USL-T act, and does it help? Both losses on frozen features.

    USL_DATA=/path/to/data python benchmarks/usl_t_losses.py run                # all sets
    USL_DATA=/path/to/data python benchmarks/usl_t_losses.py run --sets digits fashion
    python benchmarks/usl_t_losses.py table

Each draw selects 20 and 40 of a set, labels them from the truth, and trains four learners; the
figure is the mean of their test accuracies. Variants share seeds, so that differences are paired.
Sets: scikit-learn's digits; 5,000 of Fashion-MNIST as pixels; 8,000 of CIFAR-10 in the features of
EfficientNet-lite1 (ImageNet-supervised); the latter two with a long tail, too (imbalance 20). Rows
are kept as they come; a stopped run goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

import usl
from usl.data.open import open_collection
from usl.evaluation.compare import Data, paired_difference, score
from usl.features.space import open_space
from usl.numeric.distances import nearest
from usl.training.frozen import label_spreading, logistic, nearest_mean, poisson

LEARNERS = (logistic, nearest_mean, label_spreading, poisson)
VARIANTS = {
    "local loss alone (Eq. 10 off)": {"tau": 1.0},
    "threshold (tau .95)": {"preset": "threshold"},
    "tau .5": {"tau": 0.5},
    "paper (tau 0)": {},
    "tau 0, local loss off at 2/3": {"tau": 0.0, "local": 2 / 3},
}
SETS = ("digits", "fashion", "fashion_tail", "cifar10", "cifar10_tail")
ROWS = Path(__file__).parent / "results" / "usl_t_losses.jsonl"
BUDGETS = (20, 40)


def main() -> None:
    """Measure, or print the table."""
    measure_or_print(__doc__, SETS, ROWS, 10, run, table)


def measure_or_print(
    about: str | None,
    sets: tuple[str, ...],
    rows: Path,
    draws: int,
    run: Callable[[str, int, Path], None],
    table: Callable[[list[dict]], None],
) -> None:
    """The command line of a study: ``run`` of each set, then the ``table`` of all rows."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--sets", nargs="+", choices=sets, default=list(sets))
    parser.add_argument("--draws", type=int, default=draws)
    parser.add_argument("--rows", type=Path, default=rows)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.what == "run":
        for name in arguments.sets:
            run(name, arguments.draws, arguments.rows)
    table(read(arguments.rows))


def run(name: str, draws: int, path: Path) -> None:
    """Every variant, budget and draw of one set that has no row yet."""
    done = {(row["set"], row["budget"], row["variant"], row["seed"]) for row in read(path)}
    data = load(name)
    near, _ = nearest(data.train, data.train, 20, exclude_self=True)
    prepared = [m.prepare(data.train) if hasattr(m, "prepare") else {} for m in LEARNERS]
    links: list[dict] = [{} for _ in LEARNERS]
    for seed in range(draws):
        for budget in BUDGETS:
            for variant, params in VARIANTS.items():
                if (name, budget, variant, seed) in done:
                    continue
                found = usl.select(
                    data.train, budget, method="usl_t", seed=seed, neighbors=near, **params
                )
                accuracies = [
                    score(found.indices, data, module, params, seed, own)[0]
                    for module, params, own in zip(LEARNERS, prepared, links, strict=True)
                ]
                row = {
                    "set": name,
                    "budget": budget,
                    "variant": variant,
                    "seed": seed,
                    "accuracy": round(100 * float(np.mean(accuracies)), 3),
                    "above_tau": round(found.history[-1]["above_tau"], 4),
                    "picks": np.sort(found.indices).tolist(),
                }
                with open(path, "a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")


def load(name: str) -> Data:
    """A set with its test items, unit rows."""
    base, _, tail = name.partition("_")
    if base == "digits":
        from sklearn.datasets import load_digits

        points, truth = load_digits(return_X_y=True)
        test = np.arange(len(points)) % 4 == 0
        train_points, test_points = points[~test], points[test]
        train_truth, test_truth = truth[~test], truth[test]
        center = train_points.mean(axis=0)
        train_points, test_points = train_points - center, test_points - center
    elif base == "fashion":
        collection = open_collection("builtin:fashion_mnist")
        space = open_space(collection, "pixels")
        of_test = collection.subsets[space.rows] == "test"
        truth = np.unique(collection.labels[space.rows], return_inverse=True)[1]
        train_points, test_points = space.features[~of_test], space.features[of_test]
        train_truth, test_truth = truth[~of_test], truth[of_test]
    else:
        folder = Path(os.environ["USL_DATA"])
        file = "cifar10_efficientnet_lite1_160_prehead320_features.npy"
        every = np.load(folder / file, mmap_mode="r")
        truth = np.load(folder / "cifar10_labels.npy").astype(int)
        chosen = np.sort(np.random.default_rng(0).permutation(50_000)[:8000])
        train_points = np.asarray(every[chosen], np.float32)
        test_points = np.asarray(every[50_000:53_000], np.float32)
        train_truth, test_truth = truth[chosen], truth[50_000:53_000]
        mean, deviation = train_points.mean(axis=0), train_points.std(axis=0) + 1e-6
        train_points = (train_points - mean) / deviation
        test_points = (test_points - mean) / deviation
    if tail:
        kept = long_tail(train_truth, 20)
        train_points, train_truth = train_points[kept], train_truth[kept]
    return Data(unit(train_points), train_truth, unit(test_points), test_truth)


def long_tail(truth: np.ndarray, imbalance: float) -> np.ndarray:
    """Rows of a subset whose classes shrink geometrically, to 1 / ``imbalance`` of the first."""
    rng, classes = np.random.default_rng(0), int(truth.max()) + 1
    most = np.bincount(truth).min()
    kept = [
        rng.permutation(np.flatnonzero(truth == number))[
            : round(most * imbalance ** (-number / (classes - 1)))
        ]
        for number in range(classes)
    ]
    return np.sort(np.concatenate(kept))


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows of unit length, float32."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-12), np.float32)


def read(path: Path) -> list[dict]:
    """The rows so far."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def table(rows: list[dict]) -> None:
    """Per set and budget: accuracy, difference to the local loss alone, picks in common."""
    base, *_ = VARIANTS
    heads = "set", "labels", "variant", "draws", "accuracy", "to the first", "same picks", "counted"
    print(f"| {' | '.join(heads)} |")
    print("|---|---|---|---|---|---|---|---|")
    for name in SETS:
        for budget in BUDGETS:
            own = [row for row in rows if row["set"] == name and row["budget"] == budget]
            alone = {row["seed"]: row for row in own if row["variant"] == base}
            for variant in VARIANTS:
                mine = {row["seed"]: row for row in own if row["variant"] == variant}
                seeds = sorted(set(mine) & set(alone))
                if not seeds:
                    continue
                values = [mine[seed]["accuracy"] for seed in seeds]
                found = paired_difference(values, [alone[seed]["accuracy"] for seed in seeds])
                same = np.mean([len(set(mine[s]["picks"]) & set(alone[s]["picks"])) for s in seeds])
                counted = np.mean([mine[seed]["above_tau"] for seed in seeds])
                print(
                    f"| {name} | {budget} | {variant} | {len(seeds)} | "
                    f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f} | "
                    f"{found.mean:+.1f} [{found.low:.1f}, {found.high:.1f}] | "
                    f"{same:.1f} | {100 * counted:.0f}% |"
                )


if __name__ == "__main__":
    main()
