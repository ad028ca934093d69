from __future__ import annotations

import numpy as np
import pytest

from usl.core.errors import UsageError
from usl.training.priors import match_shares, prior_shares

CLASSES = np.array([0, -1, 2, 2, 1, -1])
WEIGHTS = np.array([1.0, 9.0, 0.5, 0.5, 2.0, 9.0])


def test_shares():
    assert prior_shares(None, CLASSES, WEIGHTS, 3) is None
    np.testing.assert_allclose(prior_shares("uniform", CLASSES, WEIGHTS, 4), 0.25)
    np.testing.assert_allclose(prior_shares("labels", CLASSES, WEIGHTS, 3), [0.25, 0.5, 0.25])
    with pytest.raises(UsageError, match="class_prior"):
        prior_shares("even", CLASSES, WEIGHTS, 3)


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
