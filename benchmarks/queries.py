"""Every query strategy on one table: time and memory of one query of 50,000 candidates.

    python benchmarks/queries.py                       # 10 and 100 classes, budgets 10 and 100
    python benchmarks/queries.py --methods bait --classes 10 --budgets 100

The items are those of learner_scale.py, [n, 320]; labels are drawn at random, twice as many as
classes, at least one of each. Predictions are those of a nearest-mean learner, which costs next to
nothing, so that the seconds are the strategy's own. ``seconds`` and ``cpu_seconds`` (of all
threads) are of ``usl.query``; ``mib`` is the greatest resident set of its process during the call
beyond that before it (Linux). Each measurement runs in a process of its own. ``load`` is that of
the machine in the minute before the call and at its end, beside how many ``cores`` it may use:
seconds of a busy machine are too many, CPU seconds hardly.

Rows go to ``benchmarks/results/queries.jsonl``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from learner_scale import make, opened

RESULTS = Path(__file__).parent / "results" / "queries.jsonl"
WIDTH = 320


def main() -> None:
    """Make the items, measure every strategy in a process of its own, keep the rows."""
    from usl.active.contract import ORACLE, STRATEGIES

    fair = [name for name in STRATEGIES.names() if not hasattr(STRATEGIES.load(name), ORACLE)]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=50_000)
    parser.add_argument("--methods", nargs="+", default=fair)
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--budgets", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--table", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.table is not None:
        row = measure(given.table, given.n, given.classes[0], given.methods[0], given.budgets[0])
        print(json.dumps(row), flush=True)
        return
    for classes in given.classes:
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder) / "items.npy"
            truth = make(table, about(given.n, classes, table))
            np.save(table.with_suffix(".truth.npy"), truth)
            for method in given.methods:
                for budget in given.budgets:
                    row = in_own_process(given, classes, method, budget, table)
                    with open(given.results, "a") as handle:
                        handle.write(json.dumps(row) + "\n")
                    print(row, flush=True)


def about(n: int, classes: int, table: Path) -> argparse.Namespace:
    """What learner_scale.py wants to know of the items and labels."""
    return argparse.Namespace(
        n=n, classes=classes, labels=2 * classes, width=WIDTH, noise=2.0, table=table
    )


def in_own_process(given: Any, classes: int, method: str, budget: int, table: Path) -> Any:
    """One row."""
    command = [sys.executable, __file__, "--n", str(given.n), "--methods", method]
    command += ["--classes", str(classes), "--budgets", str(budget), "--table", str(table)]
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "USL_CACHE": str(table.parent)},
    )
    return json.loads(done.stdout.splitlines()[-1])


def measure(path: Path, n: int, classes: int, method: str, budget: int) -> dict[str, Any]:
    """Time and memory of one query."""
    import usl
    from usl.numeric.blocks import thread_count
    from usl.training.refit import Refit

    table, _, known = opened(about(n, classes, path))
    features = np.asarray(table, dtype=np.float32)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    learner = Refit(features, "nearest_mean")
    predictions = learner.update(known).probabilities(features)
    labeled = np.flatnonzero(known >= 0)
    Path("/proc/self/clear_refs").write_text("5")  # forget the greatest resident set so far
    before, load = resident("VmRSS"), os.getloadavg()[0]
    wall, cpu = time.perf_counter(), time.process_time()
    found = usl.query(
        features,
        budget,
        labeled=labeled,
        classes=known[labeled],
        method=method,
        predictions=predictions,
        learner=learner,
    )
    return {
        "method": method,
        "n": n,
        "width": WIDTH,
        "classes": classes,
        "labels": len(labeled),
        "budget": budget,
        "seconds": round(time.perf_counter() - wall, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
        "mib": round((resident("VmHWM") - before) / 2**20),
        "cores": thread_count(),
        "load": [round(load, 1), round(os.getloadavg()[0], 1)],
        "machine": f"{platform.system()} {platform.machine()}",
        "parameters": found.parameters,
        "version": usl.__version__,
        "first": found.indices[:5].tolist(),
    }


def resident(which: str) -> int:
    """The resident set of this process, now (``VmRSS``) or at most (``VmHWM``), in bytes."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith(which))


if __name__ == "__main__":
    main()
