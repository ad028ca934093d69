from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score

from usl.evaluation.compare import paired_difference
from usl.evaluation.metrics import (
    balance,
    calibration_error,
    classification_figures,
    confident_accuracy,
    coverage,
    macro_f1,
    mean_recall,
)


def test_figures_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    truth, guess = rng.integers(5, size=300), rng.integers(5, size=300)
    guess[:150] = truth[:150]
    found = classification_figures(truth, guess, list("abcde"))
    assert found["accuracy"] == pytest.approx(accuracy_score(truth, guess))
    assert found["macro_f1"] == pytest.approx(f1_score(truth, guess, average="macro"))
    assert found["confusion"] == confusion_matrix(truth, guess).tolist()
    assert found["n"] == 300


def test_a_class_that_is_never_predicted_or_never_true():
    found = classification_figures(np.array([0, 0, 1]), np.array([0, 2, 0]), list("abc"))
    assert found["macro_f1"] == pytest.approx((0.5 + 0) / 2)
    assert [row["n"] for row in found["per_class"]] == [2, 1, 0]


def test_coverage_and_balance():
    assert coverage(np.array([0, 0, 2]), 4) == 0.5
    assert balance(np.array([0, 1, 2, 3]), 4) == pytest.approx(1)
    assert balance(np.array([1, 1]), 4) == 0
    assert balance(np.array([0]), 1) == 1


def test_paired_difference_covers_the_truth_and_uses_the_pairs():
    rng = np.random.default_rng(1)
    common = rng.normal(scale=50, size=60)
    found = paired_difference(common + 1 + rng.normal(scale=0.5, size=60), common)
    assert found.low < 1 < found.high
    assert found.high - found.low < 0.5
    assert found.n == 60
    assert paired_difference([1.0], [0.5]).mean == 0.5


@pytest.mark.parametrize("n", [2, 7, 40])
def test_the_interval_is_scipys(n):
    rng = np.random.default_rng(n)
    first, second = rng.normal(size=n), rng.normal(size=n)
    found = paired_difference(first, second, resamples=500, seed=3)
    expected = bootstrap(
        (first - second,),
        np.mean,
        n_resamples=500,
        method="percentile",
        random_state=np.random.default_rng(3),
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_single_pair_has_no_width():
    found = paired_difference([0.7], [0.5])
    assert found.low == found.mean == found.high
    assert found.n == 1


def test_the_figures_of_a_class_are_its_own():
    """By hand: of three a's two are found, and one b is taken for an a."""
    truth, guess = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 0])
    found = classification_figures(truth, guess, ["a", "b"])
    assert found["confusion"] == [[2, 1], [1, 1]]
    assert found["per_class"][0] == pytest.approx(
        {"label": "a", "n": 3, "precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3}
    )
    assert found["per_class"][1]["precision"] == 0.5


def test_mean_recall_is_the_balanced_accuracy():
    rng = np.random.default_rng(2)
    truth = rng.choice(5, size=400, p=[0.5, 0.2, 0.15, 0.1, 0.05])
    predicted = np.where(rng.random(400) < 0.6, truth, rng.integers(5, size=400))
    assert mean_recall(truth, predicted) == pytest.approx(balanced_accuracy_score(truth, predicted))
    assert macro_f1(truth, predicted) == pytest.approx(f1_score(truth, predicted, average="macro"))
    # With the truth's own frequencies it is the accuracy.
    own = np.bincount(truth)
    assert mean_recall(truth, predicted, own) == pytest.approx(accuracy_score(truth, predicted))
    weights = np.array([1.0, 5, 2, 1, 1])[truth]
    assert mean_recall(truth, predicted, own * np.array([1.0, 5, 2, 1, 1])) == pytest.approx(
        accuracy_score(truth, predicted, sample_weight=weights)
    )


def test_a_class_that_the_truth_lacks_counts_for_nothing():
    truth, predicted = np.array([0, 0, 2]), np.array([0, 1, 2])
    assert mean_recall(truth, predicted) == pytest.approx(0.75)
    assert mean_recall(truth, predicted, np.array([1, 7, 3])) == pytest.approx(0.5 / 4 + 3 / 4)
    assert macro_f1(truth, predicted) == pytest.approx((2 / 3 + 1) / 2)


def test_the_calibration_error_written_out():
    rng = np.random.default_rng(4)
    sure = rng.random(100)
    right = rng.random(100) < sure**2
    parts = [list(part) for part in np.array_split(np.argsort(sure), 15)]
    expected = 0.0
    for part in parts:
        accuracy = sum(right[i] for i in part) / len(part)
        confidence = sum(sure[i] for i in part) / len(part)
        expected += len(part) / 100 * abs(confidence - accuracy)
    assert calibration_error(sure, right) == pytest.approx(expected)
    assert calibration_error(np.ones(40), np.arange(40) < 10) == pytest.approx(0.75)
    assert calibration_error(np.ones(40), np.arange(40) >= 30) == pytest.approx(0.75)


def test_the_accuracy_of_the_surer_half():
    sure = np.array([0.9, 0.8, 0.7, 0.6])
    assert confident_accuracy(sure, np.array([True, False, True, True])) == 0.5
    # Items that tie count at their mean.
    tied = np.array([0.9, 0.5, 0.5, 0.5])
    for right in ([True, True, False, False], [True, False, False, True]):
        assert confident_accuracy(tied, np.array(right)) == pytest.approx((1 + 1 / 3) / 2)
