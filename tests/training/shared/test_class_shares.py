from __future__ import annotations

import numpy as np
import pytest

from usl.core.errors import UsageError
from usl.training.shared.class_shares import match_shares, prior_shares, voted_shares

CLASSES = np.array([0, -1, 2, 2, 1, -1])
WEIGHTS = np.array([1.0, 9.0, 0.5, 0.5, 2.0, 9.0])


def test_shares():
    rows = np.eye(6, dtype=np.float32)
    given = (rows, CLASSES, WEIGHTS)
    assert prior_shares("off", *given, 3) is None
    np.testing.assert_allclose(prior_shares("uniform", *given, 4), 0.25)
    np.testing.assert_allclose(prior_shares("labels", *given, 3), [0.25, 0.5, 0.25])
    np.testing.assert_array_equal(prior_shares(None, *given, 3), voted_shares(*given, 3))
    with pytest.raises(UsageError, match="class_prior"):
        prior_shares("even", *given, 3)


def test_votes_by_their_definition(cloud):
    classes = np.full(300, -1, dtype=np.int64)
    classes[[3, 50, 51, 200]] = [0, 2, 2, 1]
    weights = np.linspace(0.1, 3, 300)
    total = np.zeros(4)
    for row in cloud.astype(np.float64):
        votes = np.zeros(4)
        for label in (3, 50, 51, 200):
            votes[classes[label]] += weights[label] * np.exp(row @ cloud[label] / 0.05)
        total += votes / votes.sum()
    expected = 0.9 * total / 300 + 0.1 / 4
    np.testing.assert_allclose(voted_shares(cloud, classes, weights, 4), expected, atol=1e-5)


def test_votes_find_the_sizes_of_groups_from_labels_that_do_not_tell_them(blobs):
    features, classes = blobs
    kept = np.concatenate([np.flatnonzero(classes == c)[: 100 if c < 2 else 40] for c in range(6)])
    given = np.full(len(kept), -1, dtype=np.int64)
    for number, count in enumerate([1, 2, 30, 1, 1, 1]):
        given[np.flatnonzero(classes[kept] == number)[:count]] = number
    found = voted_shares(features[kept], given, np.ones(len(kept)), 6)
    true = np.bincount(classes[kept]) / len(kept)
    np.testing.assert_allclose(found, 0.9 * true + 0.1 / 6, atol=0.04)


def test_matching_scales_whole_classes_to_the_shares():
    rng = np.random.default_rng(0)
    found = rng.dirichlet([3, 1, 0.3, 0.3], size=500)
    shares = np.array([0.1, 0.2, 0.3, 0.4])
    matched = match_shares(found, shares)
    np.testing.assert_allclose(matched.mean(axis=0), shares, atol=1e-5)
    np.testing.assert_allclose(matched.sum(axis=1), 1)
    # the odds of two classes change by the same factor in every row
    odds = np.log(matched / found) - np.log(matched / found)[:, :1]
    np.testing.assert_allclose(odds, np.broadcast_to(odds[0], odds.shape), atol=1e-8)


def test_matching_what_already_matches_changes_nothing():
    found = np.array([[0.7, 0.3], [0.2, 0.8]])
    np.testing.assert_allclose(match_shares(found, found.mean(axis=0)), found)


def test_shares_out_of_reach_leave_probabilities():
    found = np.array([[1.0, 0.0], [1.0, 0.0], [0.5, 0.5]])  # at most a third can be of class 1
    matched = match_shares(found, np.array([0.5, 0.5]))
    assert np.isfinite(matched).all()
    np.testing.assert_allclose(matched.sum(axis=1), 1)
    assert matched[2, 1] > 0.9
