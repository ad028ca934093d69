"""Selection from shards on Ray: time, memory and bytes moved, beside one machine where it fits.

    python benchmarks/ray_scale.py --rows 1000000 --picks 10000 --out /tmp/scale

Points of a mixture in 64 dimensions, float16, made from a seed. Prints one JSON line: seconds, and
megabytes that the workers have read and written, of each stage (the kernel's count of their reads
and writes, cached or not); the most memory that the driver and any worker has held.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from contextlib import suppress
from pathlib import Path

import numpy as np

from usl import select
from usl.core.progress import Progress
from usl.engine.cluster import connect
from usl.engine.executor import Executor, InProcess, OnRay
from usl.engine.shards import Shards, open_shards, write_record, write_shard
from usl.selection.sharded.select_shards import ShardSelection, select_shards

WIDTH, SHARD, CLUMPS = 64, 250_000, 5_000


def make(folder: Path, rows: int) -> Shards:
    """Shards of ``rows`` points around ``CLUMPS`` centres, made once."""
    if not (folder / "_features.json").exists():
        centers = np.random.default_rng(0).normal(size=(CLUMPS, WIDTH)).astype(np.float32)
        parts = []
        for number, first in enumerate(range(0, rows, SHARD)):
            rng = np.random.default_rng([1, number])
            size = min(SHARD, rows - first)
            spread = rng.normal(scale=0.7, size=(size, WIDTH)).astype(np.float32)
            points = (centers[rng.integers(0, CLUMPS, size)] + spread).astype(np.float16)
            ids = [f"{row:09d}" for row in range(first, first + size)]
            parts.append(write_shard(str(folder), number, ids, points))
        write_record(str(folder), WIDTH, parts, {"name": "mixture"})
    return open_shards(str(folder))


class Stages:
    """A progress that notes seconds, and megabytes read and written by workers, of stages."""

    def __init__(self) -> None:
        self.taken: dict[str, list[float]] = {}
        self.worker_mb = 0
        self.last = self._now()

    def __call__(self, done: int, total: int, label: str) -> None:
        """See :class:`usl.core.progress.Progress`."""
        before, self.last = self.last, self._now()
        taken = self.taken.setdefault(label, [0.0, 0.0, 0.0])
        for place, (now, then) in enumerate(zip(self.last, before, strict=True)):
            taken[place] += now - then

    def _now(self) -> tuple[float, float, float]:
        """Seconds, and megabytes that workers have read and written so far."""
        read = written = 0
        for worker in workers():
            with suppress(OSError):  # it has ended
                told = dict(line.split(": ") for line in (worker / "io").read_text().splitlines())
                read, written = read + int(told["rchar"]), written + int(told["wchar"])
                peak = (worker / "status").read_text().split("VmHWM:")[1].split()[0]
                self.worker_mb = max(self.worker_mb, int(peak) >> 10)
        return time.perf_counter(), read / 1e6, written / 1e6


def workers() -> list[Path]:
    """The workers of the cluster that this process has started, as folders of ``/proc``."""
    parents, names = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            names[folder] = (folder / "cmdline").read_bytes()
            parents[int(folder.name)] = int(
                (folder / "stat").read_text().rpartition(")")[2].split()[1]
            )

    def ours(process: int) -> bool:
        while process in parents:
            process = parents[process]
            if process == os.getpid():
                return True
        return False

    return [f for f, name in names.items() if name.startswith(b"ray::") and ours(int(f.name))]


def measured(
    shards: Shards, picks: int, executor: Executor, scratch: Path, progress: Progress
) -> tuple[ShardSelection, float]:
    """The selection and its seconds."""
    began = time.perf_counter()
    found = select_shards(shards, picks, executor, scratch=str(scratch), progress=progress)
    progress(1, 1, "order and ids")
    return found, time.perf_counter() - began


def main() -> None:
    """Make, select, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--picks", type=int, default=10_000)
    parser.add_argument("--cores", type=int, default=2, help="workers; 0: in this process")
    parser.add_argument("--one", action="store_true", help="one machine's selection, too")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    shards = make(given.out / f"shards-{given.rows}", given.rows)
    stages, row = Stages(), {"rows": given.rows, "picks": given.picks, "cores": given.cores}
    scratch = given.out / f"work-{given.rows}-{given.cores}-{time.time_ns()}"
    if given.cores:
        with connect(cores=given.cores) as cluster:
            found, seconds = measured(shards, given.picks, OnRay(cluster), scratch, stages)
    else:
        found, seconds = measured(shards, given.picks, InProcess(), scratch, stages)
    row |= {"seconds": round(seconds, 1)}
    row["stages"] = {name: [round(x, 1) for x in taken] for name, taken in stages.taken.items()}
    row["worker_mb"] = stages.worker_mb
    row["driver_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    row |= {name: found.parameters.get(name) for name in ("probes", "recall")}
    row["sum_of_picked_rows"] = int(found.rows.sum())
    if given.one:
        table = np.concatenate([shards.read(number) for number in range(len(shards.parts))])
        began = time.perf_counter()
        one = select(table, given.picks, method="usl")
        row["one_machine_seconds"] = round(time.perf_counter() - began, 1)
        row["one_machine_parameters"] = {
            name: one.parameters.get(name) for name in ("probes", "recall")
        }
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
