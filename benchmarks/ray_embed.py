"""What a cluster costs an embedding: one machine beside two workers of Ray on it, in pairs.

    python benchmarks/ray_embed.py PHOTOS --out /tmp/embed --pairs 3 --model pixels

Each is a process of its own that writes the same shards; who comes first alternates. Prints a JSON
line for each pair. ``start_seconds`` are those of the cluster, ``seconds`` of the embedding with
its workers' start; ``steady`` are images a second from the first word of progress to the last.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from usl import embed_shards, open_collection
from usl.engine.cluster import connect
from usl.engine.shards import open_shards

ENGINES = ("local", "ray")


def one(engine: str, given: argparse.Namespace) -> dict[str, Any]:
    """Embed with one engine, in this process."""
    collection = open_collection(given.photos)
    place = given.out / engine
    shutil.rmtree(place, ignore_errors=True)
    ticks: list[tuple[int, float]] = []
    how: dict[str, Any] = {"engine": engine, "shard_images": given.shard_images}
    how["progress"] = lambda done, total, label: ticks.append((done, time.perf_counter()))
    began = time.perf_counter()
    if engine == "local":
        found, started = embed_shards(collection, place, given.model, **how), 0.0
    else:
        with connect(cores=given.cores):
            started = time.perf_counter() - began
            found = embed_shards(collection, place, given.model, **how)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return {
        "images": found.computed,
        "start_seconds": round(started, 1),
        "seconds": round(found.seconds, 1),
        "steady": round((ticks[-1][0] - ticks[0][0]) / (ticks[-1][1] - ticks[0][1]), 1),
        "driver_mb": peak,
    }


def same(out: Path) -> float:
    """The largest difference between the rows of both, which are in the same order."""
    tables = [open_shards(str(out / engine)) for engine in ENGINES]
    parts = zip(*([t.read(k) for k in range(len(t.parts))] for t in tables), strict=True)
    return float(max(np.abs(a - b).max() for a, b in parts))


def main() -> None:
    """Run the pairs, each side in a process of its own; print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="pixels")
    parser.add_argument("--shard-images", type=int, default=500)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--engine", choices=ENGINES, help="this one alone, in this process")
    given = parser.parse_args()
    if given.engine:
        print(json.dumps(one(given.engine, given)), flush=True)
        return
    for pair in range(given.pairs):
        row: dict[str, Any] = {"model": given.model, "pair": pair, "load": os.getloadavg()[0]}
        for engine in ENGINES[:: 1 if pair % 2 == 0 else -1]:
            command = [sys.executable, *sys.argv, "--engine", engine]
            told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            row[engine] = json.loads(told.splitlines()[-1])
        row["ratio"] = round(row["local"]["steady"] / row["ray"]["steady"], 2)  # of time
        row["largest_difference"] = same(given.out)
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
