"""CPU seconds of selections by this version and by another one, in one run on this machine.

    git worktree add /tmp/before COMMIT
    export USL_PREPARED=/path/to/prepared                     # see prepare.py
    python benchmarks/before_after.py /tmp/before --methods quorum usl --n 9000 50000

Both versions select at the same time, each in a process of its own on one thread, so that whatever
else the machine does slows both. The features are those of CIFAR-10 (centred and standardised),
320 dimensions; without ``USL_PREPARED`` points drawn at random, on which the number of operations
differs a little. Rows go to ``benchmarks/results/before_after.jsonl``: the CPU seconds of each
pair of selections, the median of their ratios, and how many picks are the same.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results" / "before_after.jsonl"
OURS = Path(__file__).parents[1]


def points(n: int) -> np.ndarray:
    """``n`` unit rows of 320 dimensions."""
    from usl.features.preprocessing import Preprocessing

    folder = os.environ.get("USL_PREPARED")
    if folder:
        rows = np.load(Path(folder) / "cifar10_lite1.npz")["features"][:n].astype(np.float32)
        return Preprocessing.fit(rows, center=True, standardize=True).transform(rows)
    rows = np.random.default_rng(0).normal(size=(n, 320)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def main() -> None:
    """Measure pairs of selections, and write a row for each method and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", type=Path, nargs="?", help="a checkout of the other version")
    parser.add_argument("--methods", nargs="+", default=["quorum"])
    parser.add_argument("--n", type=int, nargs="+", default=[9000])
    parser.add_argument("--budget", type=int, default=40)
    parser.add_argument("--pairs", type=int, default=3, help="each with a seed of its own")
    parser.add_argument("--inside", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        measure(Path(given.inside[0]), given.methods[0], given.budget, int(given.inside[1]))
        return
    if given.before is None:
        parser.error("a checkout of the other version is needed")
    for n in given.n:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "points.npy"
            np.save(file, points(n))
            for method in given.methods:
                pairs = [
                    pair(given.before, file, method, given, seed) for seed in range(given.pairs)
                ]
                row = summed(pairs) | {"method": method, "n": n, "d": 320, "budget": given.budget}
                print(json.dumps(row), flush=True)
                with RESULTS.open("a") as handle:
                    handle.write(json.dumps(row) + "\n")


def pair(
    before: Path, file: Path, method: str, given: argparse.Namespace, seed: int
) -> dict[str, list]:
    """CPU seconds and picks of both versions, the other one first."""
    running = []
    for tree in (before, OURS):
        command = [sys.executable, __file__, "--inside", str(file), str(seed), "--methods", method]
        command += ["--budget", str(given.budget)]
        own = {**os.environ, "PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1"}
        running.append(subprocess.Popen(command, env=own, stdout=subprocess.PIPE, text=True))
    answers = [json.loads(process.communicate()[0]) for process in running]
    return {key: [answer[key] for answer in answers] for key in answers[0]}


def measure(file: Path, method: str, budget: int, seed: int) -> None:
    """Print the CPU seconds of a selection, without imports, and its picks."""
    from usl.selection.select import select

    features = np.load(file)
    select(features[:300], 5, method=method)  # imports what it needs
    began = time.process_time()
    found = select(features, budget, method=method, seed=seed)
    seconds = time.process_time() - began
    print(json.dumps({"seconds": round(seconds, 2), "picks": found.indices.tolist()}))


def summed(pairs: list[dict[str, list]]) -> dict[str, object]:
    """A row's figures."""
    before, after = zip(*(one["seconds"] for one in pairs), strict=True)
    ratios = [new / old for old, new in zip(before, after, strict=True)]
    same = [len(set(old) & set(new)) for old, new in (one["picks"] for one in pairs)]
    return {
        "before": list(before),
        "after": list(after),
        "ratio": round(statistics.median(ratios), 3),
        "same_picks": same,
    }


if __name__ == "__main__":
    main()
