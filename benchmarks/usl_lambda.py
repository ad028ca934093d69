"""Does USL's regulariser help? Figure 7 a to c: accuracy, changed picks and density by lambda.

    USL_DATA=... USL_PREPARED=... python benchmarks/usl_lambda.py run          # all sets
    python benchmarks/usl_lambda.py table

20 draws, 10 to 250 labels, four learners. The partition of a draw is the same for every lambda, so
that differences are those of the exchange alone (Eq. 5-7). All else is the preset `paper`, but that
k is the share of the images that its 400 are of 50,000. Sets: CIFAR-10 in two spaces,
EfficientNet-lite1's (which rest on ImageNet labels) and cifar-cld-small's (which rest on none),
10,000 train images, a long tail of them (imbalance 20), and all 50,000; digits and 5,000 of
Fashion-MNIST. A stopped run goes on.

USL_PREPARED holds `cifar10_cld.npz`: `usl embed cifar10.npz --model cifar-cld-small --out
cifar10_cld.npz`, of what prepare.py writes.
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
from usl.numeric.stage_cache import KeepInMemory
from usl.training.frozen import label_spreading, logistic, nearest_mean, poisson

LEARNERS = (logistic, nearest_mean, label_spreading, poisson)
ROWS = Path(__file__).parent / "results" / "usl_lambda.jsonl"
LAMBDAS = (0.0, 0.5, 1.0, 1.5, 3.0, 5.5)
BUDGETS = (10, 40, 100, 250)
SETS = (
    "digits",
    "fashion",
    "cifar10_10k",
    "cld_10k",
    "cifar10_tail",
    "cld_tail",
    "cld_all",
    "cifar10_all",
)
FILES = {"cifar10": "cifar10_lite1.npz", "cld": "cifar10_cld.npz"}
TESTED = 3000  # test images
FEWER = 10_000  # train images, but for the sets of all 50,000


def main() -> None:
    """Measure, or print the tables."""
    measure_or_print(__doc__, SETS, ROWS, 20, run, table)


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
    """Every draw, budget and lambda of one set that has no row yet."""
    done = {(row["set"], row["seed"], row["budget"], row["lambda"]) for row in read(path)}
    data = open_set(name)
    keep = KeepInMemory()
    k = round(400 * len(data.train) / 50_000)
    prepared = [m.prepare(data.train) if hasattr(m, "prepare") else {} for m in LEARNERS]
    links: list[dict] = [{} for _ in LEARNERS]
    for seed in range(draws):
        for budget in BUDGETS:
            before = None
            for lam in (*LAMBDAS, None):
                if (name, seed, budget, lam) in done and lam != 0:
                    continue
                if lam is None:
                    found = usl.select(data.train, budget, method="random", seed=seed)
                else:
                    given = {"method": "usl", "resume": keep, "lam": lam, "k": k}
                    found = usl.select(data.train, budget, seed=seed, **given)
                density = None if lam is None else float(found.columns["density"].mean())
                if lam == 0:
                    before = found.indices, density
                if (name, seed, budget, lam) in done:
                    continue
                row = {"set": name, "seed": seed, "budget": budget, "lambda": lam}
                if lam is not None:
                    same = len(np.intersect1d(found.indices, before[0]))
                    row |= {"changed": 1 - same / budget, "density": density / before[1]}
                row["accuracy"] = [
                    round(100 * score(found.indices, data, module, params, seed, own)[0], 2)
                    for module, params, own in zip(LEARNERS, prepared, links, strict=True)
                ]
                with open(path, "a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")


def open_set(name: str) -> Data:
    """A set with its test items, unit rows; CIFAR-10 is centred and scaled as its train items."""
    base, _, part = name.partition("_")
    if base not in FILES:
        return open_pixels(name)
    with np.load(Path(os.environ["USL_PREPARED"]) / FILES[base], allow_pickle=False) as file:
        points, truth, subset = (file[key] for key in ("features", "labels", "subset"))
    truth = np.unique(truth, return_inverse=True)[1]
    train, test = np.flatnonzero(subset == "train"), np.flatnonzero(subset == "test")[:TESTED]
    if part != "all":
        train = np.sort(np.random.default_rng(0).choice(train, FEWER, replace=False))
    if part == "tail":
        train = train[long_tail(truth[train], 20)]
    known, asked = points[train].astype(np.float32), points[test].astype(np.float32)
    mean, deviation = known.mean(axis=0), known.std(axis=0) + 1e-6
    known, asked = (known - mean) / deviation, (asked - mean) / deviation
    return Data(unit(known), truth[train], unit(asked), truth[test])


def open_pixels(name: str) -> Data:
    """Digits, or the 5,000 of Fashion-MNIST that come with the package, as unit rows."""
    if name == "digits":
        from sklearn.datasets import load_digits

        points, truth = load_digits(return_X_y=True)
        test = np.arange(len(points)) % 4 == 0
        points = points - points[~test].mean(axis=0)
    else:
        collection = open_collection("builtin:fashion_mnist")
        space = open_space(collection, "pixels")
        points, test = space.features, collection.subsets[space.rows] == "test"
        truth = np.unique(collection.labels[space.rows], return_inverse=True)[1]
    return Data(unit(points[~test]), truth[~test], unit(points[test]), truth[test])


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
    """Accuracy (mean of the learners) by lambda, less that of lambda 0; changed picks; density."""
    for name in SETS:
        own = [row for row in rows if row["set"] == name]
        if not own:
            continue
        print(f"\n{name}\n")
        labels = ["0", *(f"{lam:g}" for lam in LAMBDAS[1:])]
        print(f"| labels | draws | random | {' | '.join(labels)} | changed | density |")
        print("|---" * (5 + len(LAMBDAS)) + "|")
        for budget in BUDGETS:
            found = {
                lam: {r["seed"]: r for r in own if r["budget"] == budget and r["lambda"] == lam}
                for lam in (*LAMBDAS, None)
            }
            seeds = sorted(set.intersection(*(set(by_seed) for by_seed in found.values())))
            if not seeds:
                continue
            mean = {
                lam: np.array([np.mean(by_seed[s]["accuracy"]) for s in seeds])
                for lam, by_seed in found.items()
            }
            cells = [f"{mean[None].mean():.1f}", f"{mean[0.0].mean():.1f}"]
            for lam in LAMBDAS[1:]:
                gain = paired_difference(mean[lam], mean[0.0])
                cells.append(f"{gain.mean:+.1f} [{gain.low:.1f}, {gain.high:.1f}]")
            ends = [
                np.mean([found[LAMBDAS[i]][s][figure] for s in seeds])
                for figure in ("changed", "density")
                for i in (1, -1)
            ]
            cells.append(f"{100 * ends[0]:.0f}% to {100 * ends[1]:.0f}%")
            cells.append(f"{ends[2]:.2f} to {ends[3]:.2f}")
            print(f"| {budget} | {len(seeds)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
