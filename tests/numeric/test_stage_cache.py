from __future__ import annotations

import os
import time

import numpy as np
import pytest

from usl.core.errors import DataError, UslWarning
from usl.core.files import cache_dir, release, take
from usl.numeric import stage_cache as module
from usl.numeric.stage_cache import NOTHING, KeepInMemory, KeepOnDisk, clean
from usl.selection.methods import facility_location
from usl.selection.select import select

X = np.arange(12, dtype=np.float32).reshape(4, 3)


class Stage:
    """Counts how often it is computed."""

    def __init__(self):
        self.times = 0

    def __call__(self):
        self.times += 1
        return {"a": np.arange(3), "b": np.array([0.1, np.nan])}


def test_nothing_is_kept_by_default():
    stage = Stage()
    NOTHING.arrays("s", {}, stage)
    NOTHING.arrays("s", {}, stage)
    assert stage.times == 2
    assert not cache_dir().exists() or not any(cache_dir().iterdir())


def test_a_stage_is_computed_once_and_comes_back_to_the_bit():
    stage = Stage()
    first = KeepOnDisk(X).arrays("s", {"k": 3}, stage)
    again = KeepOnDisk(X.copy()).arrays("s", {"k": 3}, stage)
    assert stage.times == 1
    assert first.keys() == again.keys()
    for name, array in first.items():
        assert array.dtype == again[name].dtype
        assert array.tobytes() == again[name].tobytes()


def test_all_that_matters_is_in_the_key(monkeypatch):
    stage = Stage()
    labels = np.arange(4)
    parts = [{}, {"k": 3}, {"k": 4}, {"k": None}, {"of": labels}, {"of": labels[::-1].copy()}]
    for part in parts:
        KeepOnDisk(X).arrays("s", part, stage)
    KeepOnDisk(X).arrays("t", {}, stage)
    KeepOnDisk(X + 1).arrays("s", {}, stage)
    monkeypatch.setattr(module, "VERSION", module.VERSION + 1)
    KeepOnDisk(X).arrays("s", {}, stage)
    assert stage.times == len(parts) + 3


def test_an_interrupted_stage_leaves_nothing(tmp_path):
    def interrupted():
        raise KeyboardInterrupt

    keep = KeepOnDisk(X, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        keep.arrays("s", {}, interrupted)
    assert not list(tmp_path.iterdir())


def test_a_damaged_stage_is_computed_again(tmp_path):
    stage = Stage()
    keep = KeepOnDisk(X, tmp_path)
    keep.arrays("s", {}, stage)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:100])
    with pytest.warns(UslWarning, match="damaged"):
        keep.arrays("s", {}, stage)
    keep.arrays("s", {}, stage)
    assert stage.times == 2


@pytest.mark.parametrize("kind", [OSError, DataError])
def test_a_full_disk_costs_the_keeping_not_the_result(tmp_path, monkeypatch, kind):
    def full(*_):
        raise kind("No space left on device")

    monkeypatch.setattr(module, "atomic_write", full)
    with pytest.warns(UslWarning, match="'s' cannot be kept .*No space left"):
        found = KeepOnDisk(X, tmp_path).arrays("s", {}, Stage())
    assert found["a"].tolist() == [0, 1, 2]


def test_old_stages_go_and_nothing_else(tmp_path, monkeypatch):
    stage = Stage()
    for name in ("old", "used", "new"):
        KeepOnDisk(X, tmp_path).arrays(name, {}, stage)
    paths = {path.name.partition("-")[0]: path for path in tmp_path.iterdir()}
    paths["own"] = tmp_path / "features.npz"
    paths["rest"] = tmp_path / f".{paths['new'].name}.0a1b2c3d4e5f.tmp"
    paths["writing"] = tmp_path / f".{paths['new'].name}.aaaaaaaaaaaa.tmp"
    for name in ("own", "rest", "writing"):
        paths[name].write_bytes(b"x")
    long_ago = time.time() - 40 * 86_400
    for name in ("old", "used", "own"):
        os.utime(paths[name], (long_ago, long_ago))
    writer = take(paths["writing"])
    KeepOnDisk.arrays(_unclean(tmp_path), "used", {}, stage)  # asking for it makes it young
    clean(tmp_path)
    assert {name for name, path in paths.items() if path.exists()} == {
        "used",
        "new",
        "own",
        "writing",
    }
    release(writer)
    hour_ago = time.time() - 3600
    os.utime(paths["used"], (hour_ago, hour_ago))
    monkeypatch.setattr(module, "MOST_BYTES", paths["new"].stat().st_size)
    clean(tmp_path)
    assert paths["new"].exists()
    assert not paths["used"].exists()
    assert paths["own"].exists()


def _unclean(folder):
    """A keep of the folder that has not cleaned it."""
    original, module.clean = module.clean, lambda folder: None
    try:
        return KeepOnDisk(X, folder)
    finally:
        module.clean = original


def test_in_memory_tells_the_seconds_it_has_saved():
    stage, clock = Stage(), iter([0.0, 5.0, 10.0, 11.0])
    keep = KeepInMemory(lambda: next(clock))
    first = keep.arrays("s", {"of": X}, stage)
    assert (stage.times, keep.saved) == (1, 0.0)
    again = keep.arrays("s", {"of": X.copy()}, stage)
    assert again is first
    assert (stage.times, keep.saved) == (1, 5.0)
    keep.arrays("s", {"of": X + 1}, stage)
    assert (stage.times, keep.saved) == (2, 5.0)


def test_the_first_rows_of_a_longer_result_serve():
    clock = iter([0.0, 8.0, 10.0, 30.0])
    made = []

    def firsts(keep, count):
        def compute():
            made.append(count)
            return {"squares": np.arange(count) ** 2}

        return keep.firsts("s", {"of": X}, count, compute)["squares"].tolist()

    keep = KeepInMemory(lambda: next(clock))
    assert firsts(keep, 4) == [0, 1, 4, 9]
    assert firsts(keep, 3) == [0, 1, 4]
    assert (made, keep.saved) == ([4], 6.0)
    assert firsts(keep, 5) == [0, 1, 4, 9, 16]
    assert firsts(keep, 5) == [0, 1, 4, 9, 16]
    assert (made, keep.saved) == ([4, 5], 26.0)
    assert [firsts(NOTHING, count) for count in (2, 1)] == [[0, 1], [0]]
    assert made == [4, 5, 2, 1]


def test_a_representative_part_comes_from_facility_location(monkeypatch):
    features = np.random.default_rng(0).normal(size=(120, 6))
    keep = KeepInMemory()
    plain = select(features, 9, method="repdiv")
    select(features, 9, method="facility_location", resume=keep)
    monkeypatch.setattr(facility_location, "_greedy", None)
    shared = select(features, 9, method="repdiv", resume=keep)
    np.testing.assert_array_equal(plain.indices, shared.indices)


@pytest.mark.parametrize("method", ["usl", "usl_t", "cold_paws", "quorum", "repdiv"])
def test_selections_that_share_their_stages_pick_the_same(method):
    features = np.random.default_rng(0).normal(size=(120, 6))
    quick = {"usl": {"k": 10}, "usl_t": {"steps": 20}, "cold_paws": {"steps": 250}}
    keep = KeepInMemory()
    for budget in (9, 4):
        plain = select(features, budget, method=method, **quick.get(method, {}))
        shared = select(features, budget, method=method, resume=keep, **quick.get(method, {}))
        np.testing.assert_array_equal(plain.indices, shared.indices)
    assert keep.saved > 0
