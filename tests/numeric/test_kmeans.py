from __future__ import annotations

import numpy as np
import pytest

from support import unit
from usl.numeric import elkan
from usl.numeric import lloyd as lloyd_module
from usl.numeric.kmeans import kmeans


def lloyd(x, centroids, iterations, weights=None):
    """k-means written out, in float64."""
    weights = np.ones(len(x)) if weights is None else weights
    x, centroids = x.astype(np.float64), centroids.astype(np.float64)
    for _ in range(iterations):
        clusters = ((x[:, None] - centroids[None]) ** 2).sum(-1).argmin(1)
        centroids = np.stack(
            [
                np.average(x[clusters == c], axis=0, weights=weights[clusters == c])
                for c in range(len(centroids))
            ]
        )
    return clusters


def test_finds_separated_groups(blobs):
    features, classes = blobs
    best = min(
        (kmeans(features, 6, rng=np.random.default_rng(s)) for s in range(10)),
        key=lambda result: result.inertia,
    )
    pairs = set(zip(best.clusters.tolist(), classes.tolist(), strict=True))
    assert len(pairs) == 6


def test_equals_lloyd_from_the_same_start(cloud):
    rng = np.random.default_rng(3)
    start = cloud[rng.permutation(len(cloud))[:12]]
    result = kmeans(cloud, 12, rng=np.random.default_rng(3), iterations=40)
    np.testing.assert_array_equal(result.clusters, lloyd(cloud, start, result.iterations))
    within = sum(
        ((cloud[result.clusters == c] - result.centroids[c]) ** 2).sum() for c in range(12)
    )
    assert result.inertia == pytest.approx(within, rel=1e-4)


def test_a_row_counts_by_its_weight(cloud):
    weights = np.random.default_rng(1).uniform(0.1, 5, size=len(cloud))
    start = cloud[:12]
    rng = np.random.default_rng(0)
    found = kmeans(cloud, 12, rng=rng, iterations=40, start=start, weights=weights)
    np.testing.assert_array_equal(found.clusters, lloyd(cloud, start, found.iterations, weights))
    assert not np.array_equal(found.clusters, lloyd(cloud, start, found.iterations))
    away = ((cloud - found.centroids[found.clusters]) ** 2).sum(axis=1)
    assert found.inertia == pytest.approx(away @ weights, rel=1e-4)


def test_weights_of_one_change_nothing(cloud):
    even, plain = (
        kmeans(cloud, 12, rng=np.random.default_rng(3), weights=weights)
        for weights in (np.ones(len(cloud)), None)
    )
    np.testing.assert_array_equal(even.clusters, plain.clusters)
    np.testing.assert_array_equal(even.centroids, plain.centroids)


def test_a_row_that_refills_a_cluster_takes_its_weight_along():
    features = unit(np.concatenate([np.tile(np.eye(4)[:1], (197, 1)), np.eye(4)[1:]]))
    weights = np.linspace(1, 9, len(features))
    for seed in range(20):
        found = kmeans(features, 4, rng=np.random.default_rng(seed), weights=weights)
        assert np.bincount(found.clusters, minlength=4).all()
        np.testing.assert_allclose(found.centroids[found.clusters], features, atol=1e-6)


def test_no_cluster_stays_empty_while_rows_differ():
    # 197 copies of one point and three others: random starts nearly always coincide
    features = unit(np.concatenate([np.tile(np.eye(4)[:1], (197, 1)), np.eye(4)[1:]]))
    for seed in range(20):
        result = kmeans(features, 4, rng=np.random.default_rng(seed))
        assert np.bincount(result.clusters, minlength=4).all()


def test_an_emptied_cluster_is_refilled():
    # Two far groups, and starts that all lie in one of them by construction of the draw
    features = unit(
        np.concatenate([np.random.default_rng(0).normal([9, 0, 0], 0.1, (50, 3)), [[-9, 0, 0.0]]])
    )
    for seed in range(30):
        result = kmeans(features, 8, rng=np.random.default_rng(seed))
        assert np.bincount(result.clusters, minlength=8).all()


def test_fewer_distinct_rows_than_clusters_ends():
    features = unit(np.repeat(np.eye(3), 5, axis=0))
    result = kmeans(features, 7, rng=np.random.default_rng(0))
    assert len(np.unique(result.clusters)) == 3
    assert result.inertia == 0


def test_one_cluster_per_row(cloud):
    result = kmeans(cloud[:9], 9, rng=np.random.default_rng(0))
    assert sorted(result.clusters.tolist()) == list(range(9))


@pytest.fixture
def bounded(monkeypatch):
    """As with many rows: those that cannot have another centroid are not looked at."""
    monkeypatch.setattr(lloyd_module, "LITTLE", 0)
    monkeypatch.setattr(lloyd_module, "BLOCK", 256)


@pytest.mark.parametrize("weighted", [False, True])
def test_rows_that_cannot_move_are_not_looked_at_and_nothing_changes(
    bounded, monkeypatch, weighted
):
    rng = np.random.default_rng(0)
    features = unit(rng.normal(size=(2000, 24)) + np.eye(24)[rng.integers(12, size=2000)] * 4)
    weights = rng.uniform(0.2, 3, size=2000) if weighted else None
    looked = []
    own = lloyd_module.half_distances
    monkeypatch.setattr(
        lloyd_module, "half_distances", lambda a, b: looked.append(len(a)) or own(a, b)
    )
    given = {"start": features[:25], "weights": weights, "iterations": 30}
    found = kmeans(features, 25, rng=rng, **given)
    count = sum(looked)
    looked.clear()
    monkeypatch.setattr(elkan, "MOST_BYTES", 0)  # every row with every centroid
    plain = kmeans(features, 25, rng=rng, **given)
    assert sum(looked) == 2000 * plain.iterations
    assert count < 0.6 * sum(looked)
    assert found.iterations == plain.iterations > 10
    np.testing.assert_array_equal(found.clusters, plain.clusters)
    np.testing.assert_array_equal(found.centroids, plain.centroids)
    assert found.inertia == pytest.approx(plain.inertia, rel=1e-6)


@pytest.mark.parametrize("length", [1e-3, 1, 1e3])
def test_bounds_hold_at_any_length_of_the_rows(bounded, monkeypatch, length):
    rng = np.random.default_rng(2)
    features = (length * rng.normal(size=(1500, 5))).astype(np.float32)
    found = kmeans(features, 20, rng=np.random.default_rng(1), iterations=60)
    monkeypatch.setattr(elkan, "MOST_BYTES", 0)
    plain = kmeans(features, 20, rng=np.random.default_rng(1), iterations=60)
    np.testing.assert_array_equal(found.clusters, plain.clusters)
    assert found.iterations == plain.iterations


def test_a_refilled_cluster_forgets_the_bounds(bounded):
    # Starts that all lie in one of many groups: clusters empty while others are settled.
    rng = np.random.default_rng(0)
    kinds = np.repeat(np.arange(10), 60)
    features = unit(np.eye(10)[kinds] + rng.normal(scale=0.05, size=(600, 10)))
    start = np.concatenate([features[:60:12], -features[:4]])
    found = kmeans(features, 9, rng=rng, start=start.astype(np.float32), iterations=50)
    np.testing.assert_array_equal(
        found.clusters, ((features[:, None] - found.centroids) ** 2).sum(axis=2).argmin(axis=1)
    )
    assert np.bincount(found.clusters, minlength=9).all()


def test_bounds_are_the_same_on_any_number_of_threads(bounded, monkeypatch):
    features = unit(np.random.default_rng(3).normal(size=(1200, 12)))
    found = []
    for threads in ("1", "3"):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        found.append(kmeans(features, 15, rng=np.random.default_rng(0)))
    np.testing.assert_array_equal(found[0].centroids, found[1].centroids)
    assert found[0].inertia == found[1].inertia
