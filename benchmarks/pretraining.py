"""Encoders trained without labels on the CIFAR-10 training images: a short study, and the result.

Needs ``cifar10_jpeg.npz`` in the folder that ``USL_DATA`` names (or ``--data``)::

    USL_DATA=/path/to/data python benchmarks/pretraining.py study --epochs 4   # three methods
    USL_DATA=/path/to/data python benchmarks/pretraining.py encoder            # cifar-cld-small
    USL_DATA=/path/to/data python benchmarks/pretraining.py select --model cifar-cld-small

``select`` asks what an encoder is worth to a selection: kNN accuracy, and logistic regression on 40
picks of ``usl`` against random ones, 20 paired seeds.

Records (loss, collapse, retrieval, kNN accuracy on the test images with k = 200) go to
``benchmarks/results/pretraining-*.jsonl``. A stopped training is continued by the same command.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from usl.core.files import write_json, write_json_lines
from usl.data.collection import Collection
from usl.data.images import ArrayImages
from usl.evaluation.compare import compare
from usl.evaluation.probe import knn_accuracy, knn_probe
from usl.features.space import open_space
from usl.learning.log import read_records
from usl.learning.loop_options import CHECKPOINT
from usl.pretraining.pretrain import pretrain

RESULTS = Path(__file__).parent / "results"
STUDY: dict[str, dict[str, Any]] = {
    "simclr": {"method": "simclr"},
    "moco": {"method": "moco"},
    "cld": {"method": "cld"},
    "cld-strong": {"method": "cld", "lam": 1.0, "clusters": 64, "group_temperature": 0.2},
}


def main() -> None:
    """Run the study, or train the encoder that the package ships."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["study", "encoder", "select"])
    parser.add_argument("--data", type=Path, default=None, help="default: $USL_DATA")
    parser.add_argument("--out", type=Path, default=Path("pretraining"))
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--methods", nargs="+", default=list(STUDY), choices=list(STUDY))
    parser.add_argument("--model", default="cifar-cld-small", help="of select")
    parser.add_argument("--seeds", type=int, default=20, help="of select")
    parser.add_argument("--budget", type=int, default=40, help="of select")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    collection = cifar10(arguments.data)
    if arguments.what == "select":
        judge(collection, arguments.model, arguments.budget, arguments.seeds)
        return
    names = arguments.methods if arguments.what == "study" else ["cld"]
    for name in names:
        epochs = arguments.epochs or (4 if arguments.what == "study" else 50)
        label = f"{name}-{epochs}" if arguments.what == "study" else "cifar-cld-small"
        folder = arguments.out / label
        done = pretrain(
            collection,
            folder,
            **STUDY[name],
            epochs=epochs,
            seed=0,
            resume=(folder / CHECKPOINT).is_file(),
            probe=knn_probe,
            monitor_epochs=1 if arguments.what == "study" else 5,
            progress=lines,
        )
        RESULTS.mkdir(exist_ok=True)
        write_json_lines(
            RESULTS / f"pretraining-{label}.jsonl", read_records(folder / "metrics.jsonl")
        )
        print(label, done.info["result"], flush=True)


def judge(collection: Collection, model: str, budget: int, seeds: int) -> None:
    """Print and keep the kNN accuracy of an encoder and the comparison of selections in it."""
    assert collection.labels is not None
    train = collection.subsets == "train"
    classes = collection.labels.astype(np.int64)
    space = open_space(collection, model)
    raw = space.embedding.rows
    knn = {
        k: knn_accuracy(raw[train], classes[train], raw[~train], classes[~train], k=k)
        for k in (20, 200)
    }
    print("kNN accuracy:", knn, flush=True)
    found = compare(
        space.features[train],
        classes[train],
        space.features[~train],
        classes[~train],
        budget=budget,
        methods={
            "usl": {},
            "usl_t": {"preset": "threshold"},  # the default when the published rows were made
            **{name: {} for name in ("kmeans", "random", "stratified")},
        },
        seeds=range(seeds),
        learner="logistic",
    )
    name = Path(model).stem if model.endswith(".safetensors") else Path(model).name
    record = {"knn": knn, **found.record()}
    write_json(RESULTS / f"cifar10-{name}-{budget}.json", record)
    for method in ("usl", "usl_t", "kmeans", "random", "stratified"):
        values = 100 * np.array([row.test for row in found.rows if row.method == method])
        print(f"{method:12} {values.mean():.1f} +- {values.std(ddof=1):.1f}")


def cifar10(folder: Path | None) -> Collection:
    """CIFAR-10 from its JPEG archive: 50,000 train and 10,000 test images with neutral ids."""
    found = folder or (Path(os.environ["USL_DATA"]) if "USL_DATA" in os.environ else None)
    if found is None or not (found / "cifar10_jpeg.npz").is_file():
        sys.exit("Name the folder with cifar10_jpeg.npz: USL_DATA=... or --data.")
    with np.load(found / "cifar10_jpeg.npz", allow_pickle=False) as stored:
        blob, offsets, labels = stored["blob"], stored["offsets"], stored["labels"]
        n_train = int(stored["n_train"])
    pixels = np.stack(
        [
            np.asarray(Image.open(io.BytesIO(blob[start:stop].tobytes())).convert("RGB"))
            for start, stop in pairwise(offsets)
        ]
    )
    subsets = np.where(np.arange(len(pixels)) < n_train, "train", "test")
    return Collection(
        ids=np.array([f"{subset}/{row:05d}" for row, subset in enumerate(subsets)]),
        subsets=subsets,
        images=ArrayImages(pixels, name="cifar10"),
        labels=labels.astype(str).astype(object),
        source="cifar10_jpeg.npz",
        kind="array",
    )


def lines(done: int, total: int, label: str) -> None:
    """Progress as a line now and then."""
    if done % 1000 == 0 or done == total:
        print(f"{label}: {done:,} of {total:,}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
