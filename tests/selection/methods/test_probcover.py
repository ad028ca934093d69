"""ProbCover against the delta-ball graph written out densely in float64."""

from __future__ import annotations

import numpy as np
import pytest

import usl
from usl.core.errors import UsageError
from usl.numeric.kmeans import kmeans
from usl.selection.methods import probcover


def distances(features):
    x = features.astype(np.float64)
    return np.sqrt(((x[:, None] - x[None]) ** 2).sum(-1))


def dense_cover(features, budget, delta, labeled, candidates):
    """Greedy cover, of equal degrees the farthest. Also what each pick covers."""
    d = distances(features)
    graph = d < delta
    covered = graph[list(labeled)].any(axis=0) if len(labeled) else np.zeros(len(d), bool)
    chosen, covers = list(labeled), []
    for _ in range(budget):
        free = [c for c in candidates if c not in chosen]
        degrees = [(graph[c] & ~covered).sum() for c in free]
        equal = [c for c, degree in zip(free, degrees, strict=True) if degree == max(degrees)]
        row = max(equal, key=lambda c: d[c, chosen].min()) if chosen else equal[0]
        covers.append((graph[row] & ~covered).sum() / len(d))
        covered |= graph[row]
        chosen.append(row)
    return chosen[len(labeled) :], covers


@pytest.mark.parametrize("delta", [0.3, 0.6, 0.9, 1.3])
@pytest.mark.parametrize("labeled", [[], [4, 150, 151]])
def test_picks_are_those_of_the_dense_graph(cloud, delta, labeled):
    candidates = np.setdiff1d(np.arange(0, 300, 2), labeled)
    expected, covers = dense_cover(cloud, 30, delta, labeled, candidates)
    found = usl.select(
        cloud, 30, method="probcover", delta=delta, labeled=labeled, candidates=candidates
    )
    assert found.indices.tolist() == expected
    np.testing.assert_allclose(found.columns["utility"], covers)


def test_all_covered_at_once_goes_on_with_the_farthest(cloud):
    found = usl.select(cloud, 12, method="probcover", delta=2.1)
    expected, _ = dense_cover(cloud, 12, 2.1, [], np.arange(300))
    assert found.indices.tolist() == expected
    assert found.columns["utility"].tolist() == [1.0] + [0.0] * 11


@pytest.mark.parametrize("purity", [0.5, 0.95, 1.0])
def test_automatic_delta_is_the_largest_that_is_pure_enough(cloud, purity):
    found = usl.select(cloud, 6, method="probcover", purity=purity, seed=4)
    rng = np.random.default_rng(4)
    clusters = kmeans(cloud, 6, rng=rng, iterations=50).clusters
    d = distances(cloud)

    def share(delta):
        return np.mean([len(set(clusters[row < delta])) == 1 for row in d])

    delta = found.parameters["delta"]
    assert share(delta) >= purity
    assert share(delta * 1.0001) < purity


def test_a_sample_of_the_balls_is_enough(blobs, monkeypatch):
    features, _ = blobs
    exact = usl.select(features, 6, method="probcover", seed=0).parameters["delta"]
    monkeypatch.setattr(probcover, "SAMPLE", 200)
    rough = usl.select(features, 6, method="probcover", seed=0).parameters["delta"]
    assert rough == pytest.approx(exact, rel=0.15)


def test_coinciding_rows_cover_each_other_however_small_delta():
    features = np.repeat(np.eye(4), [1, 5, 2, 3], axis=0)
    found = usl.select(features, 4, method="probcover", delta=1e-6)
    assert found.indices.tolist() == [1, 8, 6, 0]


@pytest.mark.parametrize(
    ("name", "value"),
    [("delta", 0), ("delta", -1), ("delta", np.nan), ("purity", 1.2), ("iterations", 0)],
)
def test_impossible_parameters_are_named(cloud, name, value):
    with pytest.raises(UsageError, match=f"{name}: "):
        usl.select(cloud, 3, method="probcover", **{name: value})
