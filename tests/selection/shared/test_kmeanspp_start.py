"""The greedy k-means++ start: far apart, weighted, and better than a plain draw."""

from __future__ import annotations

import numpy as np

from support import unit
from usl.selection.shared.kmeanspp_start import spread_out_start


def cloud(n, width=8, seed=0):
    return unit(np.random.default_rng(seed).normal(size=(n, width)) + 1.0).astype(np.float32)


def test_the_start_is_spread_out_and_has_no_row_twice():
    corners = np.eye(6, dtype=np.float32)
    rows, even = np.repeat(corners, 40, axis=0), np.ones(240)
    for seed in range(5):
        start = spread_out_start(rows, 6, even, np.random.default_rng(seed))
        np.testing.assert_array_equal(np.sort(start, axis=0), np.sort(corners, axis=0))
    more = spread_out_start(rows, 9, even, np.random.default_rng(0))  # only six differ
    assert more.shape == (9, 6)


def test_the_start_is_the_best_of_a_few_draws():
    rng = np.random.default_rng(0)
    rows, weights = cloud(400), rng.uniform(0.2, 3, size=400)

    def left(start):
        squared = ((rows[:, None] - start[None]) ** 2).sum(axis=2).min(axis=1)
        return squared @ weights

    drawn = [left(spread_out_start(rows, 10, weights, np.random.default_rng(s))) for s in range(20)]
    plain = [left(rows[np.random.default_rng(s).choice(400, 10)]) for s in range(20)]
    assert np.mean(drawn) < 0.9 * np.mean(plain)


def test_rows_that_weigh_next_to_nothing_are_no_start():
    rows = np.concatenate([np.tile(np.eye(6, dtype=np.float32)[5], (30, 1)), cloud(60, width=6)])
    weights = np.concatenate([np.full(30, 1e-9), np.ones(60)])
    start = spread_out_start(rows, 8, weights, np.random.default_rng(0))
    assert not (start == np.eye(6)[5]).all(axis=1).any()
