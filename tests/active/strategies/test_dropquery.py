"""DropQuery against its definition, with the features that drop out written down."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import usl
from support import unit
from usl.active.shared.central_rows import central_rows
from usl.numeric.table import as_table


def asked(pool, budget, **given):
    given = {"labeled": pool.labeled, "classes": pool.classes, "seed": 2, **given}
    predictions = pool.predictions  # of another model, which nothing here depends on
    return usl.query(
        pool.features,
        budget,
        method="dropquery",
        predictions=predictions,
        candidates=pool.candidates,
        **given,
    )


def naive(pool, passes, dropout):
    """Changes and p1 - p2 of every candidate."""
    head = LogisticRegression(C=10, max_iter=2000)
    head.fit(pool.features[pool.labeled].astype(np.float64), pool.classes)
    points = pool.features[pool.candidates].astype(np.float64)
    likely = head.predict(points)
    rng = np.random.default_rng([2, pool.candidates[0]])
    changes = np.zeros(len(points), int)
    for _ in range(passes):
        drop = rng.random(points.shape, dtype=np.float32) < dropout
        changes += head.predict(np.where(drop, 0, points / (1 - dropout))) != likely
    p = np.sort(head.predict_proba(points), axis=1)
    return changes, p[:, -1] - p[:, -2]


@pytest.mark.parametrize(("passes", "dropout"), [(3, 0.75), (4, 0.3)])
def test_the_rows_that_change_most_often_where_they_are_few(pool, passes, dropout):
    changes, margin = naive(pool, passes, dropout)
    assert 0 < (changes > passes / 2).sum() < 49
    found = asked(pool, 49, passes=passes, dropout=dropout)
    order = sorted(range(49), key=lambda i: (-changes[i], margin[i]))
    assert found.indices.tolist() == pool.candidates[order].tolist()
    np.testing.assert_allclose(found.figures["margin"], margin[order], atol=1e-4)
    assert found.reasons[0].endswith(
        f"in {changes[order[0]]} of {passes} looks at a part of the features"
    )


def test_of_many_those_in_the_middle_of_clusters(pool):
    changes, _ = naive(pool, 3, 0.75)
    often = pool.candidates[changes >= 2]
    found = asked(pool, 4)
    assert len(often) > 4
    assert set(found.indices) <= set(often.tolist())
    assert set(found.indices) == set(central_rows(as_table(pool.features), often, 4, 2).tolist())


def test_the_row_nearest_to_the_mean_of_each_clump():
    rng = np.random.default_rng(0)
    clump = np.repeat([0, 1, 2], [30, 20, 10])
    features = unit(np.eye(3, 6)[clump] + 0.1 * rng.normal(size=(60, 6)))
    rows = np.arange(5, 60)
    expected = []
    for one in range(3):
        own = rows[clump[rows] == one]
        mean = features[own].mean(axis=0)
        expected.append(int(own[np.linalg.norm(features[own] - mean, axis=1).argmin()]))
    assert central_rows(as_table(features), rows, 3, 0).tolist() == expected
    same = np.repeat(features[:2], 5, axis=0)
    assert sorted(central_rows(as_table(same), np.arange(10), 10, 0)) == list(range(10))
