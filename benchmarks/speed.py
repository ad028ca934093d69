"""Time and memory of ``usl.select`` beside faiss's exact search, in one run on this machine.

50,000 x 128 points, k = 400, budget 40, every step exact. Real features come from ``USL_DATA``
(see cifar10.py), reduced to 128 dimensions; without it the points are drawn at random, which
changes neither side's number of operations.

    python benchmarks/speed.py --pairs 3
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from usl.features.preprocessing import Preprocessing


def points() -> np.ndarray:
    """50,000 unit rows of 128 dimensions."""
    folder = os.environ.get("USL_DATA")
    path = Path(folder or "") / "cifar10_efficientnet_lite1_160_prehead320_features.npy"
    if folder and path.is_file():
        rows = np.load(path)[:50_000]
        return Preprocessing.fit(rows, center=True, standardize=True, pca=128).transform(rows)
    rows = np.random.default_rng(0).normal(size=(50_000, 128)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def main() -> None:
    """Alternate the two sides, each in a process of its own, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--side", choices=["usl", "faiss"], help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, default=None, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        measure(arguments.side, np.load(arguments.file))
        return
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "points.npy"
        np.save(file, points())
        ratios = []
        for _ in range(arguments.pairs):
            seconds = {}
            for side in ("usl", "faiss"):
                command = [sys.executable, __file__, "--side", side, "--file", str(file)]
                answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
                seconds[side], peak = (float(word) for word in answer.split())
                print(f"{side:>6}: {seconds[side]:6.2f} s, peak {peak:5.2f} GB")
            ratios.append(seconds["usl"] / seconds["faiss"])
            print(f" ratio: {ratios[-1]:.2f}")
        print(f"usl.select takes {statistics.median(ratios):.2f} of faiss's exact search (median)")


def measure(side: str, features: np.ndarray) -> None:
    """Seconds of one side, and the peak resident memory of the process in GB."""
    began = time.perf_counter()
    if side == "usl":
        import usl

        usl.select(features, 40, method="usl")
    else:
        import faiss

        index = faiss.IndexFlatL2(features.shape[1])
        index.add(features)
        index.search(features, 401)
    seconds = time.perf_counter() - began
    print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)


if __name__ == "__main__":
    main()
