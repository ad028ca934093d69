"""Quorum against its definition written out, and what each part of it is there for."""

from __future__ import annotations

import numpy as np
import pytest

import usl
from support import unit
from usl.core.errors import UsageError
from usl.core.graph import neighbor_weights, normalized
from usl.core.kmeans import kmeans
from usl.selection import quorum
from usl.selection.quorum import DAMPING, STEPS, information, spread


def cloud(n, width=8, seed=0):
    return unit(np.random.default_rng(seed).normal(size=(n, width)) + 1.0).astype(np.float32)


def consensus_and_density(features, clusters, k, wide):
    """Both figures of every item, in loops."""
    agree, dense = [], []
    for i, row in enumerate(features):
        order = [j for j in np.argsort(-(features @ row), kind="stable") if j != i]
        agree.append(np.mean(clusters[order[:k]] == clusters[i]))
        dense.append(np.mean(features[order[:wide]] @ row))
    return np.array(agree), np.array(dense)


@pytest.mark.parametrize("k", [5, 12])
def test_a_pick_has_the_largest_consensus_times_density_of_its_cluster(k):
    features = cloud(200)
    found = quorum.pick(
        features,
        10,
        labeled=np.empty(0, np.int64),
        candidates=np.arange(200),
        k=k,
        partitions=6,
    )
    agree, dense = consensus_and_density(features, found.clusters, k, 10)  # 0.5 * 200 / 10
    np.testing.assert_allclose(found.confidence, agree)
    np.testing.assert_allclose(found.density, dense, atol=1e-5)
    for row, utility in zip(found.indices, found.utility, strict=True):
        members = np.flatnonzero(found.clusters == found.clusters[row])
        assert utility == pytest.approx((agree * dense)[row], abs=1e-5)
        assert utility == pytest.approx((agree * dense)[members].max(), abs=1e-5)
    assert len(set(found.clusters[found.indices].tolist())) == 10


def test_information_is_the_mutual_information_of_the_spread():
    features = cloud(60)
    graph = normalized(neighbor_weights(features, 5, 4.0)).toarray()
    anchors = np.array([3, 20, 41])
    reached = sum(np.linalg.matrix_power(DAMPING * graph, t) for t in range(STEPS + 1))[:, anchors]
    shares = reached / reached.sum(axis=1, keepdims=True)
    joint = shares / 60  # of item and anchor
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    inside = joint > 0
    expected = (joint[inside] * np.log(joint[inside] / independent[inside])).sum()
    scores = spread(normalized(neighbor_weights(features, 5, 4.0)).astype(np.float32), anchors)
    np.testing.assert_allclose(scores, reached, atol=1e-5)
    assert information(scores) == pytest.approx(expected, abs=1e-4)


def test_information_prefers_one_pick_per_group(blobs):
    features, classes = blobs
    graph = normalized(neighbor_weights(features, 10, 4.0)).astype(np.float32)
    groups = [np.flatnonzero(classes == c) for c in np.unique(classes)]
    apart = np.array([rows[0] for rows in groups])
    crowded = np.concatenate([groups[0][:2], apart[2:]])
    told, less = (information(spread(graph, anchors)) for anchors in (apart, crowded))
    assert 0 < less < told - 0.1
    assert told <= np.log(len(apart)) + 1e-6


def test_averaging_moves_items_towards_their_neighbors():
    features = cloud(80)
    near = quorum.Near(*quorum.nearest(features, features, 10, exclude_self=True))
    averaged = quorum._averaged(features, near)
    weights = neighbor_weights(features, 10, 1.0).toarray() > 0
    expected = np.stack([features[i] + features[weights[i]].mean(axis=0) for i in range(80)])
    np.testing.assert_allclose(averaged, unit(expected), atol=1e-5)


def test_the_start_is_spread_out_and_has_no_row_twice():
    corners = np.eye(6, dtype=np.float32)
    rows = np.repeat(corners, 40, axis=0)
    for seed in range(5):
        start = quorum._start(rows, 6, np.random.default_rng(seed))
        np.testing.assert_array_equal(np.sort(start, axis=0), np.sort(corners, axis=0))
    more = quorum._start(rows, 9, np.random.default_rng(0))  # only six differ
    assert more.shape == (9, 6)


def test_of_many_items_a_sample_is_looked_at():
    features = cloud(3000)
    chosen = usl.select(features, 6, method="quorum", sample=500, partitions=3)
    assert chosen.parameters["sample"] == 500
    assert np.isfinite(chosen.columns["density"]).all()
    assert chosen.columns["cluster_size"].sum() > 0.9 * 3000  # every item has a cluster
    more = usl.select(features, 60, method="quorum", sample=500, partitions=3)
    assert more.parameters["sample"] == 1200  # 20 per cluster


def test_many_clusters_take_fewer_partitions(monkeypatch):
    monkeypatch.setattr(quorum, "WORK", 300 * 10 * 4)
    features = cloud(300)
    assert usl.select(features, 10, method="quorum").parameters["partitions"] == 4
    assert usl.select(features, 300, method="quorum").parameters["partitions"] == 1


def test_labeled_clusters_come_last(blobs):
    features, classes = blobs
    labeled = np.flatnonzero(classes < 3)[::10]
    count = len(np.unique(classes)) - 3
    chosen = usl.select(features, count, method="quorum", labeled=labeled, partitions=4)
    assert set(classes[chosen.indices].tolist()) == set(range(3, count + 3))


@pytest.mark.parametrize("name", ["partitions", "k", "reach", "sample", "iterations"])
def test_parameters_must_be_positive(name):
    with pytest.raises(UsageError, match=f"{name}: 0 given; it must be above 0"):
        usl.select(cloud(30), 3, method="quorum", **{name: 0})


@pytest.mark.parametrize("name", ["pick_by", "choose_by"])
def test_choices_are_named(name):
    with pytest.raises(UsageError, match=f"{name}: 'luck' given; use both, "):
        usl.select(cloud(30), 3, method="quorum", **{name: "luck"})


def test_compactness_is_what_k_means_maximises():
    features = cloud(200)
    found = kmeans(features, 7, rng=np.random.default_rng(0))
    of_unit_rows = quorum.compactness(features, found.clusters.astype(np.int64))
    assert of_unit_rows == pytest.approx(1 - found.inertia / 200, abs=1e-4)


def test_picks_by_the_center_are_those_of_k_means():
    features = cloud(300)
    given = {"labeled": np.empty(0, np.int64), "candidates": np.arange(300), "pick_by": "center"}
    found = quorum.pick(features, 8, partitions=1, **given)
    for row in found.indices:
        members = np.flatnonzero(found.clusters == found.clusters[row])
        mean = features[members].mean(axis=0)
        assert row == members[np.argmax(features[members] @ mean)]


def in_turn(values):
    """A figure that gives these values, one for each partition."""
    left = iter(values)
    return lambda *_: next(left)


def test_the_most_compact_and_telling_partition_is_chosen(monkeypatch):
    features, taken = cloud(200), []
    monkeypatch.setattr(quorum, "fill_up", lambda picks, *_: taken.append(picks.tolist()) or picks)

    def chosen(compact, told, choose_by="both"):
        monkeypatch.setattr(quorum, "compactness", in_turn(compact))
        monkeypatch.setattr(quorum, "information", in_turn(told))
        usl.select(features, 8, method="quorum", partitions=4, choose_by=choose_by)
        return taken[-1]

    each = [chosen(only, only) for only in np.eye(4).tolist()]
    assert len({tuple(picks) for picks in each}) > 1
    figures = [0.1, 0.5, 0.4, 0.4], [0.9, 0.1, 0.7, 0.6]
    assert chosen(*figures) == each[2]
    assert chosen(*figures, "compactness") == each[1]
    assert chosen(*figures, "information") == each[0]
