from __future__ import annotations

import numpy as np

from support import unit
from usl.numeric.neighbor_graph import neighbor_weights
from usl.numeric.neighbor_search import nearest_others
from usl.selection.shared.neighborhood import Neighborhood


def cloud(n, width=8, seed=0):
    return unit(np.random.default_rng(seed).normal(size=(n, width)) + 1.0).astype(np.float32)


def test_averaging_moves_items_towards_their_neighbors():
    features = cloud(80)
    averaged = Neighborhood(*nearest_others(features, 10)).averaged(features)
    weights = neighbor_weights(features, 10, 1.0).toarray() > 0
    expected = np.stack([features[i] + features[weights[i]].mean(axis=0) for i in range(80)])
    np.testing.assert_allclose(averaged, unit(expected), atol=1e-5)
    some = Neighborhood(*nearest_others(features, 10)).averaged(features, np.array([3, 70]))
    np.testing.assert_array_equal(some, averaged[[3, 70]])


def test_the_width_of_a_neighborhood_is_its_mean_distance_to_its_neighbors():
    features = cloud(120)
    near = Neighborhood(*nearest_others(features, 20))
    distances = np.sort(np.linalg.norm(features[:, None] - features[None], axis=2), axis=1)
    expected = distances[:, 1:21].mean(axis=1)
    np.testing.assert_allclose(near.width(20), expected / expected.mean(), rtol=1e-4)
