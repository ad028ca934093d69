from __future__ import annotations

import numpy as np
import pytest

import usl
from support import unit
from usl.core.errors import DataError, UsageError
from usl.selection import advice
from usl.selection.advice import labels_needed, outliers

pytestmark = pytest.mark.filterwarnings("ignore:k = .* neighbours")


def clumps(count, width, noise, n=900, seed=0):
    rng = np.random.default_rng(seed)
    points = np.eye(width)[:count][rng.integers(0, count, n)] * 3
    return unit(points + rng.normal(scale=noise, size=(n, width)))


@pytest.fixture
def strays():
    """Six clumps; row 5 alone in a direction of its own, rows 7 to 9 together in another."""
    features = clumps(6, 16, 0.4)
    rng = np.random.default_rng(1)
    features[5] = np.eye(16)[15]
    features[7:10] = unit(np.eye(16)[14] + rng.normal(scale=0.02, size=(3, 16)))
    return features


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
    monkeypatch.setattr(advice, "EXACT", 100)
    monkeypatch.setattr(advice, "SAMPLE", 200)
    monkeypatch.setattr(advice, "SCREENED", 60)
    monkeypatch.setattr(advice, "TYPICAL", 300)
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
    monkeypatch.setattr(advice, "ITEMS", 400)
    some = labels_needed(features, picks, seed=1)
    np.testing.assert_allclose(some.coverage, whole.coverage, atol=0.05)
    assert abs(some.suggested - whole.suggested) <= 2
    np.testing.assert_array_equal(some.coverage, labels_needed(features, picks, seed=1).coverage)
