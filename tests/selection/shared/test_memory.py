"""The bound holds: what is counted is at least what is taken, and the picks are the same."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import usl
from support import unit
from usl.core.errors import UsageError, UslWarning
from usl.core.files import cache_dir
from usl.data import open_collection
from usl.numeric import kmeans, lloyd
from usl.numeric import neighbor_search as representativeness
from usl.numeric.workspace import Workspace
from usl.selection import ranking
from usl.selection.contract import METHODS
from usl.selection.memory_bound import needed, run_needs
from usl.selection.shared import memory, repulsion

N, D, M = 3000, 16, 60


@pytest.fixture
def features():
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(N // 20, D)).repeat(20, axis=0)
    return (centres + 0.4 * rng.normal(size=(N, D))).astype(np.float16)


@pytest.fixture
def many(monkeypatch):
    """As with many items: inverted lists, candidate lists, near picks, near groups."""
    monkeypatch.setattr(representativeness, "EXACT_ROWS", 0)
    monkeypatch.setattr(kmeans, "EXACT_CLUSTERS", 0)
    monkeypatch.setattr(kmeans, "EXACT_PAIRS", 1000)
    monkeypatch.setattr(repulsion, "EXACT_PAIRS", 1000)
    monkeypatch.setattr(ranking, "MANY", 50)
    monkeypatch.setattr(ranking, "DENSE", 20)


def peak_of(features, **params):
    """The selection, and the most bytes allocated at once in each stage."""
    peaks = {}

    def progress(done, total, label):
        peaks[label] = max(peaks.get(label, 0), tracemalloc.get_traced_memory()[1])
        tracemalloc.reset_peak()

    tracemalloc.start()
    try:
        found = usl.select(features, M, method="usl", progress=progress, **params)
        peaks["order"] = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return found, peaks


@pytest.mark.parametrize(
    ("method", "n", "budget", "given", "exact"),
    [
        ("quorum", 4000, 60, {}, 100_000),
        ("quorum", 6000, 20, {"sample": 1500}, 100_000),
        ("quorum", 4000, 300, {"partitions": 1, "learned": 0}, 100_000),
        ("quorum", 8000, 300, {"partitions": 1, "learned": 0}, 2000),
        ("quorum", 3000, 200, {"partitions": 1}, 100_000),
        ("usl_t", 6000, 40, {"steps": 20}, 100_000),
        ("usl_t", 4000, 200, {"steps": 20, "heads": 3, "preset": "released"}, 100_000),
        ("usl_t", 8000, 100, {"steps": 20, "batch_size": 4096, "spare": 0.1}, 100_000),
        ("usl_t", 8000, 20, {"steps": 20}, 2000),
    ],
)
@pytest.mark.filterwarnings("ignore:usl_t")  # twenty steps leave clusters empty
def test_no_more_than_a_method_counts_nor_far_less(method, n, budget, given, exact, monkeypatch):
    """Far less is judged on one thread: how many blocks several hold at once is their timing."""
    monkeypatch.setattr(representativeness, "EXACT_ROWS", exact)
    features = unit(np.random.default_rng(0).normal(size=(n, 32)) + 1.0).astype(np.float32)
    own = {"labeled": np.empty(0, np.int64), "candidates": np.arange(n)}
    module = METHODS.load(method)

    def counted_and_peak():
        tracemalloc.start()
        try:
            module.pick(features, budget, **own, **given)
            return (
                module.needed(n, 32, budget, 0, given) - memory.BASE,
                tracemalloc.get_traced_memory()[1],
            )
        finally:
            tracemalloc.stop()

    counted, peak = counted_and_peak()
    assert peak <= counted
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    counted, peak = counted_and_peak()
    assert 0.3 * counted < peak <= counted


@pytest.mark.parametrize("way", ["exact", "lists"])
def test_no_stage_takes_more_than_is_counted_nor_far_less(features, way, request):
    if way == "lists":
        request.getfixturevalue("many")
    params = {"k": 20, "horizon": 4}
    bound = Workspace(needed("usl", N, D, M, 0, params) + features.nbytes)
    found, peaks = peak_of(features, memory=bound, **params)
    assert bound.spilled == 4 * N * D
    stages = memory.Size(N, D, M, M, k=20, horizon=4).stages()
    stages["k-means"] = stages.pop("partition")
    assert set(peaks) == set(stages)
    for stage, peak in peaks.items():
        counted = stages[stage] + memory.PER_ITEM * N
        assert peak <= counted, (stage, peak, counted)
    assert max(peaks.values()) >= 0.1 * (max(stages.values()) + memory.PER_ITEM * N)
    free = usl.select(features, M, method="usl", **params)
    np.testing.assert_array_equal(found.indices, free.indices)


def test_what_is_held_for_every_item(many, monkeypatch):
    """With blocks of a few rows, what grows with the items is what is counted for each.

    On one thread: how many finished blocks wait for the next step is otherwise a matter of timing.
    """
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("usl.numeric.blocks.BLOCK_BYTES", 1 << 14)
    for name in ("inverted_lists", "kmeans_large", "lloyd"):
        monkeypatch.setattr(f"usl.numeric.{name}.BLOCK", 256)
    monkeypatch.setattr(repulsion, "BLOCK", 256)
    monkeypatch.setattr(representativeness, "typical_distance", lambda t, *_, **__: (t[:, 0], None))
    peaks = []
    for n in (5000, 10_000):
        table = unit(np.random.default_rng(0).normal(size=(n, 2)))
        _, found = peak_of(table, k=3, horizon=2, iterations=1)
        peaks.append(max(found.values()) - table.nbytes)
    assert 0.3 * memory.PER_ITEM <= (peaks[1] - peaks[0]) / 5000 <= memory.PER_ITEM


def test_a_bound_too_small_says_what_suffices(features):
    least = needed("usl", N, D, M, 0, {"k": 20})
    with pytest.raises(UsageError, match=r"1\.0 MB given, but at least ([\d.]+) MB") as raised:
        usl.select(features, M, memory="1MB", method="usl", k=20)
    said = str(raised.value).partition("at least ")[2].partition(" are needed")[0]
    usl.select(features, M, memory=said, method="usl", k=20)
    with pytest.raises(UsageError, match="are needed"):
        usl.select(features, M, memory=least - 1, method="usl", k=20)


def test_features_in_memory_count_and_mapped_ones_do_not(features, tmp_path):
    least = needed("usl", N, D, M, 0, {"k": 20})
    np.save(tmp_path / "x.npy", features)
    usl.select(tmp_path / "x.npy", M, memory=least, method="usl", k=20, scratch=tmp_path / "big")
    assert (tmp_path / "big").is_dir()
    assert not list((tmp_path / "big").iterdir())
    with pytest.raises(UsageError, match="are needed"):
        usl.select(features, M, memory=least + features.nbytes - 1, method="usl", k=20)


def test_nothing_is_left_after_an_error(features, monkeypatch):
    monkeypatch.setattr(representativeness, "typical_distance", _failing)
    least = needed("usl", N, D, M, 0, {})
    with pytest.raises(ZeroDivisionError):
        usl.select(features, M, method="usl", memory=least + features.nbytes, k=20)
    assert (cache_dir() / "scratch").is_dir()
    assert not list((cache_dir() / "scratch").iterdir())


def _failing(*args, **kwargs):
    raise ZeroDivisionError


def test_a_method_that_does_not_say_what_it_needs_is_told(features):
    with pytest.warns(UslWarning, match="what kmeans itself needs is not counted"):
        bounded = usl.select(features, 5, method="kmeans", memory="1GB")
    free = usl.select(features, 5, method="kmeans")
    np.testing.assert_array_equal(bounded.indices, free.indices)


def test_the_large_case_of_the_paper_fits_a_laptop(monkeypatch):
    monkeypatch.setattr(memory, "thread_count", lambda: 2)
    params = {"n_clusters": 12_900}
    assert 0.5e9 < needed("usl", 1_281_167, 128, 12_820, 0, params) < 2e9
    assert needed("usl", 1_281_167, 128, 12_820, 0, {"exact": True}) > 2 * 4 * 1_281_167 * 128


@pytest.mark.parametrize("method", ["usl", "quorum", "usl_t"])
def test_a_run_within_a_bound_is_the_run_without(features, tmp_path, method):
    for number in range(3):
        np.save(tmp_path / f"part-{number}.npy", features[number::3])
    source = tmp_path / "part-*.npy"
    params = {"method": method, "k": 20, "center": True}
    free = usl.start_run(source, M, tmp_path / "free", **params)
    collection = open_collection(source)
    least = sum(run_needs(collection, D, None, method, M, {"k": 20}))
    bounded = usl.start_run(source, M, tmp_path / "bounded", memory=least, **params)
    assert (cache_dir() / "scratch").is_dir(), "the table went to a file"
    assert free.info["selection"] == bounded.info["selection"]
    for name in ("selection.csv", "split.csv", "preprocessing.npz"):
        assert (free.path / name).read_bytes() == (bounded.path / name).read_bytes()
    with pytest.raises(UsageError, match="are needed"):
        usl.start_run(source, M, tmp_path / "small", memory=least - 1, **params)
    assert not (tmp_path / "small").exists()


def test_bounds_of_k_means_are_counted(monkeypatch):
    monkeypatch.setattr(lloyd, "LITTLE", 0)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    features = unit(np.random.default_rng(0).normal(size=(30_000, 8)))
    start = features[:50].copy()
    tracemalloc.start()
    try:
        lloyd.lloyd(features, start, iterations=4)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    counted = memory.Size(30_000, 8, 50, 50, k=0).partition(50)
    without = counted - 4 * 30_000 * 51
    assert without + memory.PER_ITEM * 30_000 * 0.2 < peak <= counted + memory.PER_ITEM * 30_000
