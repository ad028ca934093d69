"""benchmarks/restore.py: a benchmark goes on from its published rows."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from usl.benchmarking.run import benchmark

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "restore.py"
PLAN = """
seeds = {seeds}
budgets = [3, 6]
[datasets.flowers]
source = "flowers.npz"
[methods]
random = {{}}
kmeans = {{}}
[learners]
nearest_mean = {{}}
logistic = {{ seeds = 1 }}
"""


@pytest.fixture(scope="module")
def flowers(tmp_path_factory):
    """A folder with data, and in ``first`` a benchmark of two seeds on them."""
    folder = tmp_path_factory.mktemp("flowers")
    rng = np.random.default_rng(1)
    truth = np.arange(120) % 3
    features = rng.normal(size=(120, 6)) + 4 * np.eye(6)[truth]
    np.savez(folder / "flowers.npz", features=features, labels=truth.astype(str))
    benchmark(planned(folder, 2), folder / "first", jobs=1)
    return folder


def planned(folder, seeds):
    path = folder / f"plan-{seeds}.toml"
    path.write_text(PLAN.format(seeds=seeds))
    return path


def restore(*arguments):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def selections(path):
    lines = [json.loads(line) for line in (path / "rows.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == "selection"]


def table(path):
    with open(path / "rows.csv", newline="") as handle:
        return [{**row, "seconds": ""} for row in csv.DictReader(handle)]


def test_what_was_published_is_not_done_again(flowers):
    out, plan = flowers / "second", planned(flowers, 3)
    made = restore(plan, flowers / "first" / "rows.csv", out)
    assert made.stdout.startswith("8 selections and 12 scores"), made.stderr
    assert benchmark(plan, out, jobs=1).left == 0
    assert [line["seed"] for line in selections(out)[8:]] == [2, 2, 2, 2]
    assert [row for row in table(out) if row["seed"] != "2"] == table(flowers / "first")


def test_a_row_that_is_not_whole_is_done_again(flowers):
    out, plan = flowers / "third", planned(flowers, 2)
    rows = table(flowers / "first")
    broken = next(row for row in rows if row["method"] == "kmeans")
    broken["nearest_mean"] = ""
    with open(flowers / "broken.csv", "w", newline="") as handle:
        writer = csv.DictWriter(handle, broken.keys())
        writer.writeheader()
        writer.writerows(rows)
    assert restore(plan, flowers / "broken.csv", out, "--leave-out", "random").returncode == 0
    kept = selections(out)
    assert [line["method"] for line in kept] == ["kmeans"] * 3
    assert (broken["seed"], broken["budget"]) not in {
        (str(line["seed"]), str(line["budget"])) for line in kept
    }
    benchmark(plan, out, jobs=1)
    assert table(out) == table(flowers / "first")


def test_rows_that_are_there_stay(flowers):
    ledger = flowers / "first" / "rows.jsonl"
    before = ledger.read_bytes()
    refused = restore(planned(flowers, 2), flowers / "first" / "rows.csv", flowers / "first")
    assert refused.returncode != 0
    assert refused.stderr == f"{ledger} holds rows already. Give a new folder.\n"
    assert ledger.read_bytes() == before
