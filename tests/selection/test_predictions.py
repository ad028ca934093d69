"""Predictions of the present model reach a method that asks for them, and no other."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest

import usl
from support import unit
from usl.core.errors import DataError, UsageError
from usl.selection.constraints.select_within import Constraints, select_within

# Least confidence (Lewis & Gale, 1994): the rows whose best class is least probable.
LEAST_SURE = """
import numpy as np
from calls_of_least_sure import CALLS
from usl.selection.contract import Picks


def pick(features, budget, *, labeled, candidates, predictions, seed, progress):
    CALLS.append((features, predictions))
    sure = np.ones(len(features)) if predictions is None else predictions.max(axis=1)
    order = np.argsort(sure[candidates], kind="stable")[:budget]
    return Picks(candidates[order], ranked=True)
"""


@pytest.fixture
def calls(monkeypatch):
    """What the method of this test was handed, call by call: its rows and predictions."""
    module = ModuleType("calls_of_least_sure")
    module.CALLS = []
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module.CALLS


@pytest.fixture
def method(calls, tmp_path):
    path = tmp_path / "least_sure.py"
    path.write_text(LEAST_SURE)
    return str(path)


@pytest.fixture
def predictions(blobs):
    scores = np.random.default_rng(0).random((len(blobs[0]), 5))
    return scores / scores.sum(axis=1, keepdims=True)


def test_the_least_sure_rows_are_picked(blobs, method, calls, predictions):
    labeled = np.arange(0, 600, 7)
    found = usl.select(blobs[0], 9, method=method, labeled=labeled, predictions=predictions)
    free = np.setdiff1d(np.arange(600), labeled)
    expected = sorted(free.tolist(), key=lambda row: max(predictions[row]))[:9]
    assert found.indices.tolist() == expected
    assert calls[0][1].dtype == np.float64


def test_on_a_cold_start_there_are_none(blobs, method, calls):
    found = usl.select(blobs[0], 3, method=method)
    assert found.indices.tolist() == [0, 1, 2]
    assert calls[0][1] is None


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_predictions_may_be_rounded(blobs, method, calls, predictions, dtype):
    usl.select(blobs[0], 3, method=method, predictions=predictions.astype(dtype).tolist())
    assert calls[0][1].shape == (600, 5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p[:-1], r"predictions: float64 \(599, 5\) given; .*\[600, classes\]"),
        (lambda p: p[:, 0], r"predictions: float64 \(600,\) given"),
        (lambda p: p.astype(str), r"predictions: <U"),
        (lambda p: np.where(np.arange(600)[:, None] == 7, np.nan, p), "row 7 holds NaN or infin"),
        (lambda p: np.where(np.arange(600)[:, None] == 7, np.inf, p), "row 7 holds NaN or infin"),
        (lambda p: p * np.where(np.arange(600)[:, None] == 3, 2, 1), "row 3 does not sum to 1"),
        (lambda p: p + np.where(np.arange(5) == 0, -1, 0.25), "row 0 holds a probability below 0"),
        (lambda p: 10 * p, r"row 0 does not sum to 1 \(600 such rows\)"),
    ],
)
def test_what_are_no_predictions_for_these_rows(blobs, method, predictions, change, message):
    for call in (usl.select, lambda *a, **k: select_within(*a, Constraints(), **k)):
        with pytest.raises(DataError, match=message):
            call(blobs[0], 3, method=method, predictions=change(predictions))


def test_a_method_that_does_not_ask_is_given_none(blobs, predictions):
    for call in (usl.select, lambda *a, **k: select_within(*a, Constraints(), **k)):
        with pytest.raises(UsageError, match="predictions: the method 'random' does not use them"):
            call(blobs[0], 3, method="random", predictions=predictions)


def test_every_group_is_handed_the_predictions_of_its_items(blobs, method, calls, predictions):
    features, classes = blobs
    groups = np.where(classes < 2, "few", "many")
    constraints = Constraints(groups=groups, quotas={"few": 4, "many": 6})
    found = select_within(features, 10, constraints, method=method, predictions=predictions)
    for name, count in (("few", 4), ("many", 6)):
        rows = np.flatnonzero(groups == name).tolist()
        expected = sorted(rows, key=lambda row: max(predictions[row]))[:count]
        assert set(expected) == set(found.indices.tolist()) & set(rows)
    for table, handed in calls:
        own = (table @ unit(features).T).argmax(axis=1)
        np.testing.assert_array_equal(handed, predictions[own])


def test_a_minimum_distance_hands_on_all_predictions(blobs, method, calls, predictions):
    constraints = Constraints(min_distance=0.2, exclude=[1, 2, 3])
    found = select_within(blobs[0], 10, constraints, method=method, predictions=predictions)
    assert len(found.indices) == 10
    for _, handed in calls:
        np.testing.assert_array_equal(handed, predictions)
