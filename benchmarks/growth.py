"""Every verb from a thousand to a hundred thousand images: seconds, memory, and where it bends.

    python benchmarks/growth.py                      # all sizes, about five minutes of one core
    python benchmarks/growth.py --sizes 1000 3000    # some of them
    python benchmarks/growth.py plot                 # growth-verbs.svg, from the newest rows

The images are 16 x 16 PNG files in class folders, a tenth of them in the subset test, made from a
seed: ten patterns and noise. They are encoded as pixels and 40 are picked, so that what is left is
what the verbs do for each image. Every verb runs in a process of its own; its seconds are those of
the processor, of all its threads, and so hardly depend on what else the machine does.

Rows go to ``benchmarks/results/growth.jsonl``.
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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results" / "growth.jsonl"
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
SIDE, CLASSES, BUDGET = 16, 10, 40
SERVE = """
import os, signal, sys
from usl.labeling.page.serve import serve
stop = lambda address: os.kill(os.getpid(), signal.SIGINT)
try:
    serve(sys.argv[1], classes=["0", "1"], open_browser=False, ready=stop)
except KeyboardInterrupt:
    pass
"""
ANSWER = """
import sys
from usl.demo import answer_requests
from usl.run.folder import Run
answer_requests(Run.open(sys.argv[1]))
"""


def main() -> None:
    """Measure, or plot what was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", nargs="?", default="measure", choices=["measure", "plot"])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    if given.study == "measure":
        for n in given.sizes:
            with tempfile.TemporaryDirectory(prefix="usl-growth-") as folder:
                for row in measured(Path(folder), n):
                    print(row, flush=True)
                    with open(given.out, "a") as handle:
                        handle.write(json.dumps(row) + "\n")
    plot(given.out)


def measured(folder: Path, n: int) -> Iterator[dict[str, Any]]:
    """A row per verb, run one after the other on the same n images."""
    photos, run = folder / "photos", folder / "run"
    make_images(photos, n)
    usl = [sys.executable, "-m", "usl"]
    commands: dict[str, list[str]] = {
        "embed": [*usl, "embed", str(photos), "--model", "pixels"],
        "embed again": [*usl, "embed", str(photos), "--model", "pixels"],
        **{
            f"select, {method}": [
                *[*usl, "select", str(photos), "--budget", str(BUDGET), "--model", "pixels"],
                *["--method", method, "--out", str(run), "--overwrite"],
            ]
            for method in ("usl", "quorum")
        },
        "label, its start": [sys.executable, "-c", SERVE, str(run)],
        "": [sys.executable, "-c", ANSWER, str(run)],
        "export": [
            *usl,
            "export",
            str(run),
            "--to",
            "csv",
            "--what",
            "all",
            "--out",
            str(folder / "all.csv"),
        ],
        "import": [*usl, "import", str(run), str(folder / "all.csv")],
        "train": [*usl, "train", str(run)],
        "predict": [*usl, "predict", str(run), str(photos), "--out", str(folder / "said.csv")],
        "evaluate": [*usl, "evaluate", str(run)],
        "report": [*usl, "report", str(run)],
    }
    cache = {**os.environ, "USL_CACHE_DIR": str(folder / "cache")}
    for verb, command in commands.items():
        figures = timed(command, cache)
        if verb:
            yield {"verb": verb, "n": n, **figures, "machine": platform.processor() or "unknown"}


def timed(command: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """Seconds of the processor and of the clock, and the greatest memory, of one process."""
    with tempfile.TemporaryFile() as said:
        began = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{' '.join(command)}\n{said.read().decode(errors='replace')}")
    return {
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "seconds": round(seconds, 2),
        "mb": round(usage.ru_maxrss / 1000),
    }


def make_images(folder: Path, n: int) -> None:
    """Write n pictures, the same for the same n, as ``SUBSET/CLASS/NUMBER.png``."""
    from PIL import Image

    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 200, (CLASSES, SIDE, SIDE, 3))
    for number in range(n):
        subset = "test" if number % 10 == 9 else "train"
        kind = int(rng.integers(CLASSES))
        home = folder / subset / f"{kind}"
        if number < 50 * CLASSES:
            home.mkdir(parents=True, exist_ok=True)
        pixels = patterns[kind] + rng.integers(0, 56, (SIDE, SIDE, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(home / f"{number:06d}.png", compress_level=1)


def plot(rows: Path) -> None:
    """Processor seconds against n, the newest row of each verb and size: growth-verbs.svg."""
    from usl.benchmarking.plots import plot_growth

    newest = {
        (row["verb"], row["n"]): row for row in map(json.loads, rows.read_text().splitlines())
    }
    curves: dict[str, list[tuple[float, float]]] = {}
    for (verb, n), row in sorted(newest.items(), key=lambda item: item[0][1]):
        curves.setdefault(verb, []).append((n, row["cpu_seconds"]))
    order = sorted(curves, key=lambda verb: -curves[verb][-1][1])
    where = rows.with_name("growth-verbs.svg")
    plot_growth([(verb, curves[verb]) for verb in order], where, x="images", y="processor seconds")


if __name__ == "__main__":
    main()
