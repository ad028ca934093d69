from __future__ import annotations

import json

import numpy as np
import pytest

from usl.cli import main
from usl.core.errors import DataError, UsageError
from usl.data.collection import Collection
from usl.selection.dry_run import plan_run
from usl.selection.methods import quorum, usl, usl_t
from usl.selection.shared import seconds as cost


def of_items(n, d=4):
    """A collection with no more in it than its size."""
    features = np.broadcast_to(np.float32(1), (n, d))
    return Collection(np.arange(n).astype(np.str_), np.repeat("train", n), features=features)


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(cost, "thread_count", lambda: 2)


def test_seconds_follow_the_way_that_is_taken():
    million = usl.seconds(1_000_000, 128, 10_000, 0, {})
    assert million == pytest.approx({"search": 45, "partition": 60}, rel=1e-3)
    exact = usl.seconds(1_000_000, 128, 10_000, 0, {"exact": True})
    assert exact["search"] == pytest.approx(2500)
    assert exact["partition"] > 1000
    small = usl.seconds(50_000, 128, 40, 0, {})
    assert small["search"] == pytest.approx(6.25)
    assert small["partition"] < 1


def test_seconds_of_quorum_are_those_of_its_sample():
    few = quorum.seconds(50_000, 128, 100, 0, {})
    assert 12 < sum(few.values()) < 25  # 15 when it was measured
    many = quorum.seconds(1_000_000, 128, 100, 0, {})
    assert many["search"] == few["search"]
    assert 0 < many["partition"] - few["partition"] < 1
    assert quorum.seconds(1_000_000, 128, 100, 0, {"sample": 10_000})["search"] < 1
    most = quorum.seconds(1_000_000, 128, 10_000, 0, {})
    assert 40 < sum(most.values()) < 120  # 64 measured
    assert most["training"] == 0  # so many clusters are partitioned once, and not learned
    twice = quorum.seconds(50_000, 128, 100, 0, {"learned": 2})
    assert twice["training"] == 2 * few["training"] > 0
    plan = plan_run(of_items(1000), 10)
    assert plan["method"] == "quorum"
    assert {
        "search_seconds",
        "partition_seconds",
        "training_seconds",
        "spread_seconds",
    } <= plan.keys()


def test_seconds_of_usl_t_follow_its_training():
    few = usl_t.seconds(50_000, 128, 100, 0, {})
    assert few["search"] == pytest.approx(6.25)
    assert quorum.seconds(50_000, 128, 100, 0, {})["training"] == few["training"]
    longer = usl_t.seconds(50_000, 128, 100, 0, {"steps": 3000, "heads": 2})
    assert 3 * few["training"] < longer["training"] < 4 * few["training"]
    assert usl_t.seconds(50_000, 128, 100, 0, {"neighbors": [[1]]})["search"] == 0
    released = usl_t.seconds(50_000, 128, 100, 0, {"preset": "released"})
    assert released["training"] > 15 * few["training"]


def test_memory_with_and_without_files():
    large = of_items(20_000, 64)
    plan = plan_run(large, 10, k=5)
    table = 20_000 * 64 * 4 / 1e6
    assert plan["memory_mb"] - plan["least_memory_mb"] == pytest.approx(table, abs=1)
    assert "tables_in_files" not in plan
    least, most = plan["least_memory_mb"], plan["memory_mb"]
    assert plan_run(large, 10, k=5, memory=f"{least + 1} MB")["tables_in_files"]
    assert not plan_run(large, 10, k=5, memory=f"{most + 1} MB")["tables_in_files"]
    with pytest.raises(UsageError, match="are needed"):
        plan_run(large, 10, k=5, memory="10 MB")
    assert "search_seconds" not in plan_run(of_items(50), 5, method="random")


def test_on_the_command_line(tmp_path, capsys):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32))
    command = ["select", str(tmp_path / "x.npy"), "--budget", "4", "--k", "5"]
    run = [*command, "--out", str(tmp_path / "run")]
    assert main([*run, "--dry-run", "--json", "--memory", "2GB"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["tables_in_files"] is False
    assert plan["least_memory_mb"] <= plan["memory_mb"] < 2000
    assert main([*run, "--memory", "3 MB"]) == 2
    assert "are needed" in capsys.readouterr().err
    least = f"{plan['least_memory_mb'] + 1}MB"
    scratch = ["--scratch", str(tmp_path / "scratch")]
    assert main([*run, "--memory", least, *scratch, "--resume"]) == 0
    assert (tmp_path / "run" / "run.json").is_file()


def test_a_dry_run_refuses_a_method_that_the_run_would_refuse():
    with pytest.raises(UsageError, match="Method 'kmeans' has no parameter 'kk'"):
        plan_run(of_items(50), 5, method="kmeans", kk=3)
    with pytest.raises(DataError, match="stratified is an oracle and needs the label"):
        plan_run(of_items(50), 5, method="stratified")
