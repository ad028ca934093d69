from __future__ import annotations

import numpy as np
import pytest

from usl.core.errors import UsageError
from usl.training.contract import FROZEN
from usl.training.frozen import paws
from usl.training.frozen.paws import Supports, fit, make_supports, paws_loss, sharpen, vote


def few(classes, per_class):
    """Labels of the first items of each class, -1 for the others."""
    given = np.full(len(classes), -1, dtype=np.int64)
    for number in np.unique(classes):
        given[np.flatnonzero(classes == number)[:per_class]] = number
    return given


def made_up(seed=0, b=6, m=5, d=4, n_classes=3):
    """Pairs of views, supports, a projection and pi, all float64."""
    rng = np.random.default_rng(seed)
    votes = rng.dirichlet(np.ones(n_classes), size=m)
    supports = Supports(rng.normal(size=(m, d)), votes, np.log(rng.uniform(0.2, 2, m)))
    projection = np.eye(d) + 0.3 * rng.normal(size=(d, d))
    return projection, rng.normal(size=(2 * b, d)), supports, rng.dirichlet(np.ones(n_classes) * 3)


def naive_vote(projection, row, supports, temperature):
    """Eq. 1 for one item, term by term."""
    z = row @ projection
    z = z / np.sqrt(sum(z * z))
    total, result = 0.0, np.zeros(supports.votes.shape[1])
    for support, votes, log_weight in zip(
        supports.rows, supports.votes, supports.log_weights, strict=True
    ):
        s = support @ projection
        share = np.exp(log_weight) * np.exp(float(z @ s) / np.sqrt(sum(s * s)) / temperature)
        total += share
        result += share * votes
    return result / total


def naive_loss(projection, pair, supports, pi, temperature, t, me_max, target):
    """Eq. 2, item by item."""
    p = [naive_vote(projection, row, supports, temperature) for row in pair]
    value = -sum(
        want[c] * np.log(got[c])
        for want, got in zip(target, p, strict=True)
        for c in range(len(pi))
    ) / len(pair)
    mean = sum(got ** (1 / t) / sum(got ** (1 / t)) for got in p) / len(pair)
    return value + me_max * sum(mean[c] * np.log(mean[c] / pi[c]) for c in range(len(pi)))


def test_the_vote_is_equation_1():
    projection, pair, supports, _ = made_up()
    expected = [naive_vote(projection, row, supports, 0.3) for row in pair]
    np.testing.assert_allclose(vote(projection, pair, supports, 0.3).p, expected, rtol=1e-10)


@pytest.mark.parametrize("me_max", [0.0, 1.0, 2.5])
def test_loss_and_gradient(me_max):
    projection, pair, supports, pi = made_up(1)
    target = sharpen(vote(projection, pair[::-1], supports, 0.3).p, 0.25)
    fixed = (pair, supports, pi, 0.3, 0.25, me_max, target)
    value, gradient = paws_loss(projection, *fixed)
    assert value == pytest.approx(naive_loss(projection, *fixed), rel=1e-10)
    numeric = np.zeros_like(projection)
    for place in np.ndindex(*projection.shape):
        step = np.zeros_like(projection)
        step[place] = 1e-5
        numeric[place] = (
            naive_loss(projection + step, *fixed) - naive_loss(projection - step, *fixed)
        ) / 2e-5
    np.testing.assert_allclose(gradient, numeric, atol=1e-6)


def test_the_target_is_the_sharpened_other_view():
    projection, pair, supports, pi = made_up(2)
    other = np.concatenate([pair[6:], pair[:6]])
    target = sharpen(vote(projection, other, supports, 0.3).p, 0.25)
    value, gradient = paws_loss(projection, pair, supports, pi, 0.3, 0.25, 1.0)
    again, same = paws_loss(projection, pair, supports, pi, 0.3, 0.25, 1.0, target)
    assert value == pytest.approx(again)
    np.testing.assert_allclose(gradient, same)


def test_training_brings_neighbours_to_agree(blobs):
    features, classes = blobs
    noisy = features + 0.3 * np.random.default_rng(0).normal(size=features.shape)
    noisy = (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float32)
    given = few(classes, 5)
    near = paws.prepare(noisy)["neighbors"]

    def disagreement(model):
        p = model.probabilities(noisy)
        return -(sharpen(p[near[:, 0]], 0.25) * np.log(p)).sum(axis=1).mean()

    untrained = fit(noisy, given, np.ones(600), 6, lr=0.0, steps=1)
    trained = fit(noisy, given, np.ones(600), 6, steps=300)
    assert disagreement(trained) < 0.8 * disagreement(untrained)
    right = [(m.probabilities(noisy).argmax(1) == classes).mean() for m in (untrained, trained)]
    assert right[1] >= right[0]


def test_the_result_votes_with_all_labels_and_their_weights(blobs):
    features, classes = blobs
    given = few(classes, 6)
    weights = np.linspace(0.5, 2, 600)
    model = fit(features, given, weights, 6, lr=0.0, steps=1)
    supports = make_supports(features, given, weights, 6, None)
    expected = [naive_vote(np.eye(16), row, supports, 0.1) for row in features[:20]]
    np.testing.assert_allclose(model.probabilities(features[:20]), expected, atol=1e-5)


def test_a_uniform_prior_gives_every_class_the_same_say(blobs):
    features, classes = blobs
    given = few(classes, 8)
    rows = given[given >= 0]
    plain = np.exp(make_supports(features, given, np.full(600, 2.0), 6, None).log_weights)
    even = np.exp(make_supports(features, given, np.full(600, 2.0), 6, "uniform").log_weights)
    np.testing.assert_allclose(plain, 2.0, rtol=1e-6)
    np.testing.assert_allclose(np.bincount(rows, weights=even), 1.0, rtol=1e-5)


def test_more_labels_than_vote_in_one_step(blobs, monkeypatch):
    monkeypatch.setattr(paws, "MOST_SUPPORTS", 16)
    features, classes = blobs
    given = few(classes, 16)
    model = fit(features, given, np.ones(600), 6, steps=50)
    assert len(model.supports) == 96  # 16 of each class
    assert (model.probabilities(features).argmax(axis=1) == classes).mean() > 0.97


def test_wide_features_are_trained_in_their_leading_directions(blobs, monkeypatch):
    monkeypatch.setattr(paws, "WIDEST", 8)
    features, classes = blobs
    given = few(classes, 5)
    model = fit(features, given, np.ones(600), 6, steps=50)
    assert model.projection.shape == (16, 8)
    assert (model.probabilities(features).argmax(axis=1) == classes).mean() > 0.95


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"k": 0}, "k: 0"),
        ({"steps": 0}, "steps"),
        ({"batch_size": 0}, "batch_size"),
        ({"temperature": 0.0}, "temperature"),
        ({"sharpening": -1.0}, "sharpening"),
        ({"class_prior": "x"}, "class_prior"),
    ],
)
def test_bad_parameters(params, message):
    with pytest.raises(UsageError, match=message):
        FROZEN.check("paws", FROZEN.load("paws"), params)
