"""A selection that was stopped goes on after the last stage it had finished."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import usl
from usl.core.errors import UslWarning
from usl.core.files import cache_dir
from usl.numeric import kmeans
from usl.numeric import neighbor_search as representativeness
from usl.selection import start_run as start

PARAMS = {"method": "usl", "k": 10, "seed": 4}


@pytest.fixture
def calls(monkeypatch):
    """How often each stage was computed."""
    counts = {"partition": 0, "density": 0}

    def counting(name, original):
        def counted(*args, **kwargs):
            counts[name] += 1
            return original(*args, **kwargs)

        return counted

    monkeypatch.setattr(kmeans, "kmeans", counting("partition", kmeans.kmeans))
    density = counting("density", representativeness.typical_distance)
    monkeypatch.setattr(representativeness, "typical_distance", density)
    return counts


def same(a, b):
    np.testing.assert_array_equal(a.indices, b.indices)
    np.testing.assert_array_equal(a.representative, b.representative)
    assert a.parameters == b.parameters
    assert a.columns.keys() == b.columns.keys()
    for name, column in a.columns.items():
        np.testing.assert_array_equal(column, b.columns[name])


@pytest.mark.parametrize("way", ["exact", "lists"])
def test_kept_stages_change_nothing(blobs, calls, way, monkeypatch, tmp_path):
    if way == "lists":
        monkeypatch.setattr(representativeness, "EXACT_ROWS", 0)
        monkeypatch.setattr(kmeans, "EXACT_CLUSTERS", 0)
        monkeypatch.setattr(kmeans, "EXACT_PAIRS", 10)
    features, _ = blobs
    plain = usl.select(features, 12, **PARAMS)
    assert not (cache_dir() / "stages").exists(), "nothing is kept unless asked for"
    same(plain, usl.select(features, 12, resume=tmp_path, **PARAMS))
    assert calls == {"partition": 2, "density": 2}
    same(plain, usl.select(features, 12, resume=tmp_path, **PARAMS))
    assert calls == {"partition": 2, "density": 2}
    assert len(list(tmp_path.iterdir())) == 2
    usl.select(features, 12, resume=tmp_path, **{**PARAMS, "lam": 3.0})
    assert calls == {"partition": 2, "density": 2}, "lambda comes later"
    usl.select(features, 12, resume=tmp_path, **{**PARAMS, "seed": 5})
    usl.select(features, 12, resume=tmp_path, **{**PARAMS, "k": 9})
    usl.select(features[:-1], 12, resume=tmp_path, **PARAMS)
    # An exact density is the same for any partition, so the other seed did not cost one.
    assert calls == {"partition": 4, "density": 4 if way == "exact" else 5}


def test_stopped_in_the_second_stage(blobs, calls, monkeypatch):
    features, _ = blobs
    plain = usl.select(features, 12, **PARAMS)

    def stopped(*args, **kwargs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(representativeness, "typical_distance", stopped)
        with pytest.raises(KeyboardInterrupt):
            usl.select(features, 12, resume=True, **PARAMS)
    calls.update(partition=0, density=0)
    same(plain, usl.select(features, 12, resume=True, **PARAMS))
    assert calls == {"partition": 0, "density": 1}


KILLED = """
import sys, time
import usl
from usl.numeric import neighbor_search

def forever(*args, **kwargs):
    print("dense", flush=True)
    time.sleep(600)

neighbor_search.typical_distance = forever
usl.start_run(sys.argv[1], 9, sys.argv[2], resume=True, k=10, method="usl", memory="1GB")
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_killed_in_the_second_stage(blobs, calls, tmp_path):
    np.save(tmp_path / "x.npy", blobs[0])
    source, out = tmp_path / "x.npy", tmp_path / "run"
    command = [sys.executable, "-c", KILLED, str(source), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "dense\n"
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    assert not out.exists()
    scratch = cache_dir() / "scratch"
    assert not scratch.exists() or not list(scratch.iterdir())
    run = usl.start_run(source, 9, out, resume=True, k=10, method="usl")
    assert calls == {"partition": 0, "density": 1}
    again = usl.start_run(source, 9, tmp_path / "fresh", resume=False, k=10, method="usl")
    for name in ("selection.csv", "split.csv"):
        assert (run.path / name).read_bytes() == (again.path / name).read_bytes()
    assert calls == {"partition": 1, "density": 2}


def test_large_runs_are_kept_without_asking(blobs, calls, tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", blobs[0])
    source = tmp_path / "x.npy"
    usl.start_run(source, 9, tmp_path / "small", k=10, method="usl")
    assert not (cache_dir() / "stages").exists()
    monkeypatch.setattr(start, "RESUMABLE", 100)
    usl.start_run(source, 9, tmp_path / "large", k=10, method="usl")
    kept = sorted(path.name.partition("-")[0] for path in (cache_dir() / "stages").iterdir())
    assert kept == ["density", "partition"]
    usl.start_run(source, 9, tmp_path / "again", k=10, method="usl")
    assert calls == {"partition": 2, "density": 2}


def test_damage_costs_time_alone(blobs, tmp_path):
    features, _ = blobs
    plain = usl.select(features, 12, resume=tmp_path, **PARAMS)
    for file in tmp_path.iterdir():
        file.write_bytes(file.read_bytes()[:-20])
        os.utime(file, (time.time(), time.time()))
    with pytest.warns(UslWarning, match="damaged"):
        same(plain, usl.select(features, 12, resume=tmp_path, **PARAMS))


def test_methods_share_what_does_not_depend_on_them(blobs, calls, tmp_path):
    """One k-means serves three methods, one density two; picks are as without."""
    for name, given in (("usl", {"k": 20}), ("kmeans", {}), ("typiclust", {}), ("density", {})):
        plain = usl.select(blobs[0], 9, method=name, **given)
        calls.update(partition=0, density=0)
        same(plain, usl.select(blobs[0], 9, method=name, resume=tmp_path, **given))
        assert sum(calls.values()) == (2 if name == "usl" else 0)


def test_a_method_without_stages_takes_no_notice(blobs, tmp_path):
    plain = usl.select(blobs[0], 5, method="coreset")
    same(plain, usl.select(blobs[0], 5, method="coreset", resume=tmp_path))
    assert not list(tmp_path.iterdir())
