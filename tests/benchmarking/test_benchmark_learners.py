"""Learners against each other, and rows of former versions that have the accuracy alone."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from usl.benchmarking.learners import learner_table
from usl.benchmarking.ledger import Ledger
from usl.benchmarking.plan import read_plan
from usl.benchmarking.pools import open_pools
from usl.benchmarking.run import benchmark

PLAN = """seeds = 2
budgets = [3, 6]
[datasets.tail]
source = "flowers.npz"
imbalance = 4
[methods]
random = {}
kmeans = {}
[learners]
nearest_mean = {}
logistic = {}
"""


@pytest.fixture
def done(tmp_path):
    rng = np.random.default_rng(1)
    truth = np.arange(240) % 3
    features = rng.normal(size=(240, 6)) + 3 * np.eye(6)[truth]
    np.savez(tmp_path / "flowers.npz", features=features, labels=truth.astype(str))
    (tmp_path / "plan.toml").write_text(PLAN)
    benchmark(tmp_path / "plan.toml", tmp_path / "out", jobs=1)
    return tmp_path


def test_every_figure_of_every_learner(done):
    with open(done / "out" / "learners.csv") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 2 * 2 * 2 * 2  # budgets, methods, seeds, learners
    assert {row["learner"] for row in rows} == {"nearest_mean", "logistic"}
    for row in rows:
        for name in ("test", "pooled", "balanced", "macro_f1", "calibration", "confident_half"):
            assert 0 <= float(row[name]) <= 1
    assert any(row["pooled"] != row["balanced"] for row in rows)
    page = (done / "out" / "results.md").read_text()
    assert "## Learners" in page
    assert "over nearest_mean, balanced" in page

    plan = read_plan(done / "plan.toml")
    pools = open_pools(plan.datasets[0], plan.share)
    table = learner_table(plan, pools, Ledger(done / "out"), "balanced")
    assert table.methods == ("nearest_mean", "logistic")
    own = [
        float(row["balanced"])
        for row in rows
        if (row["learner"], row["method"], row["budget"]) == ("logistic", "kmeans", "6")
    ]
    cell = next(c for c in table.cells if (c.learner, c.budget) == ("kmeans", 6))
    np.testing.assert_array_equal(cell.test[1], own)


def test_rows_of_a_former_version_stay_readable(done):
    ledger = done / "out" / "rows.jsonl"
    kept = ("kind", "key", "learner_key", "learner", "test", "transductive")
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    ledger.write_text(
        "".join(
            json.dumps({k: v for k, v in line.items() if k in kept or line["kind"] != "score"})
            + "\n"
            for line in lines
        )
    )
    found = benchmark(done / "plan.toml", done / "out", jobs=1)
    assert found.left == 0
    assert found.table.cells
    page = (done / "out" / "results.md").read_text()
    assert "## Learners" not in page
    with open(done / "out" / "learners.csv") as handle:
        rows = list(csv.DictReader(handle))
    assert {row["balanced"] for row in rows} == {""}
    assert all(row["test"] for row in rows)
