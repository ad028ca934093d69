"""TOD, MMA and the consistency of views against their formulas, on tables that are written down."""

from __future__ import annotations

import numpy as np
import pytest

import usl
from usl.active.strategies.mma_kmeans import quotas
from usl.numeric.kmeans import kmeans


@pytest.fixture(scope="module")
def looked(pool):
    """Six views of the pool, and what was said before the newest labels."""
    rng = np.random.default_rng(5)
    views = [rng.dirichlet(np.ones(4), 60) for _ in range(6)]
    return views, rng.dirichlet(np.ones(4), 60)


def asked(pool, budget, method, **given):
    given = {"labeled": pool.labeled, "classes": pool.classes, "seed": 2, **given}
    return usl.query(
        pool.features,
        budget,
        method=method,
        predictions=pool.predictions,
        candidates=pool.candidates,
        **given,
    )


def test_tod_asks_for_what_the_newest_labels_have_changed_most(pool, looked):
    _, previous = looked
    score = {
        row: 0.5 * sum((pool.predictions[row, c] - previous[row, c]) ** 2 for c in range(4))
        for row in pool.candidates.tolist()
    }
    found = asked(pool, 49, "tod", previous=previous)
    assert found.indices.tolist() == sorted(score, key=lambda row: (-score[row], row))
    np.testing.assert_allclose(
        found.figures["discrepancy"], [score[row] for row in found.indices.tolist()]
    )
    row, reason = int(found.indices[0]), found.reasons[0]
    now, last = pool.predictions[row].argmax(), previous[row].argmax()
    if now == last:
        assert reason.endswith(f"sure of {{{now}}} than before the newest labels")
    else:
        assert reason == f"{{{last}}} before the newest labels, {{{now}}} now"


def test_tod_of_the_first_round_asks_for_what_is_as_little_known_as_untrained(pool):
    score = {
        row: 0.5 * sum((p - 0.25) ** 2 for p in pool.predictions[row])
        for row in pool.candidates.tolist()
    }
    found = asked(pool, 49, "tod")
    assert found.indices.tolist() == sorted(score, key=lambda row: (score[row], row))


def margins(pool, views):
    """p1 - p2 of the mean view of every candidate."""
    ordered = np.sort(np.mean(views, axis=0)[pool.candidates], axis=1)
    return ordered[:, -1] - ordered[:, -2]


@pytest.mark.parametrize("looks", [2, 5])
def test_mma_asks_for_the_smallest_margin_of_the_mean_view(pool, looked, looks):
    views, _ = looked
    margin = margins(pool, views[:looks])
    found = asked(pool, 9, "mma", looks=looks, views=lambda count: iter(views[:count]))
    order = np.argsort(margin, kind="stable")[:9]
    assert found.indices.tolist() == pool.candidates[order].tolist()
    np.testing.assert_allclose(found.figures["margin"], margin[order])


def test_mma_kmeans_gives_each_cluster_its_share(pool, looked):
    views, _ = looked
    margin = margins(pool, views[:2])
    given = {"clusters": 3, "views": lambda count: iter(views[:count])}
    found = asked(pool, 7, "mma_kmeans", **given)
    rng = np.random.default_rng(2)
    own = kmeans(pool.features[pool.candidates], 3, rng=rng, iterations=100).clusters
    shares = quotas(np.bincount(own), 7, rng)
    expected = set()
    for one, share in enumerate(shares.tolist()):
        rows = [place for place in range(49) if own[place] == one]
        expected |= set(sorted(rows, key=lambda place: margin[place])[:share])
    assert set(found.indices.tolist()) == set(pool.candidates[sorted(expected)].tolist())
    assert (np.diff(found.figures["margin"]) >= 0).all()
    assert set(asked(pool, 49, "mma_kmeans", **given).indices) == set(pool.candidates.tolist())


def test_quotas_sum_to_the_budget_and_no_cluster_gives_more_than_it_has():
    rng = np.random.default_rng(0)
    assert quotas(np.array([50, 30, 20]), 10, rng).tolist() == [5, 3, 2]
    for _ in range(200):
        sizes = rng.integers(0, 9, size=rng.integers(1, 20))
        sizes[0] += 1
        budget = int(rng.integers(1, sizes.sum() + 1))
        found = quotas(sizes, budget, rng)
        assert found.sum() == budget
        assert (found <= sizes).all()


def test_cbssal_asks_for_the_largest_variance_over_a_row_and_its_views(pool, looked):
    views, _ = looked
    said = np.stack([pool.predictions, *views])[:, pool.candidates]
    variance = ((said - said.mean(axis=0)) ** 2).mean(axis=0).sum(axis=1)
    found = asked(pool, 9, "cbssal", looks=6, views=lambda count: iter(views[:count]))
    order = np.argsort(-variance, kind="stable")[:9]
    assert found.indices.tolist() == pool.candidates[order].tolist()
    np.testing.assert_allclose(found.figures["variance"], variance[order])
