"""USL-T end to end: does it collapse, and is the backbone better after it? (Table 8's effect.)

    usl pretrain /usr/share/datasets/fashion-mnist --out enc --epochs 8
    python benchmarks/end_to_end.py /usr/share/datasets/fashion-mnist enc --name fashion-mnist

For every seed 40 images are selected by ``usl_t --end-to-end``, starting from the encoder. Then, in
the space before and in the space after, each with its own mean and deviation removed:

- *few*: logistic regression on the 40 picks, and on 40 random images, accuracy on the test images
  (the linear protocol of Table 8, where the 40 selected labels train the last layer);
- *all*: the same on all train labels.

Rows go to ``benchmarks/results/end-to-end-NAME.json``; a second call continues.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from usl.core.files import read_json, write_json
from usl.data.collection import Collection
from usl.data.open import open_collection
from usl.evaluation.metrics import balance, coverage
from usl.evaluation.probe import linear_accuracy
from usl.features.space import open_space
from usl.selection.start_run import start_run
from usl.training.frozen import logistic

RESULTS = Path(__file__).parent / "results"
STANDARD = {"center": True, "standardize": True}


def main() -> None:
    """Run the seeds that are missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("encoder")
    parser.add_argument("--name", required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", type=int, default=40)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--keep", type=Path, default=None, help="folder for the trained runs")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    collection = source(arguments.source)
    path = RESULTS / f"end-to-end-{arguments.name}.json"
    rows: list[dict[str, Any]] = read_json(path)["rows"] if path.exists() else []
    before = space_of(collection, arguments.encoder)
    baseline = None if rows else everything(*before)
    for seed in range(arguments.seeds):
        if any(row["seed"] == seed for row in rows):
            continue
        with tempfile.TemporaryDirectory() as scratch:
            out = (arguments.keep or Path(scratch)) / f"run-{seed}"
            began = time.perf_counter()
            run = start_run(
                collection,
                arguments.budget,
                out,
                method="usl_t",
                model=arguments.encoder,
                seed=seed,
                overwrite=True,
                end_to_end=True,
                epochs=arguments.epochs,
                network_lr=arguments.lr,
            )
            seconds = time.perf_counter() - began
            after = space_of(collection, str(out))
            row = measure(collection, run, seed, before, after)
        row |= {
            "seconds": round(seconds, 1),
            "all_before": baseline if baseline is not None else rows[0]["all_before"],
            "all_after": everything(*after),
        }
        baseline = row["all_before"]
        rows.append(row)
        write_json(
            path,
            {
                "encoder": Path(arguments.encoder).name,
                "budget": arguments.budget,
                "epochs": arguments.epochs,
                "lr": arguments.lr,
                "rows": rows,
            },
        )
        print(row, flush=True)
    for name in ("few_before", "few_after", "random_before", "random_after", "all_after"):
        values = 100 * np.array([row[name] for row in rows])
        print(f"{name:14} {values.mean():.1f} +- {values.std(ddof=1):.1f}  (n = {len(values)})")
    print(f"all_before     {100 * rows[0]['all_before']:.1f}")


def source(name: str) -> Collection:
    """A collection by path, or CIFAR-10's JPEG archive by the name of its folder."""
    if (Path(name) / "cifar10_jpeg.npz").is_file():
        from pretraining import cifar10

        return cifar10(Path(name))
    return open_collection(name)


Space = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def space_of(collection: Collection, encoder: str) -> Space:
    """Train and test points of an encoder, and their classes."""
    space = open_space(collection, encoder, settings=STANDARD)
    assert collection.labels is not None
    classes = np.unique(collection.labels.astype(str), return_inverse=True)[1]
    train = collection.subsets == "train"
    return (
        space.features[train],
        classes[train].astype(np.int64),
        space.features[~train],
        classes[~train].astype(np.int64),
    )


def everything(
    train: np.ndarray, classes: np.ndarray, test: np.ndarray, answers: np.ndarray
) -> float:
    """The linear protocol with all labels."""
    return round(linear_accuracy(train, classes, test, answers), 4)


def measure(
    collection: Collection, run: Any, seed: int, before: Space, after: Space
) -> dict[str, Any]:
    """Accuracies on few labels in both spaces, and the health of the clusters."""
    split = run.split()
    ids = collection.ids[collection.subsets == "train"]
    position = {name: row for row, name in enumerate(ids.tolist())}
    picks = np.array([position[split.ids[row]] for row in split.requested()])
    chance = np.random.default_rng(seed).permutation(len(ids))[: len(picks)]
    classes, count = before[1], int(before[1].max()) + 1
    record = (run.path / "metrics.jsonl").read_text().splitlines()[-1]
    last = json.loads(record)
    return {
        "seed": seed,
        "few_before": few(before, picks),
        "few_after": few(after, picks),
        "random_before": few(before, chance),
        "random_after": few(after, chance),
        "coverage": coverage(classes[picks], count),
        "balance": round(balance(classes[picks], count), 4),
        "entropy": last["entropy"],
        "smallest": last["smallest"],
        "largest": last["largest"],
    }


def few(space: Space, rows: np.ndarray) -> float:
    """Test accuracy of logistic regression on the labels of some rows."""
    train, classes, test, answers = space
    known = np.full(len(train), -1, dtype=np.int64)
    names, numbers = np.unique(classes[rows], return_inverse=True)
    known[rows] = numbers
    model = logistic.fit(train, known, np.ones(len(train)), len(names))
    return round(float((names[model.probabilities(test).argmax(axis=1)] == answers).mean()), 4)


if __name__ == "__main__":
    main()
