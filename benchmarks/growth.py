"""Every verb from a thousand to a hundred thousand images: seconds, memory, and where it bends.

    python benchmarks/growth.py                      # images, all sizes
    python benchmarks/growth.py --sizes 1000 3000    # some of them
    python benchmarks/growth.py rows                 # features of 16 numbers in their place
    python benchmarks/growth.py plot                 # growth-verbs.svg, from the newest rows

The images are 16 x 16 PNG files in class folders, a tenth of them in the subset test, made from a
seed: ten patterns and noise. They are encoded as pixels and 40 are picked, so that what is left is
what the verbs do for each image. With ``rows`` nothing is decoded, picks are random and the nearest
mean learns from them, so that what is left is what the verbs do for a row of their tables. Every
verb runs in a process of its own; its seconds are those of
the processor, of all its threads, and so hardly depend on what else the machine does.

Rows go to ``benchmarks/results/growth.jsonl``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from usl.numeric.blocks import thread_count

RESULTS = Path(__file__).parent / "results" / "growth.jsonl"
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
SIDE, CLASSES, BUDGET = 16, 10, 40
USL = ["-m", "usl"]
Verb = tuple[str, list[str]]  # its name, and the command after ``python``
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
    parser.add_argument("study", nargs="?", default="images", choices=["images", "rows", "plot"])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    if given.study != "plot":
        for n in given.sizes:
            with tempfile.TemporaryDirectory(prefix="usl-growth-") as folder:
                for row in measured(Path(folder), n, given.study):
                    print(row, flush=True)
                    with open(given.out, "a") as handle:
                        handle.write(json.dumps(row) + "\n")
    plot(given.out)


def measured(folder: Path, n: int, study: str) -> Iterator[dict[str, Any]]:
    """A row per verb, run one after the other on the same n images, or rows of features."""
    source, run = folder / ("photos" if study == "images" else "rows.npz"), folder / "run"
    (make_images if study == "images" else make_features)(source, n)
    environment = {**os.environ, "USL_CACHE_DIR": str(folder / "cache")}
    for verb, command in (image_verbs if study == "images" else row_verbs)(str(source), str(run)):
        figures = timed([sys.executable, *command], environment)
        if verb:
            yield {"study": study, "verb": verb, "n": n, **figures, "threads": thread_count()}


def image_verbs(photos: str, run: str) -> Iterator[Verb]:
    """All verbs of a run on images."""
    pixels = ["--model", "pixels"]
    yield "embed", [*USL, "embed", photos, *pixels]
    yield "embed again", [*USL, "embed", photos, *pixels]
    for method in ("usl", "quorum"):
        yield f"select, {method}", select(photos, run, method, *pixels)
    yield "label, its start", ["-c", SERVE, run]
    yield from later_verbs(photos, run, "label_spreading")


def row_verbs(rows: str, run: str) -> Iterator[Verb]:
    """All verbs of a run on features."""
    yield "select, random", select(rows, run, "random")
    yield from later_verbs(rows, run, "nearest_mean")


def select(source: str, run: str, method: str, *more: str) -> list[str]:
    """A selection that takes the place of the one before."""
    how = ["--budget", str(BUDGET), "--method", method, "--out", run, "--overwrite"]
    return [*USL, "select", source, *how, *more]


def later_verbs(source: str, run: str, learner: str) -> Iterator[Verb]:
    """What comes after a selection; the step without a name answers for a person."""
    yield "", ["-c", ANSWER, run]
    yield "export", [*USL, "export", run, "--to", "csv", "--what", "all", "--out", f"{run}.csv"]
    yield "import", [*USL, "import", run, f"{run}.csv"]
    yield "train", [*USL, "train", run, "--method", learner]
    yield "predict", [*USL, "predict", run, source, "--out", f"{run}-said.csv"]
    yield "evaluate", [*USL, "evaluate", run]
    yield "report", [*USL, "report", run]


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


def make_features(path: Path, n: int) -> None:
    """Write n rows of features around ten points, labelled, a tenth of them in the subset test."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(CLASSES, size=n)
    features = rng.normal(size=(CLASSES, SIDE))[kinds] + 0.5 * rng.normal(size=(n, SIDE))
    subsets = np.where(np.arange(n) % 10 == 9, "test", "train")
    rows = {"features": features.astype(np.float32), "labels": kinds.astype(str)}
    np.savez(path, **rows, subsets=subsets)


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

    every = map(json.loads, rows.read_text().splitlines())
    newest = {(row["verb"], row["n"]): row for row in every if row["study"] == "images"}
    curves: dict[str, list[tuple[float, float]]] = {}
    for (verb, n), row in sorted(newest.items(), key=lambda item: item[0][1]):
        curves.setdefault(verb, []).append((n, row["cpu_seconds"]))
    order = sorted(curves, key=lambda verb: -curves[verb][-1][1])
    where = rows.with_name("growth-verbs.svg")
    plot_growth([(verb, curves[verb]) for verb in order], where, x="images", y="processor seconds")


if __name__ == "__main__":
    main()
