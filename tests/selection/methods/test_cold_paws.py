"""Cold PAWS: k-medoids against a dense version that is written out, and what is mapped."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_info, threadpool_limits

import usl
from support import unit
from usl.core.errors import UsageError
from usl.selection.methods import cold_paws

QUICK = {"method": "cold_paws", "steps": 250}


@pytest.fixture
def flat(monkeypatch):
    """Features stand for their own map, and every map that is asked for is noted."""
    mapped = []

    def embed(features, perplexity, steps, seed):
        mapped.append(len(features))
        return features.astype(np.float64)

    monkeypatch.setattr(cold_paws, "_embed", embed)
    return mapped


def dense(points):
    x = points.astype(np.float64)
    return np.sqrt(((x[:, None] - x[None]) ** 2).sum(-1))


def cost(distances, medoids):
    return distances[:, medoids].min(axis=1).sum()


def naive(distances, start, fixed, allowed):
    """Alternating k-medoids with every distance at hand, cluster by cluster and point by point."""
    medoids = [*fixed, *start]
    while True:
        owner = [int(np.argmin([row[m] for m in medoids])) for row in distances]
        following = list(medoids)
        for j in range(len(fixed), len(medoids)):
            members = [i for i, o in enumerate(owner) if o == j]
            best, least = medoids[j], sum(distances[medoids[j], i] for i in members)
            for i in members:
                total = sum(distances[i, other] for other in members)
                if allowed[i] and i not in following and total < least - 1e-12:
                    best, least = i, total
            following[j] = best
        if following == medoids:
            return medoids[len(fixed) :]
        medoids = following


@pytest.mark.parametrize("fixed", [[], [3, 50, 51, 299]])
@pytest.mark.parametrize("count", [1, 2, 9, 40])
def test_alternation_is_that_of_the_definition(cloud, count, fixed):
    points, fixed = cloud[:, :2].astype(np.float64), np.array(fixed, dtype=np.int64)
    allowed = np.arange(300) % 3 > 0
    allowed[fixed] = False
    start = np.random.default_rng(count).choice(np.flatnonzero(allowed), count, replace=False)
    found = cold_paws._alternate(points, start, fixed, allowed, 300)
    assert found.tolist() == naive(dense(points), start.tolist(), fixed.tolist(), allowed)
    if count < 40:
        assert found.tolist() != start.tolist()


def test_alternation_in_blocks(cloud, monkeypatch):
    points, allowed = cloud.astype(np.float64), np.ones(300, dtype=bool)
    whole = cold_paws._alternate(points, np.arange(5), np.empty(0, np.int64), allowed, 300)
    monkeypatch.setattr(cold_paws, "rows_per_block", lambda size: 16)
    parts = cold_paws._alternate(points, np.arange(5), np.empty(0, np.int64), allowed, 300)
    np.testing.assert_array_equal(whole, parts)


@pytest.mark.parametrize("labeled", [[], [8, 100, 250, 251]])
def test_picks_are_medoids_of_their_clusters(cloud, flat, labeled):
    candidates = np.setdiff1d(np.arange(0, 300, 2), labeled)
    found = usl.select(cloud, 12, method="cold_paws", labeled=labeled, candidates=candidates)
    distances, medoids = dense(cloud), [*labeled, *sorted(found.indices.tolist())]
    owner = np.argmin(distances[:, medoids], axis=1)
    for j, medoid in enumerate(medoids):
        members = np.flatnonzero(owner == j)
        choices = np.intersect1d(members, candidates)
        if medoid not in labeled:
            sums = distances[np.ix_(choices, members)].sum(axis=1)
            assert medoid == choices[sums.argmin()]


def test_the_objective_is_below_chance_and_near_the_optimum(cloud, flat):
    distances = dense(cloud[:40])
    pairs = [(i, j) for i in range(40) for j in range(i)]
    optimum = min(cost(distances, pair) for pair in pairs)
    chance = np.mean([cost(distances, pair) for pair in pairs])
    found = [
        cost(distances, usl.select(cloud[:40], 2, method="cold_paws", seed=seed).indices)
        for seed in range(5)
    ]
    assert min(found) == pytest.approx(optimum, rel=0.02)
    assert np.mean(found) < 0.5 * (chance + optimum)
    assert max(found) < chance


def test_labelled_rows_are_medoids_that_stay(blobs, flat):
    features, classes = blobs
    labeled = np.flatnonzero(classes < 3)[:30]
    assert set(classes[labeled]) == {0, 1, 2}
    for seed in range(5):
        found = usl.select(features, 3, method="cold_paws", labeled=labeled, seed=seed)
        assert sorted(classes[found.indices]) == [3, 4, 5]


def test_the_start_is_spread(blobs):
    classes = blobs[1]
    none, everything = np.empty(0, np.int64), np.ones(600, dtype=bool)
    points = np.eye(6)[classes]  # six places: a place that has a medoid cannot be drawn again
    for seed in range(10):
        rng = np.random.default_rng(seed)
        start = cold_paws._spread(points, 6, none, everything, rng)
        assert sorted(classes[start]) == list(range(6))
        more = cold_paws._spread(points, 9, start, ~np.isin(np.arange(600), start), rng)
        assert len(np.unique(more)) == 9
        assert not np.isin(more, start).any()


def test_the_map_finds_the_groups(blobs):
    features, classes = blobs
    found = usl.select(features, 6, **QUICK)
    assert sorted(classes[found.indices]) == list(range(6))
    assert found.parameters["perplexity"] == 40
    assert found.parameters["embedded"] == 600
    points = cold_paws._embed(features, 40, 250, 0)
    assert points.shape == (600, 2)
    near = np.argsort(dense(points), axis=1)[:, 1]
    assert (classes[near] == classes).mean() > 0.99


def test_one_thread_makes_the_map(blobs, monkeypatch):
    threads = []

    def fit(self, table):
        threads.extend(pool["num_threads"] for pool in threadpool_info())
        return table[:, :2]

    monkeypatch.setattr(TSNE, "fit_transform", fit)
    with threadpool_limits(3):
        usl.select(blobs[0], 5, method="cold_paws")
    assert set(threads) == {1}


def test_rounding_changes_nothing(blobs):
    features = blobs[0][:60].astype(np.float16).astype(np.float32)
    other = features * np.float32(1 + 2e-7)
    assert (other != features).any()
    plain, rounded = (cold_paws._embed(table, 10, 250, 0) for table in (features, other))
    np.testing.assert_array_equal(plain, rounded)


def test_more_rows_than_the_sample(cloud, flat):
    labeled = np.arange(0, 300, 30)
    found = usl.select(cloud, 8, method="cold_paws", labeled=labeled, sample=60)
    assert flat == [60]
    assert found.parameters["embedded"] == 60
    assert found.parameters["sample"] == 60
    other = usl.select(cloud, 8, method="cold_paws", labeled=labeled, sample=60, seed=1)
    assert set(found.indices) != set(other.indices)
    whole = usl.select(cloud, 8, method="cold_paws", labeled=labeled, sample=300)
    assert whole.parameters["embedded"] == 300


def test_the_default_sample_is_ten_thousand(flat):
    features = unit(np.random.default_rng(0).normal(size=(10_500, 4)))
    found = usl.select(features, 5, method="cold_paws", iterations=2)
    assert flat == [10_000]
    assert found.parameters["embedded"] == 10_000


def test_nothing_is_mapped_where_there_is_nothing_to_choose(cloud, flat):
    found = usl.select(cloud, 20, method="cold_paws", candidates=np.arange(20))
    assert sorted(found.indices.tolist()) == list(range(20))
    assert found.parameters["embedded"] == 0
    assert flat == []


@pytest.mark.parametrize("n", [1, 2, 4, 5, 6, 20])
@pytest.mark.parametrize("width", [1, 2, 3])
def test_few_rows(n, width):
    features = np.random.default_rng(n).normal(size=(n, width))
    for budget in {1, 2, n // 2, n - 1} & set(range(1, n)):
        found = usl.select(features, budget, **QUICK)
        assert len(np.unique(found.indices)) == budget
        assert found.parameters["perplexity"] <= (n - 1) / 3


def test_rows_that_coincide():
    groups = np.repeat(np.eye(4)[:3], 100, axis=0)
    found = usl.select(groups, 3, **QUICK)
    assert sorted(found.indices // 100) == [0, 1, 2]
    assert len(np.unique(usl.select(groups, 299, **QUICK).indices)) == 299
    same = np.ones((50, 4)) + 1e-7 * np.random.default_rng(0).normal(size=(50, 4))
    assert len(np.unique(usl.select(same, 7, **QUICK).indices)) == 7


@pytest.mark.parametrize(
    ("name", "value"),
    [("perplexity", 0), ("sample", 0), ("iterations", 0), ("steps", 249), ("steps", np.inf)],
)
def test_impossible_parameters_are_named(cloud, name, value):
    with pytest.raises(UsageError, match=f"{name}: "):
        usl.select(cloud, 3, method="cold_paws", **{name: value})
