"""The information of picks against its definition: mutual information of items and anchors."""

from __future__ import annotations

import numpy as np
import pytest

from support import unit
from usl.numeric.arrays import TINY
from usl.numeric.neighbor_graph import neighbor_weights, normalized
from usl.selection.shared.spread import DAMPING, STEPS, information, spread


def cloud(n, width=8, seed=0):
    return unit(np.random.default_rng(seed).normal(size=(n, width)) + 1.0).astype(np.float32)


def test_information_is_the_mutual_information_of_the_spread():
    features = cloud(60)
    graph = normalized(neighbor_weights(features, 5, 4.0)).toarray()
    anchors = np.array([3, 20, 41])
    reached = sum(np.linalg.matrix_power(DAMPING * graph, t) for t in range(STEPS + 1))[:, anchors]
    shares = reached / reached.sum(axis=1, keepdims=True)
    weights = np.linspace(0.5, 3, 60)
    joint = shares * (weights / weights.sum())[:, None]  # of item and anchor
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    inside = joint > 0
    expected = (joint[inside] * np.log(joint[inside] / independent[inside])).sum()
    scores = spread(normalized(neighbor_weights(features, 5, 4.0)).astype(np.float32), anchors)
    np.testing.assert_allclose(scores, reached, atol=1e-5)
    assert information(scores, weights) == pytest.approx(expected, abs=1e-4)


def test_anchors_of_a_group_spread_together():
    graph = normalized(neighbor_weights(cloud(60), 5, 4.0)).astype(np.float32)
    anchors, groups = np.array([3, 20, 41, 50]), np.array([2, 0, 2, 129])
    alone = spread(graph, anchors)
    together = spread(graph, anchors, groups, 131)
    expected = np.stack([alone[:, 1], alone[:, 0] + alone[:, 2], alone[:, 3]], axis=1)
    np.testing.assert_allclose(together[:, [0, 2, 129]], expected, rtol=1e-5)
    assert together.shape == (60, 131)
    assert together[:, [1, 130]].max() == np.float32(TINY)
    some = np.array([41, 7, 7])
    np.testing.assert_array_equal(spread(graph, anchors, groups, 131, rows=some), together[some])


def test_information_prefers_one_pick_per_group(blobs):
    features, classes = blobs
    graph = normalized(neighbor_weights(features, 10, 4.0)).astype(np.float32)
    groups = [np.flatnonzero(classes == c) for c in np.unique(classes)]
    apart = np.array([rows[0] for rows in groups])
    crowded = np.concatenate([groups[0][:2], apart[2:]])
    told, less = (
        information(spread(graph, anchors), np.ones(len(features))) for anchors in (apart, crowded)
    )
    assert 0 < less < told - 0.1
    assert told <= np.log(len(apart)) + 1e-6
