"""ActiveFT: the loss by its definition, the gradient by finite differences, the picks by both."""

from __future__ import annotations

import numpy as np
import pytest

import usl
from usl.core.errors import UsageError
from usl.numeric.table import as_table
from usl.selection.methods.activeft import loss_and_gradient


def loss(features, centroids, held, fixed, tau):
    """J written out; ``held`` are the centroids j in E_k, through which no gradient flows."""
    unit = centroids / np.linalg.norm(centroids, axis=1, keepdims=True)
    anchors = np.concatenate([held / np.linalg.norm(held, axis=1, keepdims=True), fixed])
    total = 0.0
    for f in features:
        k = int(np.argmax(np.concatenate([unit, fixed]) @ f))
        if k < len(unit):
            s = np.exp(f @ unit[k] / tau)
            total -= np.log(s / (s + sum(np.exp(unit[k] @ c / tau) for c in anchors)))
    return total / len(features)


@pytest.mark.parametrize("tau", [0.07, 0.5])
@pytest.mark.parametrize("labels", [0, 3])
def test_loss_and_gradient_are_those_of_the_definition(cloud, tau, labels):
    rows = cloud[:60].astype(np.float64)
    fixed = rows[50 : 50 + labels]
    centroids = rows[:5] * np.array([[0.5], [1], [2], [1.3], [0.9]])
    value, gradient = loss_and_gradient(as_table(rows), centroids, fixed, tau)
    assert value == pytest.approx(loss(rows, centroids, centroids, fixed, tau))
    numerical = np.zeros_like(gradient)
    for index in np.ndindex(centroids.shape):
        up, down = centroids.copy(), centroids.copy()
        up[index] += 1e-6
        down[index] -= 1e-6
        ends = [loss(rows, c, centroids, fixed, tau) for c in (up, down)]
        numerical[index] = (ends[0] - ends[1]) / 2e-6
    assert np.abs(gradient).max() > 1e-3
    np.testing.assert_allclose(gradient, numerical, atol=1e-7)


def test_a_very_low_temperature_stays_finite(cloud):
    value, gradient = loss_and_gradient(
        as_table(cloud), cloud[:4].astype(np.float64), cloud[:0], 1e-4
    )
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_training_lowers_the_loss_and_finds_the_blobs(blobs):
    features, classes = blobs
    found = usl.select(features, 6, method="activeft", lr=0.02, seed=1)
    start = usl.select(features, 6, method="activeft", iterations=0, seed=1)

    def at(rows):
        start = features[rows].astype(np.float64)
        return loss_and_gradient(as_table(features), start, features[:0], 0.07)[0]

    assert at(found.indices) < at(start.indices)
    assert len(np.unique(classes[found.indices])) == 6 > len(np.unique(classes[start.indices]))


def test_without_steps_the_picks_are_the_random_start(cloud):
    found = usl.select(cloud, 20, method="activeft", iterations=0, seed=5)
    drawn = np.random.default_rng(5).choice(np.arange(300), 20, replace=False)
    assert set(found.indices) == set(drawn)


def test_the_first_step_is_one_of_adam(cloud):
    """A first step of Adam moves every coordinate by lr: with a huge one the signs decide."""
    drawn = np.random.default_rng(2).choice(np.arange(300), 4, replace=False)
    start = cloud[drawn].astype(np.float64)
    _, gradient = loss_and_gradient(as_table(cloud), start, cloud[:0], 0.07)
    moved = start - 0.3 * np.sign(gradient)
    expected = []
    for centroid in moved:
        order = np.argsort(-(cloud @ centroid))
        expected.append(next(int(row) for row in order if row not in expected))
    found = usl.select(cloud, 4, method="activeft", iterations=1, lr=0.3, seed=2)
    assert set(found.indices) == set(expected)


@pytest.mark.parametrize(
    ("name", "value"), [("tau", 0), ("tau", -1), ("lr", 0), ("lr", np.nan), ("iterations", -1)]
)
def test_impossible_parameters_are_named(cloud, name, value):
    with pytest.raises(UsageError, match=f"{name}: "):
        usl.select(cloud, 3, method="activeft", **{name: value})
