"""The losses against their definitions, and the paper's two observations about them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from usl.numeric.arrays import softmax
from usl.selection.methods.usl_t.losses import (
    class_weights,
    global_loss,
    local_loss,
    local_target,
    moving_mean,
)


def numerical_gradient(function, logits, step=1e-5):
    gradient = np.zeros_like(logits)
    for index in np.ndindex(logits.shape):
        up, down = logits.copy(), logits.copy()
        up[index] += step
        down[index] -= step
        gradient[index] = (function(up) - function(down)) / (2 * step)
    return gradient


@pytest.fixture
def logits():
    return np.random.default_rng(0).normal(scale=2, size=(7, 4))


def kl(p, q):
    terms = np.where(p > 0, p * np.log(np.maximum(p, 1e-300) / q), 0)
    return terms.sum(axis=1)


@pytest.mark.parametrize("tau", [0.0, 0.6, 1.1])
def test_global_loss_is_eq_10(logits, tau):
    p = softmax(logits)
    hard = np.eye(4)[p.argmax(axis=1)]
    counted = p.max(axis=1) >= tau
    value, gradient = global_loss(p, p, tau=tau)
    assert value == pytest.approx((kl(hard, p) * counted).sum() / 7)

    def at(z):  # the target and who counts are constants
        return (kl(hard, softmax(z)) * counted).sum() / 7

    np.testing.assert_allclose(gradient, numerical_gradient(at, logits), atol=1e-7)


def test_the_pseudo_label_comes_from_the_reference(logits):
    reference = np.eye(4)[[3, 2, 1, 0, 3, 2, 1]] * 0.9 + 0.025
    value, gradient = global_loss(softmax(logits), reference, tau=0.5)
    chosen = softmax(logits)[np.arange(7), [3, 2, 1, 0, 3, 2, 1]]
    assert value == pytest.approx(-np.log(chosen).mean())
    assert (gradient[np.arange(7), [3, 2, 1, 0, 3, 2, 1]] < 0).all()


def test_local_loss_is_eq_14_with_eq_11_and_13(logits):
    neighbor = np.random.default_rng(1).normal(size=(7, 4))
    mean = np.array([0.7, 0.1, 0.1, 0.1])
    adjusted = neighbor - 5 * np.log(mean)
    expected = np.exp(adjusted / 0.25 - (adjusted / 0.25).max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    target = local_target(neighbor, mean, alpha=5, t=0.25)
    np.testing.assert_allclose(target, expected, atol=1e-12)
    value, gradient = local_loss(softmax(logits), target)
    assert value == pytest.approx(kl(expected, softmax(logits)).mean(), abs=1e-6)

    def at(z):
        return kl(expected, softmax(z)).mean()

    np.testing.assert_allclose(gradient, numerical_gradient(at, logits), atol=1e-6)


RELEASED = np.load(Path(__file__).parent / "released_losses.npz")  # the release's own losses, run


@pytest.mark.parametrize("tau", [0.0, 0.95])
@pytest.mark.parametrize("sureness", ["unsure", "mixed", "sure"])
def test_global_loss_and_its_class_weights_are_the_releases(sureness, tau):
    p = softmax(RELEASED[f"global_{sureness}_logits"])
    seen = p.max(axis=1), p.argmax(axis=1), tau
    name = f"global_{sureness}_tau{tau}"
    weights = {"cifar10": class_weights(*seen), "cifar100": class_weights(*seen, "batch")}
    for config, given in {"plain": None, **weights}.items():
        value, gradient = global_loss(p, p, tau=tau, weights=given)
        assert value == pytest.approx(float(RELEASED[f"{name}_{config}_value"]), abs=1e-5)
        np.testing.assert_allclose(gradient, RELEASED[f"{name}_{config}_gradient"], atol=1e-5)


@pytest.mark.parametrize(("column", "alpha", "t"), [("small", 5.0, 0.25), ("large", 2.5, 0.5)])
def test_local_loss_is_the_releases_step_after_step(column, alpha, t):
    mean = np.full(12, 1 / 12)
    for step in range(3):
        made = {
            name: RELEASED[f"local_{column}_step{step}_{name}"]
            for name in ("logits", "neighbor_logits", "value", "gradient", "mean_after")
        }
        target = local_target(made["neighbor_logits"], mean, alpha=alpha, t=t)
        value, gradient = local_loss(softmax(made["logits"]), target)
        assert value == pytest.approx(float(made["value"]), abs=1e-5)
        np.testing.assert_allclose(gradient, made["gradient"], atol=1e-5)
        mean = moving_mean(mean, softmax(made["neighbor_logits"]).mean(axis=0), 0.5)
        np.testing.assert_allclose(mean, made["mean_after"], atol=1e-5)


def test_every_cluster_has_the_same_share_of_a_weighted_loss():
    hard = np.array([0, 0, 0, 1, 2, 2, 0])
    confidence = np.array([0.99, 0.97, 0.5, 0.96, 0.99, 0.4, 0.98])
    weights = class_weights(confidence, hard, 0.95)
    shares = [weights[hard == cluster].sum() for cluster in range(3)]
    np.testing.assert_allclose(shares, 7 / 3, rtol=1e-6)
    np.testing.assert_array_equal(weights[confidence < 0.95], 0)
    assert not class_weights(confidence, hard, 1.0).any(), "nobody is sure: no loss, and no NaN"


def test_moving_mean_is_eq_12():
    mean = moving_mean(np.array([0.5, 0.5]), np.array([1.0, 0.0]), 0.25)
    np.testing.assert_allclose(mean, [0.625, 0.375])


def test_observation_1_global_loss_is_k_means_plus_a_regulariser():
    """For tau = 0, fixed features and s = -squared distance (Eq. 28 to 31).

    The loss is mean(|x - c_M|^2 + log sum_k exp(-|x - c_k|^2)), and its gradient with respect to
    the centroids is that of k-means, Eq. 38, plus that of the regulariser, in closed form.
    """
    rng = np.random.default_rng(2)
    x, c = rng.normal(size=(50, 3)), rng.normal(size=(4, 3))
    squared = ((x[:, None] - c[None]) ** 2).sum(-1)
    p = softmax(-squared)
    value, gradient = global_loss(p, p, tau=0.0)
    nearest = squared.argmin(axis=1)
    k_means = squared[np.arange(50), nearest]
    regulariser = np.log(np.exp(-squared).sum(axis=1))
    assert value == pytest.approx((k_means + regulariser).mean())

    # d(-|x - c_k|^2) / dc_k = 2 (x - c_k)
    through_logits = 2 * np.einsum("nk,nkd->kd", gradient, x[:, None] - c[None])
    own = np.eye(4)[nearest]
    of_k_means = -2 * np.einsum("nk,nkd->kd", own, x[:, None] - c[None]) / 50
    of_regulariser = 2 * np.einsum("nk,nkd->kd", p, x[:, None] - c[None]) / 50
    np.testing.assert_allclose(through_logits, of_k_means + of_regulariser, atol=1e-12)
    # net of both, an item attracts its own centroid and repels every other (paper 6.1)
    assert (gradient[np.arange(50), nearest] <= 0).all()
    assert (gradient[own == 0] >= 0).all()


def test_observation_2_one_cluster_is_not_stationary():
    logits = np.tile([12.0, 0, 0, 0, 0], (20, 1))
    mean = softmax(logits).mean(axis=0)  # the average has caught up
    for alpha, ends in ((1.0, 0.2), (5.0, 0.0)):
        target = local_target(logits, mean, alpha=alpha, t=0.25)
        np.testing.assert_allclose(target[:, 0], ends, atol=1e-6)
        _, gradient = local_loss(softmax(logits), target)
        assert (gradient[:, 0] > 0.7 / 20).all()  # the collapsed cluster loses
        assert (gradient[:, 1:] < 0).all()  # all others gain
    without = local_target(logits, mean, alpha=0.0, t=0.25)
    _, gradient = local_loss(softmax(logits), without)
    assert abs(gradient).max() < 1e-5  # unadjusted, the collapse would stay


def follow_flow(correlation, t, steps=300, rate=0.5):
    """Gradient flow of the local loss from nearly equal logits; growth of their spread.

    Two views of each item's logits: its own, and a neighbour's with the given correlation.
    """
    rng = np.random.default_rng(3)
    own = rng.normal(size=(4000, 6))
    other = correlation * own + np.sqrt(1 - correlation**2) * rng.normal(size=own.shape)
    direction = own - own.mean(axis=1, keepdims=True)
    size = 1e-3
    for _ in range(steps):
        z, neighbor = size * own, size * other
        target = local_target(neighbor, np.full(6, 1 / 6), alpha=5, t=t)
        _, gradient = local_loss(softmax(z), target)
        # the component of the step along the existing variation
        size -= rate * 4000 * float((gradient * direction).sum() / (direction**2).sum())
        if size <= 0:
            return 0.0
    return size / 1e-3


def test_observation_2_equal_shares_are_stationary():
    logits = np.zeros((20, 6))
    target = local_target(logits, np.full(6, 1 / 6), alpha=5, t=0.25)
    _, gradient = local_loss(softmax(logits), target)
    np.testing.assert_allclose(gradient, 0, atol=1e-15)


@pytest.mark.parametrize("t", [0.25, 0.5])
def test_observation_2_equal_shares_are_unstable_when_neighbours_agree_more_than_t(t):
    """To first order the spread changes by (rho / t - 1) / C per unit of time."""
    assert follow_flow(min(1.0, t + 0.2), t) > 3
    assert follow_flow(t - 0.2, t) < 0.5
    assert follow_flow(0.0, t) < 0.5
