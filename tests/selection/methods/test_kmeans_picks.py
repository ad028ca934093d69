"""The k-means baseline against its definition, cluster by cluster in float64."""

from __future__ import annotations

import numpy as np
import pytest

import usl
from usl.numeric.kmeans import kmeans


def naive(features, clusters, budget, labeled, candidates):
    """The largest clusters without a label first; in each the candidate nearest the mean of all."""
    x = features.astype(np.float64)
    served = []
    for cluster in range(clusters.max() + 1):
        members = np.flatnonzero(clusters == cluster)
        mean = x[members].mean(axis=0)
        free = [row for row in members if row in candidates and row not in labeled]
        if free:
            nearest = min(free, key=lambda row: (((x[row] - mean) ** 2).sum(), row))
            served.append((int(np.isin(labeled, members).sum()), -len(members), int(nearest)))
    return [row for _, _, row in sorted(served)[:budget]]


def partition(features, count):
    return kmeans(features, count, rng=np.random.default_rng(0), iterations=200).clusters


@pytest.mark.parametrize(
    ("budget", "labeled", "some"),
    [(10, [], False), (7, [3, 200, 201], False), (10, [], True), (5, [0, 9], True)],
)
def test_picks_are_those_of_the_definition(cloud, budget, labeled, some):
    rng = np.random.default_rng(7)
    rows = np.sort(rng.permutation(len(cloud))[: len(cloud) // 2]) if some else None
    clusters = partition(cloud, budget + len(labeled))
    candidates = set(range(len(cloud)) if rows is None else rows.tolist())
    expected = naive(cloud, clusters, budget, np.array(labeled, dtype=int), candidates)
    found = usl.select(cloud, budget, method="kmeans", labeled=labeled, candidates=rows)
    assert len(expected) == budget
    assert sorted(found.indices.tolist()) == sorted(expected)
    np.testing.assert_array_equal(found.columns["cluster"], clusters[found.indices])


def test_utility_is_the_distance_to_the_mean_negated(cloud):
    clusters = partition(cloud, 8)
    found = usl.select(cloud, 8, method="kmeans")
    for rank, row in enumerate(found.indices):
        mean = cloud[clusters == clusters[row]].astype(np.float64).mean(axis=0)
        expected = -np.linalg.norm(cloud[row] - mean)
        assert found.columns["utility"][rank] == pytest.approx(expected, rel=1e-5)


def test_a_second_pick_where_clusters_run_out():
    """Two distinct rows, each many times: clusters are fewer than the budget, picks are not."""
    table = np.repeat(np.eye(2, 4, dtype=np.float32), [12, 8], axis=0)
    found = usl.select(table, 6, method="kmeans").indices
    assert len(set(found.tolist())) == 6
    assert np.bincount((found >= 12).astype(int)).tolist() == [3, 3]
