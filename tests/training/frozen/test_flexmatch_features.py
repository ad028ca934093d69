from __future__ import annotations

import numpy as np
import pytest
from numpy.lib.format import read_array

from usl.core.errors import DataError, UsageError
from usl.core.files import cache_dir
from usl.selection.start_run import start_run
from usl.training.contract import FROZEN
from usl.training.frozen.flexmatch_features import (
    aligned,
    cross_entropy,
    fit,
    prepare,
    strong_views,
    thresholds,
)
from usl.training.train import train


def few(classes, per_class):
    """Labels of the first items of each class, -1 for the others."""
    given = np.full(len(classes), -1, dtype=np.int64)
    for number in np.unique(classes):
        given[np.flatnonzero(classes == number)[:per_class]] = number
    return given


def naive_cross_entropy(weight, bias, rows, target, counted):
    total = 0.0
    for row, want, counts in zip(rows, target, counted, strict=True):
        logits = weight @ row + bias
        log_p = logits - np.log(sum(np.exp(logit) for logit in logits))
        total -= counts * sum(want * log_p)
    return total / len(rows)


def test_loss_and_gradient():
    rng = np.random.default_rng(0)
    weight, bias, rows = rng.normal(size=(3, 5)), rng.normal(size=3), rng.normal(size=(8, 5))
    target, counted = rng.dirichlet(np.ones(3), size=8), rng.random(8) < 0.6
    value, by_weight, by_bias = cross_entropy(weight, bias, rows, target, counted)
    assert value == pytest.approx(naive_cross_entropy(weight, bias, rows, target, counted))

    def numeric(array):
        found = np.zeros_like(array)
        for place in np.ndindex(*array.shape):
            kept = array[place]
            sides = []
            for side in (kept + 1e-5, kept - 1e-5):
                array[place] = side
                sides.append(naive_cross_entropy(weight, bias, rows, target, counted))
            array[place] = kept
            found[place] = (sides[0] - sides[1]) / 2e-5
        return found

    np.testing.assert_allclose(by_weight, numeric(weight), atol=1e-6)
    np.testing.assert_allclose(by_bias, numeric(bias), atol=1e-6)


@pytest.mark.parametrize(
    ("counts", "beta"),
    [
        ([0, 0, 0, 10], [0, 0, 0]),  # nothing sure yet
        ([1, 2, 0, 7], [1 / 7, 2 / 7, 0]),  # warm-up: most items not yet sure
        ([6, 3, 0, 1], [1, 0.5, 0]),
    ],
)
def test_thresholds_follow_what_has_been_learnt(counts, beta):
    sure_of = np.repeat(np.arange(4), counts)
    beta = np.array(beta)
    np.testing.assert_allclose(thresholds(sure_of, 3, 0.95, 0.0), 0.95 * beta / (2 - beta))
    raised = [0.95 * max(b / (2 - b), 0.6) for b in beta]
    np.testing.assert_allclose(thresholds(sure_of, 3, 0.95, 0.6), raised)


def test_strong_views_are_neighbours(cloud):
    near = prepare(cloud, k=3)["neighbors"]
    items = np.arange(300)
    rng = np.random.default_rng(0)
    taken = set()
    for _ in range(20):
        found = strong_views(cloud, items, near, None, 0.0, rng)
        which = (found[:, None] == cloud[near]).all(axis=2)
        assert which.any(axis=1).all()
        taken |= set(which[0].nonzero()[0].tolist())
    assert taken == {0, 1, 2}


def test_noise_has_the_given_length_and_no_direction(cloud):
    near = np.zeros((300, 1), dtype=np.int64)
    items = np.zeros(20_000, dtype=np.int64)  # each its own neighbour: noise is all there is
    found = strong_views(cloud, items, near, None, 0.6, np.random.default_rng(0)) - cloud[0]
    covariance = found.T @ found / len(found)
    np.testing.assert_allclose(covariance, np.eye(8) * 0.6**2 / 8, atol=2e-3)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=0.01)


def test_views_take_the_place_of_neighbours(blobs):
    features, classes = blobs
    views = np.stack([features, features + np.float32(0.1)]).astype(np.float16)
    items = np.arange(600)
    found = strong_views(features, items, None, views, 0.9, np.random.default_rng(0))
    assert found.dtype == np.float32
    first = (found == views[0]).all(axis=1)
    assert 200 < first.sum() < 400
    np.testing.assert_array_equal(found[~first], views[1][~first])
    assert prepare(features, views=2) == {}
    asked = []

    def augmented(count):
        asked.append(count)
        return views

    given = few(classes, 3)
    model = fit(features, given, np.ones(600), 6, views=2, augmented=augmented, epochs=4)
    assert (model.probabilities(features).argmax(axis=1) == classes).mean() > 0.97
    fit(features, given, np.ones(600), 6, augmented=augmented, epochs=1)
    assert asked == [2]


def test_views_without_images(blobs):
    features, classes = blobs
    with pytest.raises(UsageError, match="no images"):
        fit(features, few(classes, 3), np.ones(600), 6, views=2)


def test_views_of_the_images_of_a_run(run):
    done = train(run, method="flexmatch_features", views=2, epochs=1)
    assert done.info["training"]["parameters"] == {"views": 2, "epochs": 1}
    folders = sorted(path.name for path in (cache_dir() / "features").glob("*view*"))
    assert len(folders) == 2
    shards = {path: path.read_bytes() for path in cache_dir().glob("features/*view*/*.shard")}
    first = (run.path / "predictions.csv").read_bytes()
    assert sum(len(read_digests(path)) for path in shards) == 2 * 40  # no view of a test image
    train(run, method="flexmatch_features", views=2, epochs=1)
    assert (run.path / "predictions.csv").read_bytes() == first
    assert {path: path.read_bytes() for path in shards} == shards
    assert len(list(cache_dir().glob("features/*view*/*.shard"))) == len(shards)


def test_views_for_a_run_on_features(tmp_path, blobs):
    features, classes = blobs
    np.save(tmp_path / "table.npy", features)
    run = start_run(tmp_path / "table.npy", 12, tmp_path / "run", method="kmeans")
    split = run.split()
    rows = np.flatnonzero(split.states == "requested")
    numbers = [int(name.rpartition("/")[2]) for name in split.ids[rows]]
    split.with_labels(rows.tolist(), [str(classes[n]) for n in numbers]).write(run.path)
    with pytest.raises(DataError, match=r"table\.npy: holds features.*images"):
        train(run, method="flexmatch_features", views=2)


def read_digests(path):
    """Content hashes of the rows in a shard of the feature cache."""
    with open(path, "rb") as handle:
        return read_array(handle)


def test_answers_are_scaled_class_by_class():
    rng = np.random.default_rng(0)
    answer = rng.dirichlet(np.ones(3), size=5).astype(np.float32)
    running, shares = np.array([0.2, 0.3, 0.5]), np.array([0.5, 0.25, 0.25])
    for got, p in zip(aligned(answer, running, shares), answer, strict=True):
        scaled = [p[c] * shares[c] / running[c] for c in range(3)]
        np.testing.assert_allclose(got, np.array(scaled) / sum(scaled), rtol=1e-5)


def test_its_own_answers_teach_the_head(blobs):
    features, classes = blobs
    noisy = features + 0.3 * np.random.default_rng(0).normal(size=features.shape)
    noisy = (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float32)
    given = few(classes, 3)
    right = [
        (fit(noisy, given, np.ones(600), 6, lam=lam).probabilities(noisy).argmax(1) == classes)
        for lam in (0.0, 1.0)
    ]
    assert right[1].mean() > right[0].mean() + 0.02


def test_a_prior_moves_the_answers_towards_it(blobs):
    features, classes = blobs
    rows = classes < 2
    noise = 0.4 * np.random.default_rng(0).normal(size=(rows.sum(), 16))
    noisy = features[rows] + noise
    noisy = (noisy / np.linalg.norm(noisy, axis=1, keepdims=True)).astype(np.float32)
    given = np.full(rows.sum(), -1, dtype=np.int64)
    given[np.flatnonzero(classes[rows] == 0)[:17]] = 0
    given[np.flatnonzero(classes[rows] == 1)[:3]] = 1
    shares = [
        fit(noisy, given, np.ones(len(given)), 2, class_prior=prior, epochs=10)
        .probabilities(noisy)
        .argmax(axis=1)
        .mean()
        for prior in ("labels", "uniform")
    ]
    assert shares[0] < shares[1] - 0.05
    assert 0.35 < shares[1] < 0.65


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"uratio": 0}, "uratio"),
        ({"k": 0}, "k: 0"),
        ({"noise": -1.0}, "noise"),
        ({"lowest": 1.5}, "lowest"),
        ({"class_prior": "x"}, "class_prior"),
        ({"views": -1}, "views"),
    ],
)
def test_bad_parameters(params, message):
    with pytest.raises(UsageError, match=message):
        FROZEN.check("flexmatch_features", FROZEN.load("flexmatch_features"), params)
