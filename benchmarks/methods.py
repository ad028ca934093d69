"""Every selection method on one table: time and memory for 100 picks.

    export USL_DATA=/path/to/data
    python benchmarks/scale.py grow                            # the points, once: 656 MB
    python benchmarks/methods.py                               # 100,000 points, then a million
    python benchmarks/methods.py --n 20000 --methods kmeans cold_paws

The points are those of scale.py, and measurements are made as there: each in a process of its own,
memory without what the memory-mapped features take of it. Oracles are left out, and so are, above
200,000 points, the methods that compare all pairs, unless they are named.

Rows go to ``benchmarks/results/methods.jsonl``. A row that is there is not measured again; one that
ran longer than ``--patience`` has no figures but that (``stopped_after``, seconds). What failed is
tried again the next time.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from scale import used

RESULTS = Path(__file__).parent / "results" / "methods.jsonl"
SIZES = (100_000, 1_000_000)
BUDGET = 100
PAIRS_UP_TO = 200_000
ALL_PAIRS = {
    "probcover": "a pass over all distances",
    "rdss": "the mean kernel of every row with all rows",
}
SAMPLED = ("pool", "embedded", "sample")  # parameters that say what is approximated


def main() -> None:
    """Measure what is missing; the measurements themselves run in processes of their own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--methods", nargs="+", default=None, help="default: all but oracles")
    parser.add_argument("--budget", type=int, default=BUDGET)
    parser.add_argument("--patience", type=float, default=7200, help="seconds for one method")
    parser.add_argument(
        "--points", type=Path, default=Path(tempfile.gettempdir()) / "usl-scale.npy"
    )
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        row = measure(given.points, given.n[0], given.budget, given.methods[0])
        print(json.dumps(row), flush=True)
        return
    done = finished(given.results)
    for n in given.n:
        for method in chosen(given.methods, n):
            if (method, n, given.budget) in done:
                print(f"{method} at {n}: there already", flush=True)
                continue
            row = in_own_process(given, method, n)
            if row is None:
                print(f"{method} at {n}: failed, see above", flush=True)
                continue
            append(given.results, row)
            print(row, flush=True)


def chosen(named: list[str] | None, n: int) -> list[str]:
    """The methods to measure at ``n`` points."""
    from usl.selection.known_methods import is_oracle, list_methods

    if named is not None:
        return named
    return [
        m for m in list_methods() if not is_oracle(m) and (n <= PAIRS_UP_TO or m not in ALL_PAIRS)
    ]


def finished(path: Path) -> set[tuple[str, int, int]]:
    """Method, points and budget of every row in the file; a line cut short counts as none."""
    rows = set()
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        rows.add((row["method"], row["n"], row["budget"]))
    return rows


def append(path: Path, row: dict[str, Any]) -> None:
    """Add a row, on a line of its own whatever the last one looks like."""
    path.parent.mkdir(exist_ok=True)
    with open(path, "a+b") as handle:
        if handle.tell():
            handle.seek(-1, 2)
            if handle.read() != b"\n":
                handle.write(b"\n")
        handle.write(json.dumps(row).encode() + b"\n")


def in_own_process(given: Any, method: str, n: int) -> dict[str, Any] | None:
    """One row: figures, or after how many seconds it was stopped; None where it failed."""
    command = [sys.executable, __file__, "--inside", "--n", str(n), "--methods", method]
    command += ["--budget", str(given.budget), "--points", str(given.points)]
    row = {"method": method, "n": n, "budget": given.budget}
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=given.patience)
    except subprocess.TimeoutExpired:
        return {**row, "stopped_after": given.patience}
    return {**row, **json.loads(done.stdout.splitlines()[-1])} if done.returncode == 0 else None


def measure(path: Path, n: int, budget: int, method: str) -> dict[str, Any]:
    """``usl.select`` with the method's defaults.

    ``cpu_seconds`` of all threads together say how busy the machine was with other things.
    """
    import usl
    from usl.numeric.blocks import thread_count

    features = np.load(path, mmap_mode="r")[:n]
    if len(features) < n:
        raise SystemExit(f"{path} has {len(features)} points, not {n}.")
    wall, cpu = time.perf_counter(), time.process_time()
    picks = usl.select(features, budget, method=method, seed=0)
    return {
        "d": int(features.shape[1]),
        "seconds": round(time.perf_counter() - wall, 1),
        "cpu_seconds": round(time.process_time() - cpu, 1),
        "gb": used(features.nbytes),
        "threads": thread_count(),
        **{name: picks.parameters[name] for name in SAMPLED if name in picks.parameters},
    }


if __name__ == "__main__":
    main()
