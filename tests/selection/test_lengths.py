"""The lengths of rows before they are scaled reach a method that asks for them, and no other."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest

import usl
from support import unit
from usl.core.errors import DataError
from usl.features.preprocessing import Preprocessing
from usl.numeric.table import as_table
from usl.numeric.unit_rows import known_lengths
from usl.selection.constraints.select_within import Constraints, select_within
from usl.selection.methods.usl_t.heads import assign, train_heads
from usl.selection.methods.usl_t.lengths import WithLengths
from usl.selection.methods.usl_t.step import Training
from usl.selection.start_run import start_run

# The longest rows.
LONGEST = """
import numpy as np
from calls_of_longest import CALLS
from usl.selection.contract import Picks


def pick(features, budget, *, labeled, candidates, lengths, seed, progress):
    CALLS.append((features, lengths))
    far = np.zeros(len(features)) if lengths is None else -lengths
    return Picks(candidates[np.argsort(far[candidates], kind="stable")[:budget]], ranked=True)
"""

pytestmark = pytest.mark.filterwarnings("ignore:usl_t. .* clusters are empty")


@pytest.fixture
def calls(monkeypatch):
    """What the method of this test was handed, call by call: its rows and their lengths."""
    module = ModuleType("calls_of_longest")
    module.CALLS = []
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module.CALLS


@pytest.fixture
def method(calls, tmp_path):
    path = tmp_path / "longest.py"
    path.write_text(LONGEST)
    return str(path)


@pytest.fixture
def stretched(blobs):
    """Rows of lengths between 1 and 20: (rows, lengths)."""
    lengths = np.random.default_rng(0).uniform(1, 20, len(blobs[0]))
    return blobs[0] * lengths[:, None], lengths


def test_the_longest_rows_are_picked(stretched, method, calls):
    features, lengths = stretched
    found = usl.select(features, 9, method=method)
    assert found.indices.tolist() == np.argsort(-lengths)[:9].tolist()
    rows, handed = calls[0]
    np.testing.assert_allclose(handed, lengths, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_lengths_of_unit_rows_are_not_known(blobs, method, calls, dtype):
    usl.select(unit(blobs[0]).astype(dtype), 3, method=method)
    assert calls[0][1] is None


def test_a_row_of_zeros_tells_nothing():
    assert known_lengths(np.array([[0.0, 0.0], [1.0, 0.0]])) is None
    assert known_lengths(np.array([[0.0, 0.0], [3.0, 4.0]])).tolist() == [0, 5]


def test_lengths_can_be_given(blobs, method, calls):
    given = np.arange(600.0)
    found = usl.select(unit(blobs[0]), 3, method=method, lengths=given.tolist())
    assert found.indices.tolist() == [599, 598, 597]


@pytest.mark.parametrize(
    "wrong", [[1.0, 2.0], np.full(600, np.nan), -np.ones(600), np.full(600, "1")]
)
def test_what_are_no_lengths_of_these_rows(blobs, method, wrong):
    for call in (usl.select, lambda *a, **k: select_within(*a, Constraints(), **k)):
        with pytest.raises(DataError, match=r"lengths: .* one number .* for each of the 600 rows"):
            call(blobs[0], 3, method=method, lengths=wrong)


def test_every_group_is_handed_the_lengths_of_its_items(stretched, blobs, method, calls):
    features, lengths = stretched
    groups = np.where(blobs[1] < 2, "few", "many")
    constraints = Constraints(groups=groups, quotas={"few": 4, "many": 6})
    found = select_within(features, 10, constraints, method=method)
    for name, count in (("few", 4), ("many", 6)):
        rows = np.flatnonzero(groups == name)
        expected = rows[np.argsort(-lengths[rows])[:count]]
        assert set(expected) == set(found.indices.tolist()) & set(rows)


def test_a_run_hands_over_the_lengths_of_its_space(stretched, method, calls, tmp_path):
    features, lengths = stretched
    source = tmp_path / "features.npy"
    np.save(source, features.astype(np.float32))
    start_run(source, 5, tmp_path / "run", method=method)
    np.testing.assert_allclose(calls[0][1], lengths, rtol=1e-5)
    start_run(source, 5, tmp_path / "centred", method=method, center=True, pca=3)
    centred = features - features.mean(axis=0)
    directions = np.linalg.svd(centred, full_matrices=False)[2][:3]
    expected = np.linalg.norm(centred @ directions.T, axis=1)
    np.testing.assert_allclose(calls[1][1], expected, rtol=1e-4)


def test_lengths_are_those_that_transform_divides_by():
    rows = np.random.default_rng(3).normal(2, 3, (40, 6))
    fitted = Preprocessing.fit(rows, center=True, standardize=True)
    points = (rows - rows.mean(0)) / rows.std(0)
    np.testing.assert_allclose(fitted.lengths(rows), np.linalg.norm(points, axis=1), rtol=1e-6)
    again = fitted.transform(rows) * fitted.lengths(rows)[:, None]
    np.testing.assert_allclose(again, points, atol=1e-5)


def test_heads_on_rows_with_lengths_are_those_on_the_features_themselves(stretched):
    """Linear layers see x, not x / |x|, as in the released code."""
    features, lengths = (column.astype(np.float32) for column in stretched)
    training = Training(heads=2, scale=1.0, linear=True, steps=40, reweight="sure", tau=0.5)
    near = np.random.default_rng(0).integers(600, size=(600, 4))
    quiet = {"seed": 1, "progress": lambda *a: None}
    plain, _ = train_heads(as_table(features), near, 6, training, **quiet)
    table = WithLengths(as_table(unit(features)), lengths)
    with_lengths, _ = train_heads(table, near, 6, training, **quiet)
    for one, other in zip(plain, with_lengths, strict=True):
        np.testing.assert_allclose(one.weight, other.weight, atol=1e-3)
    found = [assign(plain, rows, lambda *a: None) for rows in (as_table(features), table)]
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-5)


def test_the_release_sees_lengths_where_they_are_known_and_says_so(stretched):
    features, _ = stretched
    asked = {"method": "usl_t", "preset": "released", "steps": 300, "seed": 0}
    seen = usl.select(4 * features, 6, **asked)
    unknown = usl.select(unit(features), 6, **asked)
    assert seen.parameters["lengths"] == "seen by heads"
    assert unknown.parameters["lengths"] == "unknown, heads saw unit rows"
    assert seen.history[-1]["confidence"] > unknown.history[-1]["confidence"] + 0.1
    paper = usl.select(features, 6, method="usl_t", steps=50)
    assert "lengths" not in paper.parameters


def test_lengths_change_nothing_in_the_other_presets(stretched):
    features, _ = stretched
    asked = {"method": "usl_t", "preset": "paper", "steps": 50, "seed": 0}
    one, other = (usl.select(rows, 6, **asked).indices for rows in (features, unit(features)))
    np.testing.assert_array_equal(one, other)
