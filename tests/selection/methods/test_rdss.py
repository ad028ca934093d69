"""RDSS against the herding formula written out densely in float64."""

from __future__ import annotations

import numpy as np
import pytest

import usl
from usl.core.errors import UsageError
from usl.numeric.table import as_table
from usl.selection.methods import rdss


def squared(features):
    x = features.astype(np.float64)
    return ((x[:, None] - x[None]) ** 2).sum(-1)


def dense_herding(features, budget, alpha, sigma, labeled, candidates):
    kernel = np.exp(-squared(features) / (2 * sigma**2))
    mu = kernel.mean(axis=0)
    chosen = list(labeled)
    for _ in range(budget):
        free = [c for c in candidates if c not in chosen]
        score = [(kernel[c, chosen].mean() - alpha * mu[c]) if chosen else -mu[c] for c in free]
        chosen.append(free[int(np.argmin(score))])
    return chosen[len(labeled) :]


@pytest.mark.parametrize("labeled", [[], [8, 100, 250, 251]])
def test_defaults_are_the_papers(cloud, labeled):
    candidates = np.setdiff1d(np.arange(0, 300, 2), labeled)
    sigma = np.median(np.sqrt(squared(cloud)[np.triu_indices(300, 1)]))
    alpha = 1 - 1 / np.sqrt(20 + len(labeled))
    found = usl.select(cloud, 20, method="rdss", labeled=labeled, candidates=candidates)
    assert found.parameters["alpha"] == pytest.approx(alpha)
    assert found.parameters["sigma"] == pytest.approx(sigma, rel=1e-6)
    expected = dense_herding(cloud, 20, alpha, sigma, labeled, candidates)
    assert found.indices.tolist() == expected


@pytest.mark.parametrize(("alpha", "sigma"), [(0.0, 0.5), (0.5, 1.0), (1.0, 2.0)])
def test_own_parameters(cloud, alpha, sigma):
    found = usl.select(cloud, 15, method="rdss", alpha=alpha, sigma=sigma)
    expected = dense_herding(cloud, 15, alpha, sigma, [], np.arange(300))
    assert found.indices.tolist() == expected


def test_the_mean_kernel_in_tiles(cloud, monkeypatch):
    monkeypatch.setattr("usl.numeric.pairwise_sums.TILE", (32, 50))
    mu = rdss._mean_kernel(as_table(cloud), 0.7, lambda *_: None)
    np.testing.assert_allclose(mu, np.exp(-squared(cloud) / (2 * 0.49)).mean(0), rtol=1e-5)


def test_one_pick_is_the_densest(cloud):
    mu = np.exp(-squared(cloud) / 2).mean(axis=0)
    found = usl.select(cloud, 1, method="rdss", sigma=1.0)
    assert found.indices.tolist() == [int(mu.argmax())]


def test_the_median_distance_from_a_sample(cloud, monkeypatch):
    exact = rdss._median_distance(as_table(cloud), 0)
    monkeypatch.setattr(rdss, "SAMPLE", 100)
    assert rdss._median_distance(as_table(cloud), 0) == pytest.approx(exact, rel=0.03)
    assert rdss._median_distance(as_table(np.ones((5, 2), np.float32)), 0) == 1.0


@pytest.mark.parametrize(
    ("name", "value"), [("alpha", 1.5), ("alpha", -0.1), ("sigma", 0), ("sigma", np.inf)]
)
def test_impossible_parameters_are_named(cloud, name, value):
    with pytest.raises(UsageError, match=f"{name}: "):
        usl.select(cloud, 3, method="rdss", **{name: value})
