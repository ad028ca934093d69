"""``accord`` from a few thousand to 1.28 million items: time, memory, and what is lost.

    python benchmarks/learner_scale.py fit 1281167 1000 12820   # the whole of a training
    python benchmarks/learner_scale.py agreement 100000 200     # against the exact form
    python benchmarks/learner_scale.py refit 50000 10 40 --width 320   # after a label more

The items are a mixture: a direction per class, eight parts of each, and noise; their table is
a file of half precision, [n, width]. Labels are drawn at random, one of each class at least. Every
measurement runs in a process of its own; memory is its greatest resident set, ``load`` that of the
machine when it began and ended (of a minute), threads are as many as it has cores, and CPU seconds
are those of all threads.

Rows go to ``benchmarks/results/learner_scale.jsonl``.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results" / "learner_scale.jsonl"
PARTS = 8  # of a class
BLOCK = 65_536
REFITS = 5


def main() -> None:
    """Make the items, run one study in a process of its own, keep its row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", choices=list(STUDIES))
    parser.add_argument("n", type=int)
    parser.add_argument("classes", type=int)
    parser.add_argument("labels", type=int, nargs="?", default=None)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument(
        "--noise", type=float, default=2.0, help="length of the noise, of 1 + parts"
    )
    parser.add_argument("--table", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.labels = given.labels or max(given.classes, given.n // 100)
    if given.table is not None:
        print(json.dumps(STUDIES[given.study](given)), flush=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "items.npy"
        truth = make(table, given)
        np.save(table.with_suffix(".truth.npy"), truth)
        about = {k: v for k, v in vars(given).items() if k != "table"}
        done = subprocess.run(
            [sys.executable, __file__, *sys.argv[1:], "--table", str(table)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env={**os.environ, "USL_CACHE": folder},
        )
        row = about | json.loads(done.stdout.splitlines()[-1])
    with open(RESULTS, "a") as handle:
        handle.write(json.dumps(row) + "\n")
    print(row, flush=True)


def make(path: Path, given: Any) -> Any:
    """Write the items, float16 [n, width], and give their classes."""
    rng = np.random.default_rng(0)
    n, width, scale = given.n, given.width, 1 / np.sqrt(given.width)
    centres = rng.normal(size=(given.classes, width)).astype(np.float32) * scale
    parts = 0.5 * scale * rng.normal(size=(given.classes, PARTS, width)).astype(np.float32)
    truth = rng.integers(given.classes, size=n)
    table = np.lib.format.open_memmap(path, "w+", np.float16, (n, width))
    for start in range(0, n, BLOCK):
        own = truth[start : start + BLOCK]
        points = centres[own] + parts[own, rng.integers(PARTS, size=len(own))]
        noise = rng.normal(size=points.shape).astype(np.float32)
        points += given.noise * scale * noise
        table[start : start + BLOCK] = points / np.linalg.norm(points, axis=1, keepdims=True)
    table.flush()
    return truth


def opened(given: Any) -> tuple[Any, Any, Any]:
    """The mapped table, the truth and the labels."""
    truth = np.load(given.table.with_suffix(".truth.npy"))
    rng = np.random.default_rng(1)
    order = rng.permutation(given.n)
    _, first = np.unique(truth[order], return_index=True)
    rest = np.setdiff1d(np.arange(given.n), first)[: max(0, given.labels - len(first))]
    classes = np.full(given.n, -1, dtype=np.int64)
    rows = order[np.concatenate([first, rest])]
    classes[rows] = truth[rows]
    return np.load(given.table, mmap_mode="r"), truth, classes


def said(model: Any) -> Any:
    """The class of every training item."""
    best = model.told().argmax(axis=1)
    return best if model.numbers is None else model.numbers[np.arange(len(best)), best]


class Clock:
    """Wall and CPU seconds since it was made, and the load of the machine."""

    def __init__(self) -> None:
        self.load = os.getloadavg()[0]
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def row(self) -> dict[str, Any]:
        """What has been used so far."""
        from usl.numeric.blocks import thread_count

        return {
            "seconds": round(time.perf_counter() - self.wall, 2),
            "cpu_seconds": round(time.process_time() - self.cpu, 2),
            "gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
            "threads": thread_count(),
            "load": [round(self.load, 1), round(os.getloadavg()[0], 1)],
        }


def fitted(given: Any) -> dict[str, Any]:
    """Search and fit, from the file."""
    from usl.training.frozen import accord

    features, truth, classes = opened(given)
    clock, stages, last = Clock(), {}, ["reading", time.process_time()]

    def note(done: int, total: int, step: str = "") -> None:
        now = time.process_time()
        stages[step] = round(stages.get(step, 0.0) + now - last[1], 1)
        last[:] = [step, now]

    ready = accord.prepare(features, progress=note)
    search = clock.row()
    model = accord.fit(features, classes, np.ones(given.n), given.classes, progress=note, **ready)
    right = (said(model) == truth)[classes < 0].mean()
    return {
        **clock.row(),
        "search": {name: search[name] for name in ("seconds", "cpu_seconds")},
        "cpu_stages": stages,
        "accuracy": round(float(right), 4),
        "estimate": round(model.estimate, 4),
    }


def agreement(given: Any) -> dict[str, Any]:
    """The share of items without a label that both forms put into one class.

    The exact form has exact neighbours and all classes, the large one approximate neighbours, too.
    """
    from usl.numeric import neighbor_search
    from usl.training.frozen import accord
    from usl.training.shared import whitening

    features, truth, classes = opened(given)
    table, ones = np.asarray(features, dtype=np.float32), np.ones(given.n)
    whitening.IN_MEMORY = neighbor_search.EXACT_ROWS = given.n
    exact = accord.fit(table, classes, ones, given.classes)
    whitening.IN_MEMORY = neighbor_search.EXACT_ROWS = given.n - 1
    clock = Clock()
    large = accord.fit(features, classes, ones, given.classes)
    rest = classes < 0
    return {
        **clock.row(),
        "agreement": round(float((said(exact) == said(large))[rest].mean()), 4),
        "accuracy": round(float((said(large) == truth)[rest].mean()), 4),
        "accuracy_exact": round(float((said(exact) == truth)[rest].mean()), 4),
        "estimate": round(large.estimate, 4),
        "estimate_exact": round(exact.estimate, 4),
    }


def refits(given: Any) -> dict[str, Any]:
    """CPU and wall seconds of a refit after one more label; the median of a few."""
    from usl.training.refit import Refit

    features, truth, classes = opened(given)
    refit = Refit(np.asarray(features, dtype=np.float32))
    refit.update(classes, n_classes=given.classes)
    times = []
    for row in np.flatnonzero(classes < 0)[:REFITS]:
        classes[row] = truth[row]
        clock = Clock()
        model = refit.update(classes, n_classes=given.classes)
        times.append(clock.row())
    median = {
        name: float(np.median([t[name] for t in times])) for name in ("seconds", "cpu_seconds")
    }
    right = (said(model) == truth)[classes < 0].mean()
    return {**times[-1], **median, "refits": REFITS, "accuracy": round(float(right), 4)}


STUDIES: dict[str, Callable[[Any], dict[str, Any]]] = {
    "fit": fitted,
    "agreement": agreement,
    "refit": refits,
}

if __name__ == "__main__":
    main()
