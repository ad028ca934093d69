"""TypiClust against its definition, cluster by cluster in float64."""

from __future__ import annotations

import numpy as np
import pytest

import usl
from usl.core.errors import UsageError
from usl.numeric.kmeans import kmeans


def naive(features, clusters, budget, labeled, k, preset):
    """The released selection loop, as long as its clusters do not run out."""
    x = features.astype(np.float64)
    ids, sizes = np.unique(clusters, return_counts=True)
    labels = clusters.copy()
    covered = [int((clusters[labeled] == c).sum()) for c in ids]
    labels[labeled] = -1
    order = sorted(
        (count, -size, c)
        for c, size, count in zip(ids.tolist(), sizes.tolist(), covered, strict=True)
        if size > 5
    )
    picks = []
    for i in range(budget):
        rows = np.flatnonzero(labels == order[i % len(order)][2])
        near = min(k, len(rows) // 2)
        typicality = []
        for row in rows:
            d2 = np.sort(((x[rows[rows != row]] - x[row]) ** 2).sum(axis=1))[:near]
            released = 1 / (d2.mean() + 1e-5)
            typicality.append(released if preset == "released" else 1 / np.sqrt(d2).mean())
        picks.append(int(rows[int(np.argmax(typicality))]))
        labels[picks[-1]] = -1
    return picks


def partition(features, count, seed=0):
    return kmeans(features, count, rng=np.random.default_rng(seed)).clusters.astype(np.int64)


@pytest.mark.parametrize("preset", ["paper", "released"])
@pytest.mark.parametrize(
    ("budget", "labeled", "k", "max_clusters"),
    [(8, [], 20, 500), (10, [1, 2, 3, 200], 5, 500), (30, [9, 10], 20, 12)],
)
def test_picks_are_those_of_the_definition(cloud, preset, budget, labeled, k, max_clusters):
    clusters = partition(cloud, min(budget + len(labeled), max_clusters))
    expected = naive(cloud, clusters, budget, np.array(labeled, dtype=int), k, preset)
    params = {"preset": preset, "k": k, "max_clusters": max_clusters, "labeled": labeled}
    found = usl.select(cloud, budget, method="typiclust", **params)
    assert sorted(found.indices.tolist()) == sorted(expected)
    np.testing.assert_array_equal(found.columns["cluster"], clusters[found.indices])


def test_the_presets_differ(cloud):
    paper = usl.select(cloud, 12, method="typiclust").columns["utility"]
    released = usl.select(cloud, 12, method="typiclust", preset="released").columns["utility"]
    assert not np.allclose(paper, released)


def test_small_clusters_wait_until_the_others_are_used_up(blobs):
    features, _ = blobs
    far = np.zeros((4, 16), dtype=np.float32)
    far[:, 12] = -1
    table = np.concatenate([features[:40], far])
    found = usl.select(table, 6, method="typiclust", max_clusters=7)
    clusters = partition(table, 7)
    sizes = np.bincount(clusters)
    assert sizes.min() <= 5
    assert (sizes[clusters[found.indices]] > 5).all()
    every = usl.select(table, 44, method="typiclust", max_clusters=7)
    np.testing.assert_array_equal(np.sort(every.indices), np.arange(44))


def test_covered_clusters_come_last(blobs):
    features, classes = blobs
    labeled = np.flatnonzero(classes < 3)
    picks = usl.select(features, 3, method="typiclust", labeled=labeled, max_clusters=6).indices
    assert (classes[picks] >= 3).all()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"preset": "released_code"}, "preset: 'released_code' is unknown"),
        ({"k": 0}, "k: 0 given"),
        ({"max_clusters": 0}, "max_clusters: 0 given"),
        ({"iterations": -1}, "iterations: -1 given"),
    ],
)
def test_bad_parameters(cloud, params, message):
    with pytest.raises(UsageError, match=message):
        usl.select(cloud, 5, method="typiclust", **params)
