from __future__ import annotations

import numpy as np
import pytest

from usl.core.errors import UsageError
from usl.numeric.neighbor_graph import neighbor_weights
from usl.training.contract import FROZEN
from usl.training.frozen.poisson import fit, potentials, prepare
from usl.training.shared.class_shares import voted_shares


def given_labels(n, labels):
    classes = np.full(n, -1, dtype=np.int64)
    for row, number in labels.items():
        classes[row] = number
    return classes


def dense_potentials(w, classes, weights, n_classes):
    """Poisson's equation on one connected graph, by the pseudo-inverse of its Laplacian."""
    degree = w.sum(axis=1)
    right = np.zeros((len(w), n_classes))
    labelled = np.flatnonzero(classes >= 0)
    mean = sum(weights[j] * np.eye(n_classes)[classes[j]] for j in labelled)
    mean /= sum(weights[j] for j in labelled)
    for j in labelled:
        right[j] = weights[j] * (np.eye(n_classes)[classes[j]] - mean)
    u = np.linalg.pinv(np.diag(degree) - w) @ right
    return u - degree @ u / degree.sum()


@pytest.fixture
def problem(cloud):
    classes = given_labels(300, {row: row % 3 for row in (*range(9), 12, 15)})
    return cloud, classes, np.linspace(0.2, 2, 300)


def test_potentials_solve_the_equation(problem):
    features, classes, weights = problem
    graph = neighbor_weights(features, 8, 4.0)
    expected = dense_potentials(graph.toarray(), classes, weights, 3)
    found, offsets = potentials(graph, classes, weights, 3, tolerance=1e-12)
    np.testing.assert_allclose(found, expected, atol=1e-7 * np.abs(expected).max())
    np.testing.assert_allclose(offsets, 0, atol=1e-12)  # one component
    degree = np.asarray(graph.sum(axis=1)).ravel()
    np.testing.assert_allclose(degree @ found, 0, atol=1e-8)


def test_the_tolerance_hardly_changes_decisions(problem):
    features, classes, weights = problem
    graph = neighbor_weights(features, 8, 4.0)
    expected = dense_potentials(graph.toarray(), classes, weights, 3)
    found, _ = potentials(graph, classes, weights, 3)
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.99


def test_agrees_with_graphlearning(problem):
    graphlearning = pytest.importorskip("graphlearning")
    features, classes, _ = problem
    graph = neighbor_weights(features, 8, 4.0)
    labelled = np.flatnonzero(classes >= 0)
    theirs = graphlearning.ssl.poisson(graph, tol=1e-10).fit(labelled, classes[labelled])
    ours, _ = potentials(graph, classes, np.ones(300), 3, tolerance=1e-12)
    np.testing.assert_allclose(theirs - theirs.mean(axis=0), ours - ours.mean(axis=0), atol=1e-7)


def test_with_the_prior_off_the_class_is_that_of_the_largest_potential(problem):
    features, classes, weights = problem
    u, _ = potentials(neighbor_weights(features, 10, 4.0), classes, weights, 3)
    soft = fit(features, classes, weights, 3, sharpness=1, class_prior="off").fitted()
    sharp = fit(features, classes, weights, 3, sharpness=5, class_prior="off").fitted()
    np.testing.assert_array_equal(soft.argmax(axis=1), u.argmax(axis=1))
    np.testing.assert_array_equal(sharp.argmax(axis=1), u.argmax(axis=1))
    assert (sharp.max(axis=1) >= soft.max(axis=1) - 1e-12).mean() > 0.95
    logits = 5 * u / np.sqrt((u**2).mean())
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(sharp, expected, atol=1e-12)


@pytest.mark.parametrize("prior", [None, "uniform", "labels"])
def test_a_prior_fixes_the_mean_probabilities(problem, prior):
    features, classes, weights = problem
    found = fit(features, classes, weights, 3, class_prior=prior).fitted()
    labels = np.bincount(classes[classes >= 0], weights=weights[classes >= 0])
    expected = {
        None: voted_shares(features, classes, weights, 3),
        "uniform": np.full(3, 1 / 3),
        "labels": labels / labels.sum(),
    }[prior]
    np.testing.assert_allclose(found.mean(axis=0), expected, atol=1e-5)


def test_a_heavier_label_claims_more(problem):
    features, classes, _ = problem
    light, heavy = np.ones(300), np.ones(300)
    heavy[np.flatnonzero(classes == 1)] = 3
    before = fit(features, classes, light, 3).fitted().argmax(axis=1)
    after = fit(features, classes, heavy, 3).fitted().argmax(axis=1)
    assert (after == 1).sum() > (before == 1).sum()
    same = fit(features, classes, 5 * light, 3).fitted()
    np.testing.assert_allclose(same, fit(features, classes, light, 3).fitted(), atol=1e-9)


def test_components_are_solved_by_themselves():
    # three arcs in orthogonal planes: no edge of positive weight joins them
    angles = np.linspace(0, 0.5, 12)
    arc = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    features = np.zeros((36, 6), dtype=np.float32)
    for number in range(3):
        features[12 * number : 12 * number + 12, 2 * number : 2 * number + 2] = arc
    classes = given_labels(36, {0: 0, 11: 1, 14: 2})  # two classes, one class, no label
    found = fit(features, classes, np.ones(36), 3, k=3).fitted()
    alone = fit(features[:12], classes[:12], np.ones(12), 2, k=3).fitted()
    np.testing.assert_array_equal(found[:12].argmax(axis=1), alone.argmax(axis=1))
    assert (found[:12, 2] == 0).all()
    np.testing.assert_allclose(found[12:24], np.eye(3)[[2] * 12])
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found[24:].max(axis=1) < 0.7).all()  # a guess, and said to be one


def test_a_prepared_graph_changes_nothing(problem):
    plain = fit(*problem, 3, k=5).fitted()
    np.testing.assert_array_equal(plain, fit(*problem, 3, k=5, **prepare(problem[0], k=5)).fitted())


@pytest.mark.parametrize(
    ("params", "message"),
    [({"k": 0}, "k: 0"), ({"sharpness": 0}, "sharpness"), ({"class_prior": "x"}, "class_prior")],
)
def test_bad_parameters(params, message):
    with pytest.raises(UsageError, match=message):
        FROZEN.check("poisson", FROZEN.load("poisson"), params)
