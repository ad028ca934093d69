"""Facility location against its greedy definition written out densely in float64."""

from __future__ import annotations

import numpy as np
import pytest

import usl
from usl.core.errors import UsageError
from usl.selection.methods import facility_location


def dense_greedy(features, budget, labeled, candidates):
    """The goal itself is evaluated for every candidate, at every step."""
    x = features.astype(np.float64)
    similarity = np.maximum(x @ x.T, 0)
    chosen, raised = list(labeled), []
    for _ in range(budget):
        served = similarity[:, chosen].max(axis=1) if chosen else np.zeros(len(x))
        goals = [
            -1 if c in chosen else np.maximum(served, similarity[:, c]).mean() for c in candidates
        ]
        chosen.append(candidates[int(np.argmax(goals))])
        raised.append(max(goals) - served.mean())
    return chosen[len(labeled) :], raised


@pytest.mark.parametrize("labeled", [[], [3, 77, 200]])
def test_picks_are_those_of_the_dense_definition(cloud, labeled):
    candidates = np.setdiff1d(np.arange(0, 300, 2), labeled)
    expected, raised = dense_greedy(cloud, 25, labeled, candidates)
    found = usl.select(
        cloud, 25, method="facility_location", labeled=labeled, candidates=candidates
    )
    assert found.indices.tolist() == expected
    np.testing.assert_allclose(found.columns["utility"], raised, atol=1e-6)


@pytest.mark.parametrize("batch", [1, 8, 10**6])
def test_lazy_and_full_renewal_agree(cloud, monkeypatch, batch):
    expected, _ = dense_greedy(cloud, 40, [], np.arange(300))
    monkeypatch.setattr(facility_location, "BATCH", batch)
    monkeypatch.setattr("usl.numeric.pairwise_sums.TILE", (32, 64))
    found = usl.select(cloud, 40, method="facility_location")
    assert found.indices.tolist() == expected


def test_most_gains_are_never_renewed_on_clear_clusters(blobs, monkeypatch):
    features, classes = blobs
    work = []
    original = facility_location._gains

    def counting(table, candidates, rows, *rest):
        work.append(len(candidates) * (len(table) if rows is None else len(rows)))
        return original(table, candidates, rows, *rest)

    monkeypatch.setattr(facility_location, "_gains", counting)
    monkeypatch.setattr(facility_location, "BATCH", 8)
    picks = usl.select(features, 6, method="facility_location").indices
    assert len(np.unique(classes[picks])) == 6
    assert sum(work) < 4 * 600**2  # naive: 6 passes


def test_a_pool_is_drawn_from_the_candidates(cloud):
    found = usl.select(cloud, 10, method="facility_location", pool=20, seed=1)
    drawn = facility_location.draw(np.arange(300), 20, 1)
    assert found.indices.tolist() == dense_greedy(cloud, 10, [], drawn)[0]
    other = usl.select(cloud, 10, method="facility_location", pool=20, seed=2)
    assert found.indices.tolist() != other.indices.tolist()
    usl.select(cloud, 30, method="facility_location", pool=20)  # never below the budget


@pytest.mark.parametrize("pool", [0, -5])
def test_an_impossible_pool_is_named(cloud, pool):
    with pytest.raises(UsageError, match=r"pool: .* above 0"):
        usl.select(cloud, 3, method="facility_location", pool=pool)
