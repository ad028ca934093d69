from __future__ import annotations

import numpy as np
import pyarrow.parquet
import pytest

import usl
from usl.core.errors import DataError, UsageError
from usl.numeric.distances import squared_distances
from usl.selection.methods import random

pytestmark = pytest.mark.filterwarnings("ignore:k = 400 neighbours")


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (np.zeros(5), "shape"),
        (np.zeros((0, 3)), "non-empty"),
        (np.zeros((3, 0)), "non-empty"),
        ([["a", "b"]], "real numbers"),
        (np.ones((3, 2), dtype=complex), "real numbers"),
    ],
)
def test_what_is_no_table_of_numbers(features, message):
    with pytest.raises(DataError, match=message):
        usl.select(features, 1)


@pytest.mark.parametrize("name", ["labeled", "candidates"])
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([0, 600], "row 600 does not exist"),
        ([-1], "row -1 does not exist"),
        ([1, 1], "repeated"),
        ([0.5], "row numbers or a boolean mask"),
        (np.zeros(5, dtype=bool), "a mask of shape"),
    ],
)
def test_rows_that_do_not_fit(blobs, name, rows, message):
    with pytest.raises(DataError, match=message):
        usl.select(blobs[0], 1, **{name: rows})


def test_unknown_method_and_parameter_suggest_the_nearest(blobs):
    with pytest.raises(UsageError, match="Did you mean 'kmeans'"):
        usl.select(blobs[0], 3, method="k-means")
    with pytest.raises(UsageError, match=r"no parameter 'lambd'.*Did you mean 'lam'"):
        usl.select(blobs[0], 3, method="usl", lambd=2)
    with pytest.raises(UsageError, match=r"no parameter 'lam'\. Methods that do: usl and usl_t"):
        usl.select(blobs[0], 3, lam=2)


def test_random_picks_every_candidate_equally_often():
    given = {"labeled": np.array([0, 1]), "candidates": np.arange(2, 12)}
    table = np.eye(12, dtype=np.float32)
    draws = [random.pick(table, 3, seed=seed, **given).indices for seed in range(2000)]
    counts = np.bincount(np.concatenate(draws), minlength=12)
    assert counts[:2].sum() == 0
    # 600 each; the variance of a count is n p (1 - p) = 420, and 4.5 sd is one chance in 10^4
    assert np.abs(counts[2:] - 600).max() < 4.5 * np.sqrt(420)


def test_stratified_is_marked_and_checks_its_labels(blobs):
    features, classes = blobs
    names = classes.astype(str).astype(object)
    picks = usl.select(features, 24, method="stratified", labels=names).indices
    assert np.bincount(classes[picks]).tolist() == [4] * 6
    assert np.bincount(classes[picks[:6]]).tolist() == [1] * 6  # a prefix is stratified too
    with pytest.raises(UsageError, match="needs the parameter 'labels'"):
        usl.select(features, 24, method="stratified")
    names[3] = None
    with pytest.raises(DataError, match="row 3 has none"):
        usl.select(features, 24, method="stratified", labels=names)
    with pytest.raises(UsageError, match="below the 6 classes"):
        usl.select(features, 5, method="stratified", labels=classes.astype(str).astype(object))


def test_the_order_is_greedy_coverage_written_out(blobs):
    features, _ = blobs
    found = usl.select(features, 20, method="kmeans")
    groups = [features[found.stands_for(rank)].astype(np.float64) for rank in range(20)]
    sizes = np.array([len(group) for group in groups])
    means = np.stack([group.mean(axis=0) for group in groups])
    picks = features[found.indices].astype(np.float64)
    costs = ((means[:, None] - picks[None]) ** 2).sum(-1)
    cost = np.full(20, 4.0)
    for rank in range(20):
        totals = [(np.minimum(cost, costs[:, i]) * sizes).sum() for i in range(rank, 20)]
        assert totals[0] <= min(totals) + 1e-3
        cost = np.minimum(cost, costs[:, rank])


def test_labelled_items_push_the_order_away(blobs):
    features, classes = blobs
    labeled = np.flatnonzero(classes == 2)
    found = usl.select(features, 8, labeled=labeled)
    assert classes[found.indices[0]] != 2
    # what labelled items cover needs nobody to stand for it
    assert (found.representative[labeled] == -1).mean() > 0.9


def test_uncovered_clusters_are_served_first(blobs):
    features, classes = blobs
    labeled = [int(np.flatnonzero(classes == c)[0]) for c in (0, 1, 2)]
    hits = []
    for seed in range(5):
        picks = usl.select(features, 3, labeled=labeled, method="kmeans", seed=seed).indices
        hits.append(len({3, 4, 5} & set(classes[picks].tolist())))
    assert np.mean(hits) >= 2.5


def test_nearest_earlier_pick(blobs):
    features, _ = blobs
    found = usl.select(features, 15)
    d = np.sqrt(squared_distances(features[found.indices], features[found.indices]))
    assert found.columns["nearest_earlier"][0] == -1
    assert np.isnan(found.columns["nearest_distance"][0])
    for rank in range(1, 15):
        assert found.columns["nearest_earlier"][rank] == d[rank, :rank].argmin()
        assert found.columns["nearest_distance"][rank] == pytest.approx(d[rank, :rank].min())


def test_table_and_saved_files(blobs, tmp_path):
    features, _ = blobs
    ids = np.array([f"img/{i:03d}.png" for i in range(600)])
    found = usl.select(features, 10)
    found.save(tmp_path, ids)
    table = pyarrow.parquet.read_table(tmp_path / "selection.parquet")
    assert table["image_id"].to_pylist() == ids[found.indices].tolist()
    assert table["rank"].to_pylist() == list(range(1, 11))
    assert sum(table["represents"].to_pylist()) == 600
    assert table["represented"][0].as_py() == ids[found.stands_for(0)].tolist()
    header = (tmp_path / "selection.csv").read_text().splitlines()[0]
    for name in ("cluster_size", "density", "utility", "confidence", "nearest_distance"):
        assert name in header


def test_a_method_that_breaks_its_promise_is_caught(blobs, tmp_path):
    path = tmp_path / "short.py"
    path.write_text(
        "import numpy as np\n"
        "from usl.selection.contract import Picks\n"
        "def pick(features, budget, *, labeled, candidates, seed, progress):\n"
        "    return Picks(np.zeros(budget, dtype=np.int64))\n"
    )
    with pytest.raises(RuntimeError, match="not 3 unique"):
        usl.select(blobs[0], 3, method=str(path))
