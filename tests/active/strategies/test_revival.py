"""REVIVAL as we read it, and CoreSetSSL, against their formulas on a small pool."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

import usl
from usl.active.strategies.revival import changes, taught_head
from usl.numeric.table import as_table
from usl.training.frozen import label_spreading
from usl.training.models import LinearModel


def naive_change(x, weight, bias, epsilon):
    """KL(p(x) || p(x + r)), r along the Hessian's first eigenvector, the worse of both ways."""

    def said(x):
        logits = np.exp(weight @ x + bias)
        return logits / logits.sum()

    p = said(x)
    hessian = weight.T @ (np.diag(p) - np.outer(p, p)) @ weight
    r = epsilon * np.linalg.eigh(hessian)[1][:, -1]
    return max((p * np.log(p / said(x + way * r))).sum() for way in (1, -1))


def test_the_change_of_the_answer_along_the_direction_in_which_it_is_largest(pool):
    rng = np.random.default_rng(3)
    weight, bias = 3 * rng.normal(size=(4, 5)), rng.normal(size=4)
    head = LinearModel(weight, bias)
    found, likely, beyond = changes(as_table(pool.features), pool.candidates, head, 0.3, 0)
    points = pool.features[pool.candidates].astype(np.float64)
    expected = [naive_change(x, weight, bias, 0.3) for x in points]
    np.testing.assert_allclose(found, expected, rtol=0.02, atol=1e-6)
    assert likely.tolist() == head.probabilities(points).argmax(axis=1).tolist()
    assert (likely != beyond).all()


def test_virtual_labels_teach_the_head_by_how_sure_they_are(pool):
    found, distances = as_table(pool.features).nearest(10)
    head = taught_head(
        as_table(pool.features), pool.labeled, pool.classes, 4, found, distances, seed=0
    )
    every = np.full(60, -1)
    every[pool.labeled] = pool.classes
    virtual = label_spreading.fit(pool.features, every, np.ones(60), 4).fitted()
    weights = 1 + (virtual * np.log(np.maximum(virtual, 1e-300))).sum(axis=1) / np.log(4)
    weights[pool.labeled] = 1
    guesses = np.where(every < 0, virtual.argmax(axis=1), every)
    solver = LogisticRegression(C=10, max_iter=2000)
    solver.fit(pool.features.astype(np.float64), guesses, sample_weight=weights)
    np.testing.assert_allclose(
        head.probabilities(pool.features),
        solver.predict_proba(pool.features.astype(np.float64)),
        atol=1e-3,
    )


def test_revival_asks_for_the_largest_changes(pool):
    given = {"labeled": pool.labeled, "classes": pool.classes, "predictions": pool.predictions}
    given |= {"candidates": pool.candidates, "method": "revival"}
    found = usl.query(pool.features, 6, **given)
    figures = usl.query(pool.features, 49, **given).figures["change"]
    assert (np.diff(figures) <= 0).all()
    assert found.figures["change"].tolist() == figures[:6].tolist()
    nearest = as_table(pool.features).nearest(1)[1][:, 0]
    assert abs(found.parameters["epsilon"] - 0.5 * nearest.mean()) < 1e-6


def test_coreset_ssl_covers_what_the_model_says(pool):
    said = pool.predictions
    expected: list[int] = []
    for _ in range(6):
        anchors = said[[*pool.labeled.tolist(), *expected]]
        away = {
            row: min(((said[row] - one) ** 2).sum() for one in anchors)
            for row in pool.candidates.tolist()
            if row not in expected
        }
        expected.append(max(away, key=lambda row: away[row]))
    found = usl.query(
        pool.features,
        6,
        method="coreset_ssl",
        labeled=pool.labeled,
        classes=pool.classes,
        predictions=said,
        candidates=pool.candidates,
    )
    assert found.indices.tolist() == expected
