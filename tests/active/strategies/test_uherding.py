"""UHerding against the dense greedy maximisation, and its two adapted quantities by hand."""

from __future__ import annotations

import numpy as np
import pytest

import usl
from usl.active.shared.temperature import (
    TEMPERATURES,
    at_temperature,
    calibration_error,
    held_out,
)
from usl.training.refit import Refit


def naive(pool, budget, predictions, h, temperature):
    """The goal written out: mean of U max k, in float64."""
    x = pool.features.astype(np.float64)
    kernel = np.exp(-((x[:, None] - x[None]) ** 2).sum(-1) / h**2)
    logits = np.log(predictions) / temperature
    p = np.sort(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), axis=1)
    unsure = 1 - (p[:, -1] - p[:, -2])
    picks, gains = [], []
    for _ in range(budget):
        best = kernel[:, [*pool.labeled, *picks]].max(axis=1)
        gain = {
            c: float(unsure @ np.maximum(kernel[:, c] - best, 0))
            for c in pool.candidates.tolist()
            if c not in picks
        }
        picks.append(max(gain, key=gain.get))
        gains.append(gain[picks[-1]])
    return picks, gains


def asked(pool, budget, **params):
    given = {"labeled": pool.labeled, "classes": pool.classes, "candidates": pool.candidates}
    return usl.query(pool.features, budget, method="uherding", **{**given, **params})


@pytest.mark.parametrize("h", [0.2, None, 2.0])
@pytest.mark.parametrize("temperature", [1.0, 5.0])
def test_picks_are_those_of_the_dense_definition(pool, h, temperature):
    own = pool.features[pool.labeled].astype(np.float64)
    apart = np.linalg.norm(own[:, None] - own[None], axis=2)
    least = apart[np.triu_indices(len(own), 1)].min() if h is None else h
    expected, gains = naive(pool, 12, pool.predictions, least, temperature)
    found = asked(pool, 12, predictions=pool.predictions, temperature=temperature, h=h)
    assert found.indices.tolist() == expected
    np.testing.assert_allclose(found.figures["covered"], gains, rtol=1e-3)
    assert found.parameters["h"] == pytest.approx(least, rel=1e-5)


def test_without_predictions_it_is_maxherding(pool):
    one = {"labeled": pool.labeled[:1], "candidates": pool.candidates}
    found = asked(pool, 8, **one, classes=[0])
    same = usl.select(pool.features, 8, method="maxherding", **one)
    assert found.indices.tolist() == same.indices.tolist()
    assert found.parameters["h"] == 1
    assert found.reasons[0].startswith("stands for ")


def test_the_temperature_is_that_of_least_error_on_labels_the_learner_has_not_seen(pool):
    rows = np.flatnonzero(np.arange(60) % 2 == 0)
    refit = Refit(pool.features, "nearest_mean")
    out = held_out(pool.truth[rows], np.random.default_rng(3))
    assert len(out) == 6
    kept = np.full(60, -1)
    kept[np.delete(rows, out)] = pool.truth[np.delete(rows, out)]
    said = refit.update(kept).probabilities(pool.features)[rows[out]]
    errors = []
    for t in TEMPERATURES:
        hot = said ** (1 / t)
        hot /= hot.sum(axis=1, keepdims=True)
        sure, right = hot.max(axis=1), hot.argmax(axis=1) == pool.truth[rows[out]]
        error = 0.0
        for k in range(15):
            inside = (sure >= k / 15) & (sure < (k + 1) / 15 + (k == 14))
            if inside.any():
                error += inside.mean() * abs(right[inside].mean() - sure[inside].mean())
        errors.append(error)
    given = {"labeled": rows, "classes": pool.truth[rows], "candidates": None, "seed": 3}
    found = asked(pool, 2, learner=refit, **given)
    assert found.parameters["temperature"] == TEMPERATURES[int(np.argmin(errors))]


def test_two_classes_are_never_held_out_altogether():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        classes = np.array([0, 1, 1, 1, 1, 1, 1, 1, 1, 1])
        left = np.delete(classes, held_out(classes, rng))
        assert len(left) == 8
        assert set(left) == {0, 1}
    for nothing_to_spare in ([2, 5], [3, 3, 3]):
        assert not len(held_out(np.array(nothing_to_spare), np.random.default_rng(0)))
    assert len(held_out(np.array([2, 5, 5]), np.random.default_rng(0))) == 1


def test_calibration_error_by_hand():
    said = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    error = (2 * abs(0.5 - 0.9) + abs(1 - 0.6)) / 3
    assert calibration_error(said, np.array([0, 1, 1])) == pytest.approx(error)
    certain = at_temperature(np.array([[1.0, 0.0]]), 2.0)[0]
    np.testing.assert_allclose(certain, [1, 1e-6], rtol=1e-5)  # a 0 counts as 1e-12


def test_labels_that_coincide_leave_a_reach(pool):
    features = pool.features.copy()
    features[pool.labeled] = features[pool.labeled[0]]
    found = usl.query(
        features,
        3,
        labeled=pool.labeled,
        classes=pool.classes,
        method="uherding",
        predictions=pool.predictions,
        temperature=1.0,
    )
    assert found.parameters["h"] == 1
