"""Greedy k-centre against its definition."""

from __future__ import annotations

import numpy as np
import pytest

import usl
from usl.core.errors import UsageError


def naive(features, budget, start, candidates):
    x = features.astype(np.float64)
    d = ((x[:, None] - x[None]) ** 2).sum(-1)
    taken, picks = list(start), []
    while len(picks) < budget:
        free = np.setdiff1d(candidates, taken)
        picks.append(int(free[d[np.ix_(free, taken)].min(axis=1).argmax()]))
        taken.append(picks[-1])
    return picks


@pytest.mark.parametrize("labeled", [[3], [0, 50, 100, 150]])
def test_picks_are_those_of_the_definition(cloud, labeled):
    candidates = np.arange(1, 300, 2)
    found = usl.select(cloud, 40, method="coreset", labeled=labeled, candidates=candidates)
    assert found.indices.tolist() == naive(cloud, 40, labeled, np.setdiff1d(candidates, labeled))


def test_cold_it_starts_from_a_random_candidate(cloud):
    candidates = np.arange(100, 200)
    starts = set()
    for seed in range(8):
        picks = usl.select(cloud, 15, method="coreset", seed=seed, candidates=candidates).indices
        assert picks[1:].tolist() == naive(cloud, 14, picks[:1], candidates)
        starts.add(int(picks[0]))
    assert len(starts) > 4


def test_it_picks_outliers(blobs):
    features, _ = blobs
    odd = np.zeros((3, 16), dtype=np.float32)
    odd[[0, 1, 2], [10, 11, 12]] = -1
    found = usl.select(np.concatenate([features, odd]), 10, method="coreset")
    assert {600, 601, 602} <= set(found.indices.tolist())


def test_it_has_no_parameters(cloud):
    with pytest.raises(UsageError, match="no parameter 'power'"):
        usl.select(cloud, 5, method="coreset", power=2)
