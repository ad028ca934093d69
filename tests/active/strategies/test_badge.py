"""BADGE against gradients written out, and k-means++ on them."""

from __future__ import annotations

import numpy as np
import pytest

import usl
from usl.active.strategies.badge import Gradients
from usl.numeric.table import as_table


def gradients(pool, predictions):
    """(p - onehot(y)) x^T of every candidate, flat, float64 [c, C d]."""
    p = predictions[pool.candidates]
    rest = p - np.eye(p.shape[1])[p.argmax(axis=1)]
    x = pool.features[pool.candidates].astype(np.float64)
    return np.stack([np.outer(r, one).ravel() for r, one in zip(rest, x, strict=True)])


def asked(pool, budget, predictions, **given):
    return usl.query(
        pool.features,
        budget,
        labeled=pool.labeled,
        classes=pool.classes,
        method="badge",
        predictions=predictions,
        candidates=pool.candidates,
        **given,
    )


def test_draws_are_those_of_kmeanspp_on_the_gradients(pool):
    g = gradients(pool, pool.predictions)
    rng = np.random.default_rng(5)
    drawn = [int(np.linalg.norm(g, axis=1).argmax())]
    while len(drawn) < 15:
        away = ((g[:, None] - g[drawn]) ** 2).sum(axis=2).min(axis=1)
        drawn.append(int(rng.choice(len(g), p=away / away.sum())))
    found = asked(pool, 15, pool.predictions, seed=5)
    assert found.indices.tolist() == pool.candidates[drawn].tolist()
    np.testing.assert_allclose(found.figures["gradient"], np.linalg.norm(g[drawn], axis=1))


def test_equal_gradients_are_drawn_when_no_other_is_left(pool):
    predictions = pool.predictions.copy()
    sure = pool.candidates[:20]
    predictions[sure] = np.eye(4)[1]  # zeros and ones: no gradient at all
    found = asked(pool, len(pool.candidates), predictions)
    assert set(found.indices[-19:]) < set(sure.tolist())


@pytest.mark.parametrize("unsure", [0.2, 1e-5])
def test_short_gradients_keep_their_distances(pool, unsure):
    predictions = (1 - unsure) * np.eye(4)[pool.truth] + unsure / 4
    g = gradients(pool, predictions)
    reach = Gradients(as_table(pool.features), predictions, pool.candidates)
    reach.add(4)
    away = ((g - g[4]) ** 2).sum(axis=1)
    np.testing.assert_allclose(reach.squared, away, rtol=1e-4)
    assert reach.squared[4] == 0
