"""The form for large collections: its updates written out, and how near it is to the exact one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from graphs import dense_whitened
from support import unit
from usl.core.errors import DataError
from usl.numeric.neighbor_graph import neighbor_weights
from usl.training.frozen import accord
from usl.training.frozen.accord import fit
from usl.training.models import MixtureModel, load_model, save_model
from usl.training.shared import mixture, mixture_large, whitening
from usl.training.told import fitted_classes


def groups(n, classes, noise, seed=0, width=24):
    """Unit rows in overlapping groups, and three labels of each."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(classes, size=n)
    centres = unit(rng.normal(size=(classes, width)))
    features = unit(centres[truth] + noise * rng.normal(size=(n, width)) / np.sqrt(width))
    given = np.full(n, -1)
    for c in range(classes):
        given[np.flatnonzero(truth == c)[:3]] = c
    return features, truth, given


@pytest.fixture
def large(monkeypatch):
    """The switch is forced: no collection is small."""
    monkeypatch.setattr(whitening, "IN_MEMORY", 0)


def most_likely(model):
    best = model.told().argmax(axis=1)
    return best if model.numbers is None else model.numbers[np.arange(len(best)), best]


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def written_out(features, given, classes, steps, most, least, scale=0.52, graph_weight=9.0):
    """The updates on dense arrays in float64: shares of all but ``most`` classes are 0."""
    z = dense_whitened(features)
    w = neighbor_weights(features, 10, 4.0).toarray()
    w /= w.sum(axis=1, keepdims=True)
    labelled = given >= 0
    y = np.where(labelled[:, None], np.eye(classes)[given], 0.0)
    n_c = y.sum(axis=0)
    means = (y.T @ z) / n_c[:, None]
    m = means / np.linalg.norm(means, axis=1, keepdims=True)
    kappa = beta = 0.0
    r = np.zeros_like(y)
    for step in range(steps):
        cosine = z @ m.T
        rank = cosine if step == 0 else kappa * cosine + beta * w @ r
        rank = np.where(y > 0, np.inf, rank)  # a labelled item's class is one of its classes
        chosen = rank >= np.sort(rank, axis=1)[:, [-most]]
        about = cosine - cosine.mean(axis=1, keepdims=True)
        kappa = scale * np.log(classes) / np.sqrt((about**2).mean())
        side = np.eye(classes)[cosine.argmax(axis=1)]
        same = (w * (side @ side.T)).sum() / len(z)
        beta = graph_weight * (same - 1 / classes) / (1 - 1 / classes)
        for turn in range(4 if step == 0 else 3):
            votes = 0.0 if step == turn == 0 else beta * w @ r
            shares = softmax(np.where(chosen, kappa * cosine + votes, -np.inf))
            shares[labelled] = y[labelled]
            r = np.where(shares >= least, shares, 0)
        m = r.T @ z + (r.sum(axis=0) * np.sqrt(n_c))[:, None] * means
        m /= np.linalg.norm(m, axis=1, keepdims=True)
    return shares


@pytest.mark.parametrize("most", [4, 9])
def test_the_assignments_are_those_of_the_updates(large, most, monkeypatch):
    features, _, given = groups(300, 9, 1.2)
    monkeypatch.setattr(mixture, "SETTLED", 0.0)
    monkeypatch.setattr(mixture_large, "LIKELIEST", most)
    monkeypatch.setattr(mixture_large, "BLOCK", 64)
    model = fit(features, given, np.ones(300), 9, steps=4)
    found = np.zeros((300, 9))
    np.put_along_axis(found, model.numbers.astype(int), model.scores, axis=1)
    expected = written_out(features, given, 9, 4, most, mixture_large.LEAST)
    np.testing.assert_allclose(found, expected, atol=5e-3)


def test_it_agrees_with_the_exact_form(monkeypatch):
    features, truth, given = groups(4000, 60, 1.5, width=48)
    exact = fit(features, given, np.ones(4000), 60)
    assert exact.numbers is None
    monkeypatch.setattr(whitening, "IN_MEMORY", 3999)
    large = fit(features, given, np.ones(4000), 60)
    assert large.numbers.shape == (4000, 32)
    rest = given < 0
    right = (most_likely(exact) == truth)[rest].mean()
    assert 0.6 < right < 0.97  # neither lost nor trivial
    assert (most_likely(exact) == most_likely(large))[rest].mean() >= 0.995
    assert large.estimate == pytest.approx(exact.estimate, abs=0.02)


def test_few_classes_are_all_kept(large, monkeypatch):
    features, _, given = groups(500, 5, 1.2)
    wide = fit(features, given, np.ones(500), 5)
    assert wide.numbers.shape == (500, 5)
    monkeypatch.setattr(whitening, "IN_MEMORY", 500)
    np.testing.assert_array_equal(
        most_likely(wide), most_likely(fit(features, given, np.ones(500), 5))
    )


def test_a_mapped_table_of_half_precision(large, tmp_path):
    features, _, given = groups(1500, 40, 1.2)
    half = features.astype(np.float16)
    np.save(tmp_path / "half.npy", half)
    mapped = np.load(tmp_path / "half.npy", mmap_mode="r")
    expected = fit(half.astype(np.float32), given, np.ones(1500), 40)
    found = fit(mapped, given, np.ones(1500), 40)
    np.testing.assert_array_equal(most_likely(found), most_likely(expected))
    assert found.estimate == pytest.approx(expected.estimate, abs=1e-3)


def test_a_labelled_item_keeps_its_class(large, monkeypatch):
    """Even where all of its likeliest classes are others."""
    monkeypatch.setattr(mixture_large, "LIKELIEST", 2)
    features, truth, given = groups(600, 12, 0.8)
    wrong = np.flatnonzero((truth == 3) & (given < 0))[0]
    given[wrong] = 7
    model = fit(features, given, np.ones(600), 12)
    told = model.fitted()
    labelled = given >= 0
    np.testing.assert_array_equal(told[labelled].argmax(axis=1), given[labelled])
    np.testing.assert_allclose(told.sum(axis=1), 1)


def test_the_class_that_is_told_takes_no_table_of_all_classes(large, monkeypatch):
    features, _, given = groups(800, 40, 1.0)
    model = fit(features, given, np.ones(800), 40)
    model.scores[5] = 1 / 32  # all equal: the lowest of its classes
    expected = model.fitted()
    monkeypatch.setattr(MixtureModel, "fitted", None)
    classes, sure = fitted_classes(model)
    np.testing.assert_array_equal(classes, expected.argmax(axis=1))
    np.testing.assert_array_equal(sure, expected.max(axis=1))
    assert classes[5] == model.numbers[5].min()


def test_weights_and_a_class_without_weight(large):
    features, _, given = groups(800, 40, 1.0)
    weights = np.where(given == 4, 0.0, 1.0)
    weights[given == 5] = 0.5
    model = fit(features, given, weights, 40)
    assert (most_likely(model) != 4).all()
    assert (model.probabilities(features).argmax(axis=1) != 4).all()
    held = model.told()[np.flatnonzero(given == 5)].max(axis=1)
    assert np.isfinite(held).all()


def test_new_items_and_the_file(large, tmp_path):
    features, _truth, given = groups(1500, 40, 1.0)
    model = fit(features, given, np.ones(1500), 40)
    new, new_truth, _ = groups(1500, 40, 1.0)
    found = model.probabilities(new[:200])
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (np.count_nonzero(found, axis=1) <= 32).all()
    assert (found.argmax(axis=1) == new_truth[:200]).mean() > 0.8
    save_model(tmp_path / "model.npz", model, [str(c) for c in range(40)])
    again, _ = load_model(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.fitted(), model.fitted())
    np.testing.assert_allclose(again.probabilities(new[:200]), found, atol=1e-6)


def test_the_number_of_threads_changes_nothing(large, monkeypatch):
    monkeypatch.setattr(mixture_large, "BLOCK", 100)
    features, _, given = groups(700, 40, 1.2)
    found = []
    for threads in (1, 3):
        monkeypatch.setattr("usl.numeric.blocks.thread_count", lambda threads=threads: threads)
        model = fit(features, given, np.ones(700), 40)
        found.append((model.scores, model.numbers, model.estimate, model.temperature))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_how_blas_splits_a_product_changes_nothing(large):
    """Directions of so many classes are mapped by a product that BLAS gives to all its threads."""
    features, _, given = groups(1500, 200, 1.0, width=128)
    models = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            models.append(fit(features, given, np.ones(1500), 200, steps=2))
    for name in ("scores", "numbers", "weight", "temperature", "estimate"):
        np.testing.assert_array_equal(*(getattr(model, name) for model in models))


def test_one_label_per_class_and_no_item_left(large):
    features, truth, _ = groups(400, 40, 1.0)
    for given in (np.where(np.arange(400) < 399, truth, -1), truth):
        model = fit(features, given, np.ones(400), 40)
        assert np.isfinite(model.told()).all()
        assert accord.LEAST <= model.estimate <= accord.MOST


def test_what_a_class_has_of_each_item(large):
    features, _, given = groups(500, 40, 1.0)
    model = fit(features, given, np.ones(500), 40)
    everything = np.zeros((500, 40))
    np.put_along_axis(everything, model.numbers.astype(int), model.scores, axis=1)
    for number in (0, 17, 39):
        np.testing.assert_allclose(model.belonging(number), everything[:, number])


@pytest.mark.parametrize("fault", ["a class too many", "another shape", "no numbers"])
def test_a_damaged_file_is_refused(large, tmp_path, fault):
    features, _, given = groups(500, 40, 1.0)
    model = fit(features, given, np.ones(500), 40)
    numbers = model.numbers.copy()
    if fault == "a class too many":
        numbers[3, 3] = 40
    broken = {
        "a class too many": {"numbers": numbers},
        "another shape": {"numbers": numbers[:, :-1]},
        "no numbers": {"numbers": numbers.astype(float)},
    }[fault]
    save_model(tmp_path / "model.npz", replace(model, **broken), [str(c) for c in range(40)])
    with pytest.raises(DataError, match="do not belong together"):
        load_model(tmp_path / "model.npz")
