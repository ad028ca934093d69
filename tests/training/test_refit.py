"""Refits: the cold fit to the bit, whatever was labelled before, and quicker."""

from __future__ import annotations

import time

import numpy as np
import pytest

from support import unit
from usl.core.errors import DataError, UsageError
from usl.training.contract import FROZEN
from usl.training.refit import Refit


@pytest.fixture(scope="module")
def items():
    """900 items in 5 overlapping groups, and 10 labels of 4 of them."""
    rng = np.random.default_rng(3)
    truth = rng.integers(5, size=900)
    features = unit(np.eye(16)[truth] + rng.normal(scale=0.35, size=(900, 16)))
    classes = np.full(900, -1)
    rows = np.flatnonzero(truth < 4)[:10]
    classes[rows] = truth[rows]
    return features, truth, classes


@pytest.mark.parametrize("method", ["accord", "label_spreading", "nearest_mean"])
def test_a_refit_is_the_cold_fit(items, method):
    features, truth, classes = items
    refit = Refit(features, method)
    refit.update(classes)
    more, weights = classes.copy(), np.ones(900)
    rows = np.flatnonzero(classes < 0)[:6]
    more[rows], weights[rows] = truth[rows], 0.5
    more[np.flatnonzero(truth == 4)[:2]] = 4  # a new class
    more[np.flatnonzero(classes >= 0)[0]] = -1  # a label taken back
    found = refit.update(more, weights)
    cold = FROZEN.load(method).fit(features, more, weights, 5)
    for name, value in cold.arrays().items():
        np.testing.assert_array_equal(found.arrays()[name], value)


def test_the_order_of_the_answers_changes_nothing(items):
    features, truth, classes = items
    one, other = Refit(features), Refit(features)
    rows = np.flatnonzero(classes < 0)[:4]
    last = []
    for refit, order in ((one, rows), (other, rows[::-1])):
        given = classes.copy()
        for row in order:
            given[row] = truth[row]
            model = refit.update(given)
        last.append(model)
    np.testing.assert_array_equal(last[0].fitted(), last[1].fitted())
    assert last[0].estimate == last[1].estimate


def test_neither_search_nor_whitening_is_done_again(items, monkeypatch):
    features, _, classes = items
    refit = Refit(features)

    def again(*_: object, **__: object) -> None:
        raise AssertionError("done again")

    monkeypatch.setattr("usl.training.frozen.accord.neighbor_weights", again)
    monkeypatch.setattr("usl.training.shared.whitening.whitening", again)
    refit.update(classes)


def test_it_is_a_fraction_of_a_cold_fit():
    rng = np.random.default_rng(0)
    truth = rng.integers(10, size=6000)
    features = unit(np.eye(64)[truth] + 0.3 * rng.normal(size=(6000, 64)))
    classes = np.where(np.arange(6000) < 60, truth, -1)
    took = {"cold": [], "warm": []}
    refit = Refit(features)
    for _ in range(3):
        for name in took:
            began = time.process_time()
            if name == "cold":
                FROZEN.load("accord").fit(features, classes, np.ones(6000), 10)
            else:
                refit.update(classes)
            took[name].append(time.process_time() - began)
    assert min(took["warm"]) < 0.7 * min(took["cold"])


@pytest.mark.parametrize(
    ("method", "params"), [("logistic", {}), ("flexmatch_features", {"epochs": 1})]
)
def test_a_class_without_a_label_leaves_the_others_their_numbers(method, params):
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 2], 40)
    features = unit(np.eye(6)[truth] + rng.normal(scale=0.2, size=(80, 6)))
    classes = np.where(np.arange(80) % 8 == 0, truth, -1)
    said = Refit(features, method, **params).update(classes, n_classes=4).probabilities(features)
    assert said.shape == (80, 4)
    assert np.isfinite(said).all()
    assert (said.argmax(axis=1) == truth).mean() > 0.9


def test_a_class_without_a_label_gets_no_item(items):
    features, _, classes = items
    model = Refit(features).update(classes, n_classes=6)
    assert model.fitted().shape == (900, 6)
    assert (model.fitted().argmax(axis=1) < 4).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": np.zeros(3, int)}, r"classes: .* for each of the 900 items"),
        ({"classes": np.zeros(900)}, "classes: float64"),
        ({"classes": np.full(900, -2)}, "item 0 has the number -2"),
        ({"n_classes": 2}, "numbers run from 0 to 1"),
        ({"weights": np.full(900, np.nan)}, "weights:"),
        ({"weights": np.full(900, -1.0)}, "weights:"),
        ({"classes": np.full(900, -1)}, "nothing to learn"),
        ({"weights": np.zeros(900)}, "nothing to learn"),
    ],
)
def test_labels_that_are_none(items, change, message):
    features, _, classes = items
    refit = Refit(features)
    with pytest.raises(DataError, match=message):
        refit.update(**({"classes": classes} | change))


def test_parameters_are_checked(items):
    with pytest.raises(UsageError, match="scale: -1"):
        Refit(items[0], scale=-1.0)
