"""Means, paired differences and ranks, against the same written out."""

from __future__ import annotations

import numpy as np
import pytest

from usl.benchmarking.summary import Cell, Table, over_cells, resample_counts, standings

RNG = np.random.default_rng(3)


def cell(dataset, test, budget=10, learner="logistic"):
    test = np.asarray(test, dtype=float)
    return Cell(dataset, "pixels", budget, learner, tuple(range(test.shape[1])), test)


def table(*cells, oracle=(False, False, False)):
    return Table(("random", "usl", "equal"), np.array(oracle), cells)


def test_every_data_set_counts_the_same():
    many = [cell("a", [[0.1] * 4, [0.2] * 4, [0.3] * 4], budget) for budget in (1, 2, 3)]
    one = cell("b", [[0.9] * 4, [0.8] * 4, [0.7] * 4])
    found = {s.method: s for s in standings(table(*many, one), "random")}
    assert found["random"].accuracy.mean == pytest.approx((0.1 + 0.9) / 2)
    assert found["equal"].gain.mean == pytest.approx((0.2 - 0.2) / 2)
    assert found["random"].rank.mean == pytest.approx((3 + 1) / 2)
    assert found["usl"].rank.mean == 2


def test_ties_share_their_rank_and_oracles_have_none():
    found = standings(
        table(cell("a", [[0.5, 0.5], [0.5, 0.5], [0.9, 0.9]]), oracle=(False, False, True)),
        "random",
    )
    ranks = {s.method: s.rank.mean for s in found}
    assert ranks["random"] == ranks["usl"] == 1.5
    assert np.isnan(ranks["equal"])
    assert found[-1].method == "equal"
    assert found[-1].gain.mean == pytest.approx(0.4)


def test_the_interval_of_one_data_set_is_that_of_its_seeds():
    base = RNG.random(12)
    gain = RNG.normal(0.1, 0.05, 12)
    found = standings(table(cell("a", [base, base + gain, base])), "random")
    ours = next(s for s in found if s.method == "usl").gain
    draws = np.random.default_rng(9).integers(12, size=(20_000, 12))
    low, high = np.percentile(gain[draws].mean(axis=1), [2.5, 97.5])
    assert ours.mean == pytest.approx(gain.mean())
    assert ours.low == pytest.approx(low, abs=0.004)
    assert ours.high == pytest.approx(high, abs=0.004)


def test_data_sets_are_resampled_too():
    cells = [cell(str(i), [[0.5] * 5, [0.5 + 0.1 * i] * 5, [0.5] * 5]) for i in range(4)]
    gain = next(s for s in standings(table(*cells), "random") if s.method == "usl").gain
    assert gain.mean == pytest.approx(0.15)
    assert gain.low < 0.08
    assert gain.high > 0.22


def test_counts_of_resampled_seeds():
    found = resample_counts(np.array([[0, 0, 2], [1, 1, 1]]), 4)
    np.testing.assert_array_equal(found, [[2, 0, 1, 0], [0, 3, 0, 0]])


def test_cells_of_fewer_seeds_take_part():
    cells = [
        cell("a", RNG.random((3, 8))),
        cell("a", RNG.random((3, 2)), learner="poisson"),
    ]
    found = over_cells(table(*cells), lambda means: means)
    expected = (cells[0].test.mean(axis=1) + cells[1].test.mean(axis=1)) / 2
    np.testing.assert_allclose([e.mean for e in found], expected)
    assert all(e.low <= e.mean <= e.high for e in found)
