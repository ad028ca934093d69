"""TransCLIP's mixture against its updates written out on dense arrays."""

from __future__ import annotations

import numpy as np
import pytest

from support import unit
from usl.training.frozen.transclip import fit, prepare


@pytest.fixture
def problem():
    rng = np.random.default_rng(5)
    truth = np.repeat([0, 1, 2], [60, 30, 20])
    features = unit(np.eye(12)[truth] * 2 + rng.normal(scale=0.7, size=(110, 12)))
    classes = np.full(110, -1)
    for row in (0, 1, 60, 61, 62, 90):
        classes[row] = truth[row]
    return features, classes


def written_out(features, classes, gamma, k=3, steps=10):
    """Eqs. 8 to 10 of the paper with the release's constants, item by item."""
    x = features.astype(np.float64)
    n, d = x.shape
    cosine = x @ x.T
    w = np.zeros((n, n))
    for i in range(n):
        others = np.argsort(-cosine[i] + 2 * (np.arange(n) == i), kind="stable")[:k]
        w[i, others] = cosine[i, others]
    s, q = np.flatnonzero(classes >= 0), np.flatnonzero(classes < 0)
    y = np.eye(3)[classes[s]]
    mu = y.T @ x[s]
    mu /= np.linalg.norm(mu, axis=1, keepdims=True)
    var = np.full(d, 1 / d)
    z = np.exp(100 * x @ mu.T)
    z /= z.sum(axis=1, keepdims=True)
    z[s] = y
    for step in range(steps + 1):
        log_p = np.array([[-0.5 * ((x[i] - m) ** 2 / var).sum() for m in mu] for i in range(n)])
        for _ in range(5):
            logit = log_p / (50 * d / 512) + (w + w.T) @ z / (2 * k)
            z = np.exp(logit - logit.max(axis=1, keepdims=True))
            z /= z.sum(axis=1, keepdims=True)
            z[s] = y
        if step == steps:
            return z
        a, b = 1 / len(q), 50 * gamma / len(s)
        mu = a * z[q].T @ x[q] + b * y.T @ x[s]
        mu /= np.linalg.norm(mu, axis=1, keepdims=True)
        top, mass = np.zeros(d), 0.0
        for c in range(3):
            top += a * (z[q][:, c : c + 1] * (x[q] - mu[c]) ** 2).sum(axis=0)
            top += b * (y[:, c : c + 1] * (x[s] - mu[c]) ** 2).sum(axis=0)
            mass += a * z[q][:, c].sum() + b * y[:, c].sum()
        var = top / mass


@pytest.mark.parametrize("gamma", [0.002, 0.2])
def test_the_assignments_are_those_of_the_updates(problem, gamma):
    features, classes = problem
    found = fit(features, classes, np.ones(110), 3, gamma=gamma).fitted()
    np.testing.assert_allclose(found, written_out(features, classes, gamma), atol=1e-4)


def test_gamma_is_the_first_that_is_right_most_often_beside_the_labels(problem):
    features, classes = problem
    s, q = np.flatnonzero(classes >= 0), np.flatnonzero(classes < 0)
    near = q[(features[s] @ features[q].T).argmax(axis=1)]
    tried = {g: fit(features, classes, np.ones(110), 3, gamma=g).fitted() for g in
             (0.002, 0.01, 0.02, 0.2)}  # fmt: skip
    right = {g: (z[near].argmax(axis=1) == classes[s]).sum() for g, z in tried.items()}
    chosen = max(right, key=right.get)  # the first of several
    np.testing.assert_array_equal(fit(features, classes, np.ones(110), 3).fitted(), tried[chosen])


def test_new_items_follow_the_classes_and_their_neighbours(problem):
    features, classes = problem
    model = fit(features, classes, np.ones(110), 3)
    new = unit(features[::7] + 0.01)
    found = model.probabilities(new)
    for item, row in zip(new, found, strict=True):
        near = np.argsort(-(features @ item), kind="stable")[:3]
        cosines = features[near] @ item
        vote = (cosines[:, None] * model.scores[near]).sum(axis=0) / cosines.sum()
        logit = model.weight @ item + model.bias + vote
        expected = np.exp(logit - logit.max())
        np.testing.assert_allclose(row, expected / expected.sum(), atol=1e-4)


def test_a_prepared_graph_changes_nothing(problem):
    features, classes = problem
    plain = fit(features, classes, np.ones(110), 3, k=5).fitted()
    ready = fit(features, classes, np.ones(110), 3, k=5, **prepare(features, k=5)).fitted()
    np.testing.assert_array_equal(plain, ready)


def test_the_label_weights_count(problem):
    features, classes = problem
    light = np.ones(110)
    light[classes == 0] = 0.1
    heavy = fit(features, classes, np.ones(110), 3, gamma=0.2)
    assert not np.array_equal(heavy.fitted(), fit(features, classes, light, 3, gamma=0.2).fitted())
