"""Nearest class mean against the rule written out."""

from __future__ import annotations

import numpy as np
import pytest

from support import unit
from usl.core.errors import UsageError
from usl.training.contract import FROZEN
from usl.training.frozen.nearest_mean import fit


def test_every_item_gets_the_nearest_weighted_mean():
    rng = np.random.default_rng(0)
    features = unit(rng.normal(size=(300, 7)))
    classes = np.full(300, -1)
    classes[:20] = np.arange(20) % 4
    weights = rng.random(300)
    p = fit(features, classes, weights, 4).probabilities(features)
    expected = []
    for item in features.astype(float):
        cosines = []
        for label in range(4):
            rows = np.flatnonzero(classes == label)
            mean = sum(weights[r] * features[r].astype(float) for r in rows)
            cosines.append(item @ mean / np.linalg.norm(mean))
        expected.append(int(np.argmax(cosines)))
    np.testing.assert_array_equal(p.argmax(axis=1), expected)
    np.testing.assert_allclose(p.sum(axis=1), 1)


def test_opposite_labels_and_a_wrong_temperature():
    features = np.array([[1.0, 0], [-1, 0], [0, 1]], dtype=np.float32)
    p = fit(features, np.array([0, 0, 1]), np.ones(3), 2).probabilities(features)
    assert np.isfinite(p).all()
    assert p[2].argmax() == 1
    with pytest.raises(UsageError, match="temperature: 0 given"):
        FROZEN.check("nearest_mean", FROZEN.load("nearest_mean"), {"temperature": 0})
