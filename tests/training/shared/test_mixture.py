"""Fits side by side are the fits alone, however many stand together and on any number of cores."""

from __future__ import annotations

import numpy as np
import pytest

from support import unit
from usl.numeric.neighbor_graph import neighbor_weights
from usl.training.frozen.accord import folds, row_normalized
from usl.training.shared import mixture
from usl.training.shared.mixture import Problem
from usl.training.shared.prototypes import label_votes


@pytest.fixture
def problem():
    """400 items of 4 overlapping groups, 20 labels in several sets that lack some of them."""
    rng = np.random.default_rng(2)
    truth = rng.integers(4, size=400)
    points = unit(np.eye(8)[truth] + rng.normal(scale=0.4, size=(400, 8)))
    links = row_normalized(neighbor_weights(points, 10, 4.0))
    classes = np.where(np.arange(400) < 20, truth, -1)
    weights = rng.uniform(0.2, 1, size=400)
    rows, votes = label_votes(classes, weights, 4)
    sets = [np.setdiff1d(np.arange(20), out) for out in folds(truth[:20], 4)]
    return Problem(points, links, 0.52, 9.0), [(rows[left], votes[left]) for left in sets]


def found(fits):
    every = np.arange(400)
    return [
        (fit.r.copy(), fit.logits(every)[0], fit.directions, fit.kappa, fit.beta) for fit in fits
    ]


def test_side_by_side_is_alone(problem, monkeypatch):
    shared, given = problem
    monkeypatch.setattr(mixture, "SETTLED", 0.0)
    together = found(shared.solve_each(given, 5))
    assert len(together) == len(given) > 2
    alone = found(shared.solve(*one, 5) for one in given)
    monkeypatch.setattr(mixture, "TOGETHER", 2 * 400 * 4 * 4)  # two at a time
    pairs = found(shared.solve_each(given, 5))
    for one, two, three in zip(together, alone, pairs, strict=True):
        for a, b, c in zip(one, two, three, strict=True):
            np.testing.assert_allclose(a, b, atol=2e-4)
            np.testing.assert_allclose(a, c, atol=2e-4)


def test_blocks_and_cores_change_nothing(problem, monkeypatch):
    shared, given = problem
    monkeypatch.setattr(mixture, "BLOCK", 64)
    results = []
    for threads in (1, 3):
        monkeypatch.setattr("usl.numeric.blocks.thread_count", lambda threads=threads: threads)
        results.append(found(shared.solve_each(given, 5)))
    for one, other in zip(*results, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_large_logits_do_not_overflow(problem):
    shared, given = problem
    steep = Problem(shared.points, shared.links, 100.0, 9.0)
    with np.errstate(over="raise", invalid="raise"):
        fit = steep.solve(*given[0], 5)
    assert fit.kappa > mixture.SAFE
    np.testing.assert_allclose(fit.r.sum(axis=1), 1, atol=1e-5)
