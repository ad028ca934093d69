"""The script that measures a GPU, in small on whatever is here: it runs, and its figures are."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


@pytest.mark.slow
def test_it_runs_in_small_and_writes_every_rate(tmp_path, monkeypatch, one_thread):
    pytest.importorskip("timm")
    monkeypatch.setenv("USL_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--tiny", "--out", str(tmp_path / "gpu.json")])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert len(found["embedding"]) == 2
    for rates in found["embedding"].values():
        assert rates["embed"] > 0
        limit = rates["embed"] / min(rates["decode"], rates["network"])
        assert rates["of_the_limit"] == pytest.approx(limit, rel=0.02)
    assert found["training"]["usl_t"]["steps_per_second"] > 0
    assert found["training"]["fixmatch"]["steps_per_second"] > 0
    assert found["machine"]["cores"] >= 1


def test_a_rate_leaves_out_the_first_tenth(monkeypatch):
    pytest.importorskip("torch")
    script = runpy.run_path(str(SCRIPT))
    now = [0.0]
    monkeypatch.setattr(script["time"], "perf_counter", lambda: now[0])
    rate = script["Rate"]("steps")
    for done in range(100):
        rate(done, 100, "steps")
        rate(0, 1, "other")
        now[0] += 10.0 if done < 5 else 0.5
    assert rate.per_second() == pytest.approx(2.0)
