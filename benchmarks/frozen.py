"""Which learner on frozen features makes the most of 40 labels? CIFAR-10, paired seeds.

    USL_DATA=/path/to/data python benchmarks/frozen.py --seeds 10

Data as in cifar10.py: the features come from a network trained on ImageNet *with labels*; every
figure rests on that. The labels are those of ``usl``'s picks among the 50,000 train images (paper
preset), or of another ``--method``'s, the same for every learner at one seed. Two protocols:

- ``transductive``: the 10,000 test images are among the 60,000 that are learnt from, as the images
  of a collection are; never their labels.
- ``inductive``: the learner sees the 50,000 train images only.

Either way the accuracy is that on the 10,000 test images. ``seconds`` is wall time and ``cpu``
processor time of ``fit``; the neighbour search, once per protocol, is reported by itself and is
part of what one training costs.

Rows and picks go to ``benchmarks/results/`` as they are finished; a second call continues.
"""

from __future__ import annotations

import argparse
import inspect
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from cifar10 import RESULTS, read

import usl
from usl.core.files import write_json
from usl.evaluation.compare import paired_difference
from usl.numeric.stage_cache import KeepInMemory
from usl.training.contract import FROZEN

PROTOCOLS = ("transductive", "inductive")
PRIORS = (None, "labels", "uniform")
LEARNERS: dict[str, tuple[str | None, ...]] = {
    "logistic": (None,),
    "label_spreading": ("off", *PRIORS),  # off: as published
    "poisson": ("off", *PRIORS),
    "paws": PRIORS,
    "flexmatch_features": PRIORS,
}


def main() -> None:
    """Run what is missing and print the summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=None, help="default: $USL_DATA")
    parser.add_argument("--budget", type=int, default=40)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--method", default="usl", help="whose picks are labelled")
    parser.add_argument("--learners", nargs="+", default=list(LEARNERS), choices=list(LEARNERS))
    parser.add_argument("--protocols", nargs="+", default=list(PROTOCOLS), choices=PROTOCOLS)
    arguments = parser.parse_args()
    train, train_truth, test, test_truth = read(arguments.data)
    truth = np.concatenate([train_truth, test_truth])
    whose = "" if arguments.method == "usl" else f"-{arguments.method}"
    path = RESULTS / f"frozen-{arguments.budget}{whose}.json"
    keep = KeepInMemory()  # neighbours and densities do not depend on the seed
    stored: dict[str, Any] = {"budget": arguments.budget, "picks": {}, "search": {}, "rows": []}
    if path.exists():
        stored |= json.loads(path.read_text())
    done = {key_of(row) for row in stored["rows"]}
    for protocol in arguments.protocols:
        items = np.concatenate([train, test]) if protocol == "transductive" else train
        shared: dict[str, Any] = {}
        for seed in range(arguments.seeds):
            if str(seed) not in stored["picks"]:
                picks = usl.select(
                    train, arguments.budget, method=arguments.method, seed=seed, resume=keep
                )
                stored["picks"][str(seed)] = picks.indices.tolist()
            for learner in arguments.learners:
                for prior in LEARNERS[learner]:
                    what = {"protocol": protocol, "learner": learner, "prior": prior, "seed": seed}
                    if key_of(what) in done:
                        continue
                    params = prepared(learner, items, shared, stored["search"], protocol)
                    params |= {} if prior is None else {"class_prior": prior}
                    picks = np.array(stored["picks"][str(seed)])
                    found = one(learner, params, items, test, truth, picks, seed)
                    stored["rows"].append({**what, **found})
                    print(stored["rows"][-1], flush=True)
                    write_json(path, stored)
    print_summary(stored)


def key_of(row: dict[str, Any]) -> tuple[Any, ...]:
    """What makes a row unique."""
    return tuple(row[name] for name in ("protocol", "learner", "prior", "seed"))


def prepared(
    learner: str,
    items: np.ndarray,
    shared: dict[str, Any],
    search: dict[str, Any],
    protocol: str,
) -> dict[str, Any]:
    """What the learner needs of the features alone: computed once, for all that take it."""
    module = FROZEN.load(learner)
    takes = inspect.signature(module.fit).parameters.keys()
    if hasattr(module, "prepare") and not shared.keys() & takes:
        began, cpu = time.perf_counter(), time.process_time()
        found = module.prepare(items)
        shared |= found
        search[f"{protocol} {' '.join(found)}"] = {
            "seconds": round(time.perf_counter() - began, 2),
            "cpu": round(time.process_time() - cpu, 2),
        }
    return {name: shared[name] for name in shared.keys() & takes}


def one(
    learner: str,
    params: dict[str, Any],
    items: np.ndarray,
    test: np.ndarray,
    truth: np.ndarray,
    picks: np.ndarray,
    seed: int,
) -> dict[str, Any]:
    """Train once; accuracies as fractions, seconds of the training alone."""
    module = FROZEN.load(learner)
    known = np.unique(truth[picks])  # a class that no pick belongs to cannot be learnt
    classes = np.full(len(items), -1, dtype=np.int64)
    classes[picks] = np.searchsorted(known, truth[picks])
    began, cpu = time.perf_counter(), time.process_time()
    model = module.fit(items, classes, np.ones(len(items)), len(known), seed=seed, **params)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    own = model.fitted() if len(items) == len(truth) else None
    p = model.probabilities(test) if own is None else own[-len(test) :]
    right = known[p.argmax(axis=1)] == truth[-len(test) :]
    return {
        "test": round(float(right.mean()), 5),
        "confidence": round(float(p.max(axis=1).mean()), 4),
        "seconds": round(seconds, 3),
        "cpu": round(cpu, 3),
    }


def print_summary(stored: dict[str, Any]) -> None:
    """Mean and sd per learner and prior, and the paired gain over logistic, in per cent."""
    for protocol in PROTOCOLS:
        rows = [row for row in stored["rows"] if row["protocol"] == protocol]
        if not rows:
            continue
        base = {row["seed"]: 100 * row["test"] for row in rows if row["learner"] == "logistic"}
        print(
            f"\n| {protocol} | prior | seeds | accuracy | over logistic | confidence | s | cpu s |"
        )
        print("|---|---|---|---|---|---|---|---|")
        for learner, priors in LEARNERS.items():
            for prior in priors:
                own = [row for row in rows if (row["learner"], row["prior"]) == (learner, prior)]
                if own:
                    print(line(learner, prior, own, base))
        for name, cost in stored["search"].items():
            if name.startswith(protocol):
                print(f"\nNeighbour search ({name}): {cost['seconds']} s, {cost['cpu']} cpu s.")


def line(
    learner: str, prior: str | None, rows: list[dict[str, Any]], base: dict[int, float]
) -> str:
    """One line of the table."""
    test = [100 * row["test"] for row in rows]
    sd = f" ± {np.std(test, ddof=1):.1f}" if len(test) > 1 else ""
    both = [row for row in rows if row["seed"] in base]
    gain = ""
    if both and learner != "logistic":
        found = paired_difference(
            [100 * row["test"] for row in both], [base[row["seed"]] for row in both]
        )
        gain = f"{found.mean:+.1f} [{found.low:+.1f}, {found.high:+.1f}]"
    median = {name: float(np.median([row[name] for row in rows])) for name in ("seconds", "cpu")}
    confidence = 100 * np.mean([row["confidence"] for row in rows])
    return (
        f"| {learner} | {prior or ''} | {len(rows)} | {np.mean(test):.1f}{sd} | {gain} "
        f"| {confidence:.0f} | {median['seconds']:.1f} | {median['cpu']:.1f} |"
    )


if __name__ == "__main__":
    main()
