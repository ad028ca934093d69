"""Accord against its objective written out, and what it promises of labels and confidence."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from graphs import dense_whitened
from support import unit
from usl.core.errors import DataError, UsageError
from usl.numeric.neighbor_graph import neighbor_weights
from usl.training.contract import FROZEN
from usl.training.frozen import accord
from usl.training.frozen.accord import fit, folds, temperature_for
from usl.training.shared import mixture, whitening
from usl.training.shared.whitening import whitened


@pytest.fixture
def problem():
    """240 items in three unequal, overlapping groups, 12 of them labelled."""
    rng = np.random.default_rng(11)
    truth = rng.choice(3, size=240, p=[0.6, 0.25, 0.15])
    features = unit(np.eye(10)[truth] + rng.normal(scale=0.45, size=(240, 10)))
    classes = np.full(240, -1)
    for c, count in enumerate((6, 4, 2)):
        rows = np.flatnonzero(truth == c)[:count]
        classes[rows] = c
    return features, classes, truth


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def written_out(features, classes, weights, steps, scale=0.52, graph_weight=9.0):
    """The updates of the module's docstring on dense arrays in float64."""
    z = dense_whitened(features)
    w = neighbor_weights(features, 10, 4.0).toarray()
    w /= w.sum(axis=1, keepdims=True)
    y = np.where(classes[:, None] >= 0, np.eye(3)[classes] * weights[:, None], 0.0)
    held = (y.sum(axis=1) / y.sum(axis=1).max())[:, None]
    one_hot = np.eye(3)[classes]
    n_c = y.sum(axis=0)
    means = (y.T @ z) / n_c[:, None]
    m = means / np.linalg.norm(means, axis=1, keepdims=True)
    for step in range(steps):
        cosine = z @ m.T
        kappa = (
            scale * np.log(3) / np.sqrt(((cosine - cosine.mean(axis=1, keepdims=True)) ** 2).mean())
        )
        side = np.eye(3)[cosine.argmax(axis=1)]
        same = (w * (side @ side.T)).sum() / len(z)
        beta = graph_weight * (same - 1 / 3) / (1 - 1 / 3)
        if step == 0:
            r = held * one_hot + (1 - held) * softmax(kappa * cosine)
        for _ in range(3):
            r = held * one_hot + (1 - held) * softmax(kappa * cosine + beta * w @ r)
        mass = r.sum(axis=0)
        m = r.T @ z + (mass * np.sqrt(n_c))[:, None] * means
        m /= np.linalg.norm(m, axis=1, keepdims=True)
    return r


@pytest.mark.parametrize("weighted", [False, True])
def test_the_assignments_are_those_of_the_updates(problem, weighted, monkeypatch):
    features, classes, _ = problem
    monkeypatch.setattr(mixture, "SETTLED", 0.0)
    weights = np.random.default_rng(2).uniform(0.1, 1, 240) if weighted else np.ones(240)
    model = fit(features, classes, weights, 3, steps=4)
    np.testing.assert_allclose(model.scores, written_out(features, classes, weights, 4), atol=2e-3)


def test_it_stops_where_nothing_changes(problem):
    features, classes, _ = problem
    few = fit(features, classes, np.ones(240), 3, steps=30).scores
    many = fit(features, classes, np.ones(240), 3, steps=60).scores
    np.testing.assert_array_equal(few, many)


def test_it_finds_more_than_the_class_means(problem):
    features, classes, truth = problem
    rest = classes < 0
    found = {
        name: FROZEN.load(name).fit(features, classes, np.ones(240), 3).probabilities(features)
        for name in ("accord", "nearest_mean")
    }
    right = {name: (p.argmax(axis=1) == truth)[rest].mean() for name, p in found.items()}
    assert right["accord"] >= right["nearest_mean"]


def test_confidence_is_the_estimate(problem):
    features, classes, _ = problem
    model = fit(features, classes, np.ones(240), 3)
    told = model.fitted()[classes < 0]
    assert told.max(axis=1).mean() == pytest.approx(model.estimate, abs=0.01)
    assert 0 < model.estimate < 1
    assert np.isfinite(told).all()


def test_the_estimate_is_made_of_confidence_stability_and_held_out_labels(problem, monkeypatch):
    """As docs/learner.md has it, from fits that are written out."""
    features, classes, _ = problem
    monkeypatch.setattr(mixture, "SETTLED", 0.0)
    labelled, rest = np.flatnonzero(classes >= 0), classes < 0

    def sure(r):
        return softmax(np.log(r) / 2.4).max(axis=1)

    whole = written_out(features, classes, np.ones(240), 10)
    confidence = sure(whole[rest]).mean()
    parts = folds(classes[labelled], 3)
    surplus, changed = 0.0, []
    for part in parts:
        out = labelled[part]
        without = written_out(features, np.where(np.isin(np.arange(240), out), -1, classes),
                              np.ones(240), 5)  # fmt: skip
        surplus += ((without[out].argmax(axis=1) == classes[out]) - sure(without[out])).sum()
        changed.append((without.argmax(axis=1) != whole.argmax(axis=1))[rest].mean())
    held = sum(map(len, parts))
    share = held / len(labelled)
    stability = 1 - 3 * np.mean(changed) * len(parts) / 5 / share
    prior = confidence + share / 2 * (stability - confidence)
    expected = (40 * prior + held * confidence + surplus) / (40 + held)
    found = fit(features, classes, np.ones(240), 3).estimate
    assert found == pytest.approx(expected, abs=2e-3)
    assert expected != pytest.approx(confidence, abs=0.01)


def test_the_decision_is_that_of_the_assignments(problem):
    features, classes, _ = problem
    model = fit(features, classes, np.ones(240), 3)
    np.testing.assert_array_equal(model.fitted().argmax(axis=1), model.scores.argmax(axis=1))
    assert (model.fitted()[classes >= 0].argmax(axis=1) == classes[classes >= 0]).all()


def test_items_of_unseen_classes_count_as_wrong(problem, monkeypatch):
    features, classes = problem[:2]
    counts = np.bincount(classes[classes >= 0])
    share = counts[counts > 1].sum() / counts.sum()  # of the labels, those that can be held out
    plain = fit(features, classes, np.ones(len(classes)), 3).estimate
    monkeypatch.setattr(accord, "unseen_share", lambda *_: 0.4)
    found = fit(features, classes, np.ones(len(classes)), 3).estimate
    assert found == pytest.approx(plain * (1 - 0.4 * share))


def test_held_out_parts_leave_every_class_a_label():
    numbers = np.array([0] * 7 + [1] * 2 + [2] + [3] * 5)
    parts = folds(numbers, 4)
    out = np.concatenate(parts)
    assert len(out) == len(set(out.tolist())) == 14  # all but the only label of class 2
    for part in parts:
        left = np.setdiff1d(np.arange(15), part)
        assert set(numbers[left]) == {0, 1, 2, 3}


def test_the_temperature_meets_the_estimate():
    logits = np.random.default_rng(0).normal(scale=4, size=(400, 5)).astype(np.float32)
    for estimate in (0.4, 0.7, 0.9):
        t = temperature_for(estimate, logits)
        assert softmax(logits / t).max(axis=1).mean() == pytest.approx(estimate, abs=1e-3)


def test_one_label_per_class_and_all_but_one_labelled(problem):
    features, _, truth = problem
    single = np.full(240, -1)
    for c in range(3):
        single[np.flatnonzero(truth == c)[0]] = c
    most = truth.copy()
    most[17] = -1
    for given in (single, most, truth):
        found = fit(features, given, np.ones(240), 3).fitted()
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found.sum(axis=1), 1)


def test_identical_features_and_labels_that_contradict():
    features = np.tile(unit(np.ones((1, 6))), (40, 1))
    classes = np.full(40, -1)
    classes[:4] = [0, 1, 1, 0]  # on duplicates of one image
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = fit(features, classes, np.ones(40), 2)
        found = model.probabilities(features)
    assert np.isfinite(found).all()
    assert np.isfinite(model.fitted()).all()
    assert found.max(axis=1) == pytest.approx(0.5, abs=0.3)


def test_a_few_wrong_labels_do_little(problem):
    features, classes, truth = problem
    wrong = classes.copy()
    wrong[np.flatnonzero(classes == 0)[0]] = 1
    rest = classes < 0
    loss = {}
    for name in ("accord", "nearest_mean"):
        method = FROZEN.load(name)
        right = [
            (method.fit(features, given, np.ones(240), 3).probabilities(features).argmax(axis=1)
             == truth)[rest].mean()
            for given in (classes, wrong)
        ]  # fmt: skip
        loss[name] = right[0] - right[1]
    assert loss["accord"] <= loss["nearest_mean"] + 0.03


def test_whitening_is_of_the_covariance():
    rng = np.random.default_rng(3)
    features = unit(rng.normal(size=(500, 6)) * [3, 1, 1, 0.5, 0.2, 0.1] + 1)
    points, center, projection = whitened(features, 1.0)
    mapped = (features - center) @ projection
    spread = np.linalg.eigvalsh(np.cov(mapped.T))
    plain = np.linalg.eigvalsh(np.cov(features.T))
    assert spread.max() / spread.min() < 0.2 * plain.max() / plain.min()
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, atol=1e-5)
    unchanged, *_ = whitened(features, 0.0)  # but for the centre
    centred = unit(features - features.mean(axis=0))
    np.testing.assert_allclose(unchanged @ unchanged.T, centred @ centred.T, atol=1e-4)


def test_more_dimensions_than_items():
    rng = np.random.default_rng(5)
    truth = np.arange(30) % 2
    features = unit(rng.normal(size=(30, 700)) + 3 * np.eye(700)[truth * 5])
    classes = np.where(np.arange(30) < 4, truth, -1)
    found = fit(features, classes, np.ones(30), 2)
    assert np.isfinite(found.probabilities(features)).all()


@pytest.mark.parametrize(
    ("params", "message"), [({"scale": 0.0}, "scale: 0"), ({"whiten": 1.5}, "whiten: 1.5")]
)
def test_parameters_out_of_bounds(params, message):
    with pytest.raises(UsageError, match=message):
        FROZEN.check("accord", accord, params)


def test_many_classes_stand_out():
    """With one scale for any number of classes, nothing would stand out of a hundred."""
    rng = np.random.default_rng(6)
    centres = unit(rng.normal(size=(100, 64)))
    truth = rng.permutation(np.repeat(np.arange(100), 20))
    features = unit(centres[truth] + 0.17 * rng.normal(size=(2000, 64)))
    classes = np.full(2000, -1)
    for c in range(100):
        classes[np.flatnonzero(truth == c)[0]] = c
    rest = classes < 0
    right = {
        name: (FROZEN.load(name).fit(features, classes, np.ones(2000), 100)
               .probabilities(features).argmax(axis=1) == truth)[rest].mean()
        for name in ("accord", "nearest_mean")
    }  # fmt: skip
    assert right["accord"] > right["nearest_mean"] + 0.02


def test_a_class_without_weight_gets_no_item(problem):
    features, classes, _ = problem
    weights = np.ones(240)
    weights[classes == 1] = 0
    model = fit(features, classes, weights, 3)
    for found in (model.fitted(), model.probabilities(features)):
        assert np.isfinite(found).all()
        assert (found.argmax(axis=1) != 1).all()


# Bad input

SHAPES = [(240, 10), (9, 10), (4, 30), (2, 3)]  # (items, dimensions), with fewer items than k + 1


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("form", ["exact", "large"])
def test_any_number_of_items_and_labels(shape, form, monkeypatch):
    """From one label per class to all items labelled, with fewer items than neighbours, too."""
    if form == "large":
        monkeypatch.setattr(whitening, "IN_MEMORY", 0)
    n, width = shape
    features = unit(np.random.default_rng(4).normal(size=(n, width)))
    truth = np.arange(n) % 2
    for labels in {2, n - 1, n} - {1}:
        classes = np.where(np.arange(n) < labels, truth, -1)
        sound(fit(features, classes, np.ones(n), 2), features, classes)


def sound(model, features, classes):
    """Probabilities, and labelled items as they are labelled."""
    for found in (model.fitted(), model.probabilities(features)):
        assert found.dtype == np.float64
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found.sum(axis=1), 1)
    held = classes >= 0
    np.testing.assert_array_equal(model.fitted()[held].argmax(axis=1), classes[held])
    assert accord.LEAST <= model.estimate <= accord.MOST
    assert accord.COLDEST <= model.temperature <= accord.HOTTEST


@pytest.mark.parametrize("count", [1, 239])
def test_a_class_with_one_label_and_one_with_all_others(problem, count):
    features, _, truth = problem
    classes = np.where(truth == 0, 0, 1)
    classes[np.flatnonzero(truth == 0)[1:]] = -1
    classes[np.flatnonzero(truth > 0)[count:]] = -1
    sound(fit(features, classes, np.ones(240), 2), features, classes)


@pytest.mark.parametrize("form", ["exact", "large"])
@pytest.mark.parametrize("classes", [np.full(240, -1), np.zeros(240, int), np.arange(240) % 2])
def test_nothing_to_learn(problem, classes, form, monkeypatch):
    """No label, those of one class, and of two of which one has no weight."""
    if form == "large":
        monkeypatch.setattr(whitening, "IN_MEMORY", 0)
    weights = np.where(classes == 1, 0.0, 1.0)
    with pytest.raises(DataError, match=r"classes: [01] of the 2 classes .* nothing to learn") as e:
        fit(problem[0], classes, weights, 2)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("form", ["exact", "large"])
def test_labels_on_duplicates(problem, form, monkeypatch):
    """Of one image many copies with labels that contradict, and of another a copy without one."""
    if form == "large":
        monkeypatch.setattr(whitening, "IN_MEMORY", 0)
    features, classes, _ = problem
    features, classes = features.copy(), classes.copy()
    same = np.arange(100, 140)
    features[same] = features[100]
    classes[same[:6]] = [0, 1, 2, 0, 1, 1]
    known = np.flatnonzero(classes == 2)[0]
    features[200], classes[200] = features[known], -1
    model = fit(features, classes, np.ones(240), 3)
    sound(model, features, classes)
    told = model.fitted()
    assert told[200].argmax() == 2  # as its copy is labelled
    assert (told[same[6:]].argmax(axis=1) == 1).all()  # as most of the copies' labels say


@pytest.mark.parametrize("form", ["exact", "large"])
@pytest.mark.parametrize("kind", ["identical", "zeros", "two points", "one dimension", "half"])
def test_features_that_say_little(kind, form, monkeypatch):
    """Nothing is NaN, and nothing is warned of: no division, overflow or invalid value."""
    if form == "large":
        monkeypatch.setattr(whitening, "IN_MEMORY", 0)
    rng = np.random.default_rng(8)
    features = {
        "identical": np.tile(unit(np.ones((1, 6))), (60, 1)),
        "zeros": np.zeros((60, 6), np.float32),
        "two points": np.eye(6, dtype=np.float32)[np.arange(60) % 2],
        "one dimension": np.sign(rng.normal(size=(60, 1))).astype(np.float32),
        "half": (rng.choice([6e-8, 1, -1], size=(60, 6)) * 65504).astype(np.float16),
    }[kind]
    classes = np.where(np.arange(60) < 8, np.arange(60) % 2, -1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = fit(features, classes, np.ones(60), 2)
        sound(model, features, classes)
