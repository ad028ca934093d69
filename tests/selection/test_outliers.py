"""Items far from everything."""

from __future__ import annotations

import numpy as np
import pytest

import usl
from support import unit
from usl.core.errors import DataError, UsageError
from usl.selection import outliers as module
from usl.selection.outliers import outliers


def mean_to_nearest(features, row, k):
    gaps = np.linalg.norm(features.astype(np.float64) - features[row].astype(np.float64), axis=1)
    return np.sort(np.delete(gaps, row))[:k].mean()


def test_items_far_from_everything_come_first_with_a_reason(strays):
    picks = usl.select(strays, 20, method="coreset")
    found = outliers(strays, picks)
    assert found[0].row == 5
    assert {entry.row for entry in found[:4]} == {5, 7, 8, 9}
    assert [entry.score for entry in found] == sorted((e.score for e in found), reverse=True)
    for entry in found:
        assert entry.distance == pytest.approx(mean_to_nearest(strays, entry.row, 10), rel=1e-4)
    logs = np.log([mean_to_nearest(strays, row, 10) for row in range(900)])
    deviation = np.median(np.abs(logs - np.median(logs))) / 0.6745
    assert found[0].score == pytest.approx((logs[5] - np.median(logs)) / max(deviation, 0.05), 1e-3)
    assert f"it is pick {picks.indices.tolist().index(5) + 1} and stands for" in found[0].reason
    beside = next(entry for entry in found if entry.row == 8)
    assert "it has 2 near it, and that group is apart" in beside.reason


def test_nothing_stands_out_where_all_are_alike():
    assert outliers(unit(np.random.default_rng(0).normal(size=(700, 8)))) == []
    assert outliers(np.ones((30, 4))) == []


def test_a_sample_finds_the_same(strays, monkeypatch):
    exact = outliers(strays, most=4)
    monkeypatch.setattr(module, "EXACT", 100)
    monkeypatch.setattr(module, "SAMPLE", 200)
    monkeypatch.setattr(module, "SCREENED", 60)
    monkeypatch.setattr(module, "TYPICAL", 300)
    sampled = outliers(strays, most=4, seed=3)
    assert [entry.row for entry in sampled] == [entry.row for entry in exact]
    assert sampled == outliers(strays, most=4, seed=3)
    for a, b in zip(exact, sampled, strict=True):
        assert a.distance == pytest.approx(b.distance, rel=1e-4)
        assert a.score == pytest.approx(b.score, rel=0.25)


def test_known_densities_are_taken(strays):
    densities = np.array([1 / mean_to_nearest(strays, row, 10) for row in range(900)])
    given = outliers(strays, densities=densities)
    assert [entry.row for entry in given] == [entry.row for entry in outliers(strays)]
    with pytest.raises(DataError, match="densities: one positive number"):
        outliers(strays, densities=densities[1:])
    with pytest.raises(UsageError, match="k: 0 given"):
        outliers(strays, k=0)
