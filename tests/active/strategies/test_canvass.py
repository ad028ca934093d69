"""Canvass against its definition, written out; without labels, on samples; its reasons."""

from __future__ import annotations

import numpy as np
import pytest

import usl
from support import clumps, unit
from usl.active.strategies import canvass
from usl.numeric.table import as_table


def graph_of(x, k=10):
    """Links and weights cos^4 of the symmetric graph of k nearest neighbours, dense."""
    cosine = x @ x.T
    apart = cosine - 9 * np.eye(len(x))
    linked = np.zeros(cosine.shape, dtype=bool)
    linked[np.arange(len(x))[:, None], np.argsort(-apart, axis=1)[:, :k]] = True
    linked |= linked.T
    return linked, np.where(linked, np.maximum(cosine, 0) ** 4, 0)


def naive(pool, budget):
    """The product of coverage, doubt and class balance of every candidate, in float64."""
    x = pool.features.astype(np.float64)
    n, m = len(x), len(pool.labeled) + budget
    linked, weights = graph_of(x)
    averaged = x + linked @ x / linked.sum(axis=1, keepdims=True)
    averaged /= np.linalg.norm(averaged, axis=1, keepdims=True)
    squared = ((averaged[:, None] - averaged[None]) ** 2).sum(-1)
    k = min(max(int(0.5 * n / m), 5), n // 2)
    kernel = np.exp(-squared / np.sort(squared, axis=1)[:, 1 : k + 1].mean())

    p = np.sort(pool.predictions, axis=1)
    doubt = np.maximum(1 - (p[:, -1] - p[:, -2]), 0.01)
    degree = weights.sum(axis=1)
    step = 0.8 * weights / np.sqrt(np.outer(degree, degree))
    passed_on = sum(np.linalg.matrix_power(step, t) for t in range(11))
    given = np.eye(4)[pool.classes]
    votes = passed_on[:, pool.labeled] @ given
    shares = votes / votes.sum(axis=1, keepdims=True)

    picks, covered, counts = [], [], given.sum(axis=0)
    for _ in range(budget):
        best = kernel[:, [*pool.labeled, *picks]].max(axis=1)
        gain = {
            c: float(doubt @ np.maximum(kernel[:, c] - best, 0))
            for c in pool.candidates.tolist()
            if c not in picks
        }
        picks.append(max(gain, key=lambda c: gain[c] * float((shares[c] / counts).sum())))
        covered.append(gain[picks[-1]])
        counts = counts + shares[picks[-1]]
    return picks, covered


def asked(pool, budget, **params):
    known = {"labeled": pool.labeled, "classes": pool.classes, "predictions": pool.predictions}
    given = {**known, "candidates": pool.candidates, **params}
    return usl.query(pool.features, budget, method="canvass", **given)


def test_picks_are_those_of_the_definition(pool):
    expected, covered = naive(pool, 8)
    found = asked(pool, 8)
    assert found.indices.tolist() == expected
    np.testing.assert_allclose(found.figures["covered"], covered, rtol=1e-3)


@pytest.fixture(scope="module")
def mirrored():
    """Two clumps of 60 rows in 4 dimensions, the mirror image of each other."""
    noise = np.random.default_rng(0).normal(scale=0.1, size=(60, 4))
    half = unit(np.eye(4)[:1] + noise)
    return np.concatenate([half, half[:, [1, 0, 2, 3]]])


def test_it_is_the_default(pool):
    given = {"labeled": pool.labeled, "classes": pool.classes, "predictions": pool.predictions}
    default = usl.query(pool.features, 4, **given)
    assert default.indices.tolist() == asked(pool, 4, candidates=None).indices.tolist()


@pytest.mark.parametrize("labels", [0, 1])
def test_without_predictions_quorum_goes_on(pool, labels):
    given = {"labeled": pool.labeled[:labels], "candidates": pool.candidates}
    found = asked(pool, 5, **given, classes=pool.classes[:labels], predictions=None, seed=3)
    same = usl.select(pool.features, 5, method="quorum", **given, seed=3)
    assert sorted(found.indices.tolist()) == sorted(same.indices.tolist())
    assert set(found.reasons) == {canvass.COLD}


def test_of_two_like_candidates_it_asks_for_the_class_with_fewer_labels(mirrored):
    labeled, classes = [0, 1, 2, 60], [0, 0, 0, 1]
    given = {"labeled": labeled, "classes": classes, "predictions": np.full((120, 2), 0.5)}
    found = usl.query(mirrored, 1, method="canvass", candidates=[10, 70], **given)
    assert found.indices.tolist() == [70]
    assert found.reasons[0].endswith(", may be {1}, which has few labels")
    np.testing.assert_allclose(found.figures["scarcity"], 2, rtol=0.01)  # a class has 2 on average


def test_doubt_decides_between_places_that_are_alike(mirrored):
    sure = np.where(np.arange(120) < 60, 0.5, 0.9)
    given = {"predictions": np.stack([sure, 1 - sure], axis=1), "candidates": [10, 70]}
    found = usl.query(mirrored, 1, method="canvass", labeled=[0, 60], classes=[0, 1], **given)
    assert found.indices.tolist() == [10]
    assert found.reasons[0].startswith("between {0} and {1}, stands for ")


def test_a_sample_of_a_large_collection_serves(monkeypatch):
    features = clumps(4, 8, 0.5, n=600)
    labeled = np.arange(0, 600, 100)
    predictions = np.random.default_rng(0).dirichlet(np.ones(3), 600)
    given = {"labeled": labeled, "classes": labeled % 3, "predictions": predictions}
    monkeypatch.setattr(canvass, "LINKED", 400)
    monkeypatch.setattr(canvass, "COVERED", 300)
    monkeypatch.setattr(canvass, "POOL", 100)
    found = usl.query(features, 4, method="canvass", **given)
    assert [found.parameters[name] for name in ("linked", "rows", "pool")] == [400, 300, 100]
    assert not np.isin(found.indices, labeled).any()
    few = usl.query(features, 4, method="canvass", candidates=np.arange(1, 6), **given)
    assert few.indices.max() < 6


def test_where_all_rows_coincide_there_is_a_reach():
    assert canvass.reach(as_table(np.ones((20, 3), np.float32) / np.float32(3**0.5)), 4) == 1
