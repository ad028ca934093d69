"""MaxHerding against the dense greedy maximisation in float64."""

from __future__ import annotations

import numpy as np
import pytest

import usl
from usl.core.errors import UsageError
from usl.numeric import blocks


def naive(features, budget, labeled, candidates, h):
    x = features.astype(np.float64)
    kernel = np.exp(-((x[:, None] - x[None]) ** 2).sum(-1) / h**2)
    best = kernel[:, labeled].max(axis=1) if len(labeled) else np.zeros(len(x))
    picks, raised = [], []
    for _ in range(budget):
        goal = np.maximum(kernel[:, candidates], best[:, None]).mean(axis=0)
        goal[np.isin(candidates, picks)] = -1
        picks.append(int(candidates[goal.argmax()]))
        raised.append(goal.max() - best.mean())
        best = np.maximum(best, kernel[:, picks[-1]])
    return picks, raised


@pytest.mark.parametrize("h", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("labeled", [[], [0, 10, 222]])
def test_picks_are_those_of_the_dense_definition(cloud, h, labeled):
    candidates = np.setdiff1d(np.arange(0, 300, 2), labeled)
    expected, raised = naive(cloud, 25, labeled, candidates, h)
    found = usl.select(cloud, 25, method="maxherding", h=h, labeled=labeled, candidates=candidates)
    assert found.indices.tolist() == expected
    np.testing.assert_allclose(found.columns["utility"], raised, rtol=1e-3)


def test_several_tiles_on_one_thread_and_on_three(monkeypatch, blobs):
    features, _ = blobs
    expected, _ = naive(features, 20, [], np.arange(600), 1.0)
    monkeypatch.setattr("usl.numeric.pairwise_sums.TILE", (64, 100))
    monkeypatch.setattr("usl.numeric.farthest.BLOCK", 128)
    for threads in (1, 3):
        monkeypatch.setattr(blocks, "thread_count", lambda threads=threads: threads)
        assert usl.select(features, 20, method="maxherding").indices.tolist() == expected


def test_the_pool_is_a_seeded_subset_and_never_below_the_budget(cloud):
    def picks(**params):
        return usl.select(cloud, 20, method="maxherding", **params).indices

    whole = picks()
    np.testing.assert_array_equal(picks(pool=300, seed=1), whole)
    capped = picks(pool=40, seed=1)
    np.testing.assert_array_equal(capped, picks(pool=40, seed=1))
    assert sorted(capped) != sorted(whole)
    pool = np.sort(np.random.default_rng(1).choice(300, 40, replace=False, shuffle=False))
    assert capped.tolist() == naive(cloud, 20, [], pool, 1.0)[0]
    assert len(set(picks(pool=3).tolist())) == 20


@pytest.mark.parametrize("params", [{"h": 0.0}, {"h": float("inf")}, {"pool": 0}, {"pool": -5}])
def test_bad_parameters(cloud, params):
    with pytest.raises(UsageError, match=f"{next(iter(params))}: .* given"):
        usl.select(cloud, 5, method="maxherding", **params)
