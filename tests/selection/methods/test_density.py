"""Density alone against 1 / mean distance written out."""

from __future__ import annotations

import numpy as np
import pytest

import usl
from usl.core.errors import UsageError, UslWarning


def naive_density(features, k):
    x = features.astype(np.float64)
    d = np.sqrt(((x[:, None] - x[None]) ** 2).sum(-1))
    return np.array([1 / np.mean(sorted(np.delete(d[i], i))[:k]) for i in range(len(x))])


@pytest.mark.parametrize("k", [2, 5, 20])
def test_picks_are_the_densest_candidates_in_order(cloud, k):
    density = naive_density(cloud, k)
    candidates = np.arange(0, 300, 2)
    labeled = candidates[:10]
    found = usl.select(cloud, 25, method="density", k=k, labeled=labeled, candidates=candidates)
    free = candidates[10:]
    expected = free[np.argsort(-density[free])][:25]
    np.testing.assert_array_equal(found.indices, expected)
    np.testing.assert_allclose(found.columns["density"], density[expected], rtol=1e-4)


def test_it_collapses_onto_the_densest_mode(blobs):
    features, classes = blobs
    tight = features.copy()
    centre = features[classes == 2].mean(axis=0)
    tight[classes == 2] = centre + 0.2 * (features[classes == 2] - centre)
    picks = usl.select(tight, 40, method="density").indices
    assert set(classes[picks].tolist()) == {2}


def test_equal_density_goes_by_the_lower_row():
    features = np.repeat(np.eye(2), 4, axis=0)
    found = usl.select(features, 6, method="density", k=2)
    np.testing.assert_array_equal(found.indices, np.arange(6))


def test_more_neighbours_than_items_are_clamped_with_a_warning(cloud):
    with pytest.warns(UslWarning, match="k = 20 neighbours, but there are only 15 items"):
        found = usl.select(cloud[:15], 5, method="density")
    assert found.parameters == {"k": 14}


@pytest.mark.parametrize("k", [0, -3, float("nan")])
def test_bad_k(cloud, k):
    with pytest.raises(UsageError, match=r"k: .* given"):
        usl.select(cloud, 5, method="density", k=k)
