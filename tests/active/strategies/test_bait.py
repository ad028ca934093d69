"""BAIT against the trace itself, every matrix written out and inverted anew."""

from __future__ import annotations

import numpy as np
import pytest

import usl
from usl.active.strategies.bait import needed
from usl.core.errors import UsageError


def information(pool, fisher):
    """The Fisher information of every row, [n, size d, size d], features of length sqrt(d)."""
    x = pool.features.astype(np.float64) * np.sqrt(5)
    p = pool.predictions
    if fisher == "binary":
        most = p.max(axis=1)
        return np.einsum("n,ni,nj->nij", most * (1 - most), x, x)
    middle = np.stack([np.diag(one) - np.outer(one, one) for one in p])
    return np.stack([np.kron(m, np.outer(one, one)) for m, one in zip(middle, x, strict=True)])


def naive(pool, budget, fisher, lam):
    each = information(pool, fisher)
    every, total = each.mean(axis=0), len(pool.labeled) + budget
    weight = budget / total
    m = lam * np.eye(len(every)) + each[pool.labeled].sum(axis=0) / total

    def trace(matrix):
        return np.trace(np.linalg.inv(matrix) @ every)

    added, falls = [], []
    for _ in range(2 * budget):
        left = [c for c in pool.candidates.tolist() if c not in added]
        after = [trace(m + weight * each[c]) for c in left]
        falls.append(trace(m) - min(after))
        added.append(left[int(np.argmin(after))])
        m = m + weight * each[added[-1]]
    stay = list(range(2 * budget))
    while len(stay) > budget:
        after = [trace(m - weight * each[added[i]]) for i in stay]
        out = stay.pop(int(np.argmin(after)))
        m = m - weight * each[added[out]]
    return [added[i] for i in stay], [falls[i] for i in stay]


def asked(pool, budget, **params):
    return usl.query(
        pool.features,
        budget,
        labeled=pool.labeled,
        classes=pool.classes,
        method="bait",
        predictions=pool.predictions,
        candidates=pool.candidates,
        **params,
    )


@pytest.mark.parametrize(("fisher", "lam"), [("full", 1.0), ("full", 1e-4), ("binary", 1.0)])
def test_rows_are_added_and_taken_out_as_the_trace_says(pool, fisher, lam, monkeypatch):
    monkeypatch.setattr("usl.active.shared.fisher.TRACED", 16)
    monkeypatch.setattr("usl.active.shared.fisher.SUMMED", 16)
    monkeypatch.setattr("usl.active.shared.fisher.PRODUCT", 3)
    expected, falls = naive(pool, 7, fisher, lam)
    found = asked(pool, 7, fisher=fisher, lam=lam)
    assert found.indices.tolist() == expected
    np.testing.assert_allclose(found.figures["fall"], falls, rtol=1e-4)
    assert found.parameters["fisher"] == fisher


def test_every_candidate_may_be_asked_for(pool):
    count = len(pool.candidates)
    assert set(asked(pool, count).indices) == set(pool.candidates.tolist())


def test_which_information_it_is_by_the_number_of_classes(pool):
    assert asked(pool, 2).parameters["fisher"] == "full"
    many = np.full((60, 17), 1 / 17)
    given = {"labeled": pool.labeled, "classes": pool.classes, "method": "bait"}
    found = usl.query(pool.features, 2, predictions=many, **given)
    assert found.parameters["fisher"] == "binary"
    many = np.full((60, 4000), 1 / 4000)
    with pytest.raises(UsageError, match="fisher: 'full' given, but 4,000 classes"):
        usl.query(pool.features, 2, predictions=many, fisher="full", **given)


def test_memory_is_told_for_the_widest_case():
    given = 50_000, 320, 10, 10
    assert needed(*given, {"fisher": "binary"}) < needed(*given, {}) < 4 << 30
