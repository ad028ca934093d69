"""The methods that train a network, on Fashion-MNIST with 40 labels picked by USL.

    usl pretrain /usr/share/datasets/fashion-mnist --out enc --epochs 8
    python benchmarks/networks.py /usr/share/datasets/fashion-mnist enc --seeds 3

For every seed USL picks 40 of the 60,000 train images in the space of ``enc``, an encoder trained
without labels. All methods learn from these 40 labels with their preset ``cpu``: those of the first
table from random weights of the compact network, those of the second from ``enc``. Accuracy is
that on the 10,000 test images; ``train`` is that on the 59,960 train images without a label.

Rows go to ``benchmarks/results/networks.jsonl`` and the records of the trainings (loss, share of
sure images, ...) to ``networks-curves.jsonl``. A second call continues, and several may run side by
side: each takes what no other has begun.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from usl.data.collection import Collection
from usl.data.open import open_collection
from usl.evaluation.compare import paired_difference
from usl.evaluation.evaluate import evaluate
from usl.learning.log import METRICS, read_records
from usl.run.folder import Run
from usl.selection.start_run import start_run
from usl.training.train import train
from usl.training.train_network import FOLDER

RESULTS = Path(__file__).parent / "results"
ROWS, CURVES = RESULTS / "networks.jsonl", RESULTS / "networks-curves.jsonl"
FROM_RANDOM = (
    "supervised",
    "fixmatch",
    "fixmatch-eman",
    "mixmatch",
    "comatch",
    "flexmatch",
    "freematch",
    "softmatch",
    "debiaspl",
)
FROM_ENCODER = ("supervised", "simclrv2", "simclrv2_cld")
OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {"fixmatch-eman": ("fixmatch", {"eman": True})}


def main() -> None:
    """Run what is missing and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("encoder")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", nargs="+", default=None, help="default: all")
    parser.add_argument("--steps", type=int, default=None, help="default: the preset's")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=None, help="another file than networks.jsonl")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "usl-networks")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    collection = open_collection(given.source)
    rows = given.out or ROWS
    curves = CURVES if given.out is None else given.out.with_suffix(".curves.jsonl")
    for seed in range(given.seeds):
        for start, names in (("random", FROM_RANDOM), (given.encoder, FROM_ENCODER)):
            for name in names:
                if given.methods is None or name in given.methods:
                    one(collection, given, name, start, seed, rows, curves)
    table(read_rows(rows))


def one(
    collection: Collection,
    given: Any,
    name: str,
    start: str,
    seed: int,
    rows: Path,
    curves: Path,
) -> None:
    """Train and test one method, unless another process did or does."""
    begins = "random" if start == "random" else "encoder"
    key = f"{name}-{begins}-{seed}"
    if any(row["key"] == key for row in read_rows(rows)):
        return
    given.work.mkdir(parents=True, exist_ok=True)
    claim = given.work / f"{rows.stem}-{key}"
    try:
        claim.mkdir()
    except FileExistsError:
        return
    method, options = OPTIONS.get(name, (name, {}))
    options = dict(options) | ({} if given.steps is None else {"steps": given.steps})
    run = labeled_run(collection, given.encoder, seed, claim)
    began, busy = time.perf_counter(), time.process_time()
    run = train(
        run,
        method=method,
        seed=seed,
        collection=collection,
        **({} if begins == "random" else {"model": given.encoder}),
        **options,
    )
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    figures = evaluate(run, collection=collection)
    records = read_records(run.path / FOLDER / METRICS)
    steps = [record for record in records if "loss" in record]
    append(
        rows,
        {
            "key": key,
            "method": name,
            "start": begins,
            "seed": seed,
            "test": figures["test"]["accuracy"],
            "train": figures["train"]["accuracy"],
            "coverage": figures["picks"]["coverage"],
            "balance": figures["picks"]["balance"],
            "steps": steps[-1]["step"],
            "seconds": round(seconds, 1),
            "cpu_seconds": round(busy, 1),
            "threads": torch.get_num_threads(),
            "wait": waiting(steps),
        },
    )
    for record in steps:
        append(curves, {"key": key, **record})
    print(read_rows(rows)[-1], flush=True)


def labeled_run(collection: Collection, encoder: str, seed: int, folder: Path) -> Run:
    """A run of 40 USL picks whose labels the oracle gave: the only place that reads the truth."""
    run = start_run(collection, 40, folder / "run", method="usl", model=encoder, seed=seed)
    split = run.split()
    assert collection.labels is not None
    truth = dict(zip(collection.ids.tolist(), collection.labels.tolist(), strict=True))
    rows = split.requested()
    split.with_labels(rows, [truth[name] for name in split.ids[rows].tolist()]).write(run.path)
    return run


def waiting(records: list[dict[str, Any]]) -> float:
    """Share of the time in which the loop waited for data or kept books."""
    shares = [record["wait_share"] + record["keep_share"] for record in records]
    return round(float(np.mean(shares)), 4)


def append(path: Path, row: dict[str, Any]) -> None:
    """One line, whole: several processes write to the same file."""
    with open(path, "ab", buffering=0) as handle:
        handle.write((json.dumps(row) + "\n").encode())
        os.fsync(handle.fileno())


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows there are."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(rows: list[dict[str, Any]]) -> None:
    """Mean, sd and difference to ``supervised`` from the same start."""
    for begins in ("random", "encoder"):
        found = [row for row in rows if row["start"] == begins]
        base = {row["seed"]: row["test"] for row in found if row["method"] == "supervised"}
        for name in dict.fromkeys(row["method"] for row in found):
            own = {row["seed"]: row["test"] for row in found if row["method"] == name}
            values = 100 * np.array(list(own.values()))
            both = sorted(own.keys() & base.keys())
            gain = paired_difference([own[s] for s in both], [base[s] for s in both])
            print(
                f"{begins:8} {name:14} {values.mean():.1f} +- {values.std(ddof=1):.1f} "
                f"({100 * gain.mean:+.1f} [{100 * gain.low:.1f}, {100 * gain.high:.1f}], "
                f"n = {len(values)})"
            )


if __name__ == "__main__":
    main()
