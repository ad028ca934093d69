"""D^2 sampling against its definition."""

from __future__ import annotations

import numpy as np
import pytest

import usl
from support import unit
from usl.core.errors import UsageError


def naive(features, budget, seed, power, labeled, candidates):
    """The same draws, with probabilities from all distances in float64."""
    x = features.astype(np.float64)
    d = np.sqrt(((x[:, None] - x[None]) ** 2).sum(-1))
    rng = np.random.default_rng(seed)
    taken, picks = list(labeled), []
    for _ in range(budget):
        weight = np.ones(len(candidates))
        if taken:
            weight = d[np.ix_(candidates, taken)].min(axis=1) ** power
        weight[np.isin(candidates, picks)] = 0
        picks.append(int(rng.choice(candidates, p=weight / weight.sum())))
        taken.append(picks[-1])
    return picks


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("labeled", [[], [4, 40, 99]])
def test_picks_are_those_of_the_definition(cloud, power, labeled):
    candidates = np.setdiff1d(np.arange(0, 300, 2), labeled)
    given = {"labeled": labeled, "candidates": candidates}
    found = usl.select(cloud, 30, method="kmeanspp", seed=5, power=power, **given)
    assert found.indices.tolist() == naive(cloud, 30, 5, power, labeled, candidates)


def test_frequencies_follow_the_squared_distance():
    angles = np.array([0.0, 0.3, 0.6, 1.2])
    features = unit(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    squared = ((features[1:] - features[0]) ** 2).sum(axis=1)
    picks = [
        usl.select(features, 1, method="kmeanspp", labeled=[0], seed=seed).indices[0]
        for seed in range(500)
    ]
    share = np.bincount(picks, minlength=4)[1:] / 500
    np.testing.assert_allclose(share, squared / squared.sum(), atol=0.06)


def test_a_huge_power_is_farthest_first(cloud):
    found = usl.select(cloud, 20, method="kmeanspp", labeled=[7], power=1e6)
    farthest = usl.select(cloud, 20, method="coreset", labeled=[7])
    np.testing.assert_array_equal(found.indices, farthest.indices)


@pytest.mark.parametrize("power", [-1.0, float("nan"), float("inf")])
def test_bad_power(cloud, power):
    with pytest.raises(UsageError, match=r"power: .* given"):
        usl.select(cloud, 5, method="kmeanspp", power=power)
