"""What every method on frozen features promises, checked for each one that is found."""

from __future__ import annotations

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from usl.core.methods import parameter_help
from usl.training.contract import FROZEN
from usl.training.models import load_model, save_model


@pytest.fixture(params=FROZEN.names())
def method(request):
    return FROZEN.load(request.param)


@pytest.fixture
def fit(method):
    return method.fit


def one_label_each(classes, per_class=1):
    given = np.full(len(classes), -1, dtype=np.int64)
    for c in np.unique(classes):
        given[np.flatnonzero(classes == c)[:per_class]] = c
    return given


def test_learns_separated_groups_from_one_label_each(fit, blobs):
    features, classes = blobs
    model = fit(features, one_label_each(classes), np.ones(600), 6)
    found = model.probabilities(features)
    assert found.shape == (600, 6)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-6)
    assert (found >= 0).all()
    assert (found.argmax(axis=1) == classes).mean() > 0.95
    if model.fitted() is not None:
        assert (model.fitted().argmax(axis=1) == classes).mean() > 0.97


def test_two_classes(fit, blobs):
    features, classes = blobs
    rows = classes < 2
    model = fit(features[rows], one_label_each(classes[rows], 3), np.ones(rows.sum()), 2)
    assert (model.probabilities(features[rows]).argmax(axis=1) == classes[rows]).mean() > 0.97


def test_same_input_same_model(fit, blobs):
    features, classes = blobs
    given = one_label_each(classes, 2)
    first = fit(features, given, np.ones(600), 6, seed=1).probabilities(features)
    again = fit(features, given, np.ones(600), 6, seed=1).probabilities(features)
    np.testing.assert_array_equal(first, again)


def test_the_number_of_threads_changes_nothing(fit, blobs, monkeypatch):
    features, classes = blobs
    given = one_label_each(classes, 2)
    with threadpool_limits(1):
        monkeypatch.setattr("usl.numeric.blocks.thread_count", lambda: 1)
        first = fit(features, given, np.ones(600), 6).probabilities(features)
    with threadpool_limits(2):
        monkeypatch.setattr("usl.numeric.blocks.thread_count", lambda: 3)
        again = fit(features, given, np.ones(600), 6).probabilities(features)
    np.testing.assert_array_equal(first, again)


def test_unbalanced_labels(fit, blobs):
    features, classes = blobs
    given = one_label_each(classes)
    given[np.flatnonzero(classes == 2)[:30]] = 2
    model = fit(features, given, np.ones(600), 6)
    assert (model.probabilities(features).argmax(axis=1) == classes).mean() > 0.85


def test_what_is_prepared_changes_nothing(method, blobs):
    features, classes = blobs
    given = one_label_each(classes, 2)
    plain = method.fit(features, given, np.ones(600), 6)
    ready = method.prepare(features) if hasattr(method, "prepare") else {}
    again = method.fit(features, given, np.ones(600), 6, **ready)
    np.testing.assert_array_equal(plain.probabilities(features), again.probabilities(features))


def test_every_parameter_has_a_default_and_a_help_text(method):
    parameters = FROZEN.parameters(method)
    assert set(parameter_help(method.fit)) == set(parameters)
    assert all(parameter.default is not parameter.empty for parameter in parameters.values())


def test_a_weight_of_nearly_nothing_counts_for_nearly_nothing(fit, blobs):
    features, classes = blobs
    given = one_label_each(classes, 3)
    wrong = np.flatnonzero((given < 0) & (classes == 0))[:20]
    given[wrong] = 1
    weights = np.ones(600)
    weights[wrong] = 1e-6
    model = fit(features, given, weights, 6)
    others = (given < 0) & (classes == 0)
    assert (model.probabilities(features[others]).argmax(axis=1) == 0).mean() > 0.9


def test_round_trip_without_pickle(fit, blobs, tmp_path):
    features, classes = blobs
    model = fit(features, one_label_each(classes), np.ones(600), 6)
    save_model(tmp_path / "model.npz", model, list("abcdef"))
    loaded, names = load_model(tmp_path / "model.npz")
    assert names == list("abcdef")
    np.testing.assert_allclose(
        loaded.probabilities(features[:50]), model.probabilities(features[:50]), atol=1e-6
    )
