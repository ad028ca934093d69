"""How many labels a collection takes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import usl
from support import clumps, unit
from usl.core.errors import DataError
from usl.selection import labels_needed as module
from usl.selection.labels_needed import labels_needed
from usl.selection.outliers import outliers

pytestmark = pytest.mark.filterwarnings("ignore:k = .* neighbours")


@pytest.mark.parametrize("count", [3, 6, 12])
@pytest.mark.parametrize("method", ["kmeans", "usl"])
def test_labels_stop_paying_when_every_clump_has_one(count, method):
    features = clumps(count, 24, 0.3)
    found = labels_needed(features, usl.select(features, 45, method=method))
    assert found.has_break
    assert count <= found.suggested <= 1.2 * count + 1
    assert found.low <= found.suggested <= found.high
    assert found.sure > 0.6
    assert f"the labels up to {found.suggested} add" in found.reason


def test_coverage_is_what_it_says(strays):
    picks = usl.select(strays, 15)
    found = labels_needed(strays, picks)
    points = strays.astype(np.float64)
    pairs = ((points[:, None] - points[None]) ** 2).sum(-1)
    for budget in (1, 2, 7, 15):
        left = pairs[:, picks.indices[:budget]].min(axis=1).mean()
        assert found.coverage[budget] == pytest.approx(1 - left / pairs.mean(), abs=1e-4)
        assert found.expected(budget) == found.coverage[budget]
    assert found.coverage[0] == 0
    np.testing.assert_allclose(found.gain, np.diff(found.coverage))
    assert (found.gain[1:] >= -1e-12).all()
    labeled = np.arange(30)
    with_labels = labels_needed(strays, picks, labeled=labeled)
    left = pairs[:, labeled].min(axis=1).mean()
    assert with_labels.coverage[0] == pytest.approx(1 - left / pairs.mean(), abs=1e-4)


def test_expected_coverage_beyond_the_picks_is_near_the_truth():
    features = clumps(5, 12, 0.8)
    few, many = (usl.select(features, m, method="kmeans") for m in (40, 80))
    expected = labels_needed(features, few).expected(80)
    assert expected == pytest.approx(labels_needed(features, many).coverage[80], abs=0.03)


@pytest.mark.parametrize("width", [2, 4, 8, 32])
def test_without_structure_there_is_no_natural_number(width):
    features = unit(np.random.default_rng(width).normal(size=(900, width)))
    found = labels_needed(features, usl.select(features, 40, method="kmeans"))
    assert not found.has_break
    assert found.sure < 0.5
    assert found.coverage[found.suggested] >= 0.9 * found.coverage[40]
    assert "no natural number" in found.reason


def test_too_few_picks_to_tell():
    features = clumps(30, 32, 0.3)
    found = labels_needed(features, usl.select(features, 16, method="kmeans"))
    assert found.suggested == 16
    assert "Select more" in found.reason


def test_few_picks_and_the_wrong_features(cloud):
    for budget in (1, 2, 3):
        found = labels_needed(cloud, usl.select(cloud, budget, method="kmeans"))
        assert 1 <= found.suggested <= budget
        assert len(found.coverage) == budget + 1
    with pytest.raises(DataError, match="selection: of 300 items, not of these 299"):
        labels_needed(cloud[1:], usl.select(cloud, 3))


def test_a_sample_gives_nearly_the_same_coverage(monkeypatch):
    features = clumps(6, 16, 0.4, n=1500)
    picks = usl.select(features, 30, method="kmeans")
    whole = labels_needed(features, picks)
    monkeypatch.setattr(module, "ITEMS", 400)
    some = labels_needed(features, picks, seed=1)
    np.testing.assert_allclose(some.coverage, whole.coverage, atol=0.05)
    assert abs(some.suggested - whole.suggested) <= 2
    np.testing.assert_array_equal(some.coverage, labels_needed(features, picks, seed=1).coverage)


def smooth():
    """Rows that spread more in some directions than in others, without clusters."""
    return unit(np.random.default_rng(2).normal(size=(900, 24)) * np.linspace(2, 0.2, 24) + 1)


def one_sided():
    spread = np.random.default_rng(1).normal(size=(900, 24)) * np.linspace(3, 0.3, 24)
    return unit(np.abs(spread))


@pytest.mark.parametrize("features", [smooth(), one_sided()], ids=["smooth", "one-sided"])
@pytest.mark.parametrize("method", ["random", "density", "kmeanspp", "coreset"])
def test_the_order_of_a_method_is_no_break(method, features):
    for seed in range(3):
        found = labels_needed(features, usl.select(features, 40, method=method, seed=seed))
        assert not found.has_break, found.reason
        assert found.sure < 0.5


def test_a_break_of_the_order_alone_is_said_to_be_one():
    features = one_sided()
    found = labels_needed(features, usl.select(features, 40, method="density"))
    assert found.sure == 0
    assert "a break that shows is owed to the order or the choice" in found.reason


def test_random_picks_show_the_clumps_unless_they_miss_one_for_long():
    features = clumps(5, 24, 0.2)
    believed = 0
    for seed in range(5):
        picks = usl.select(features, 60, method="random", seed=seed)
        clump = features[picks.indices, :5].argmax(axis=1)
        reached = max(int(np.flatnonzero(clump == c)[0]) for c in range(5)) + 1
        found = labels_needed(features, picks)
        believed += found.has_break
        assert found.has_break or reached > 10
        if found.has_break:
            assert 4 <= found.suggested <= 10
    assert believed


def test_items_that_are_all_alike_need_one_label():
    found = labels_needed(np.ones((50, 4)), usl.select(np.ones((50, 4)), 5, method="random"))
    assert (found.suggested, found.low, found.high, found.sure) == (1, 1, 1, 1.0)
    assert found.coverage.tolist() == [0, 1, 1, 1, 1, 1]
    assert "one label says all" in found.reason


def test_they_are_exported_and_import_nothing_early():
    code = (
        "import sys, usl; assert not {'numpy', 'torch'} & set(sys.modules); "
        "assert {'outliers', 'labels_needed'} <= set(dir(usl)); usl.outliers, usl.labels_needed; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert usl.outliers is outliers
    assert usl.labels_needed is labels_needed
