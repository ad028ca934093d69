"""None of these: items of classes without a label are told apart, those of labelled ones seldom."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from scipy.stats import rankdata
from sklearn.datasets import load_digits

from support import unit
from usl.cli.app import main
from usl.numeric.neighbor_graph import neighbor_weights
from usl.run.predictions import read_predictions
from usl.run.split_csv import rewrite
from usl.selection.start_run import start_run
from usl.training.contract import FROZEN
from usl.training.frozen import accord, nearest_mean
from usl.training.models import LinearModel, load_model, save_model
from usl.training.predict import predict
from usl.training.shared.prototypes import label_votes
from usl.training.shared.whitening import whitened
from usl.training.train import train
from usl.training.unlike import LIMIT, unlikeness, unlikeness_of_new, with_unlikeness


def auroc(unknown, score):
    """The share of pairs that are in the right order (Mann and Whitney, 1947)."""
    ranks = rankdata(score)[unknown].sum()
    ones, others = unknown.sum(), (~unknown).sum()
    return (ranks - ones * (ones + 1) / 2) / (ones * others)


@pytest.fixture(scope="module")
def digits():
    """Features, truth, points and graph of the digits that come with scikit-learn."""
    found = load_digits()
    features = unit(found.data - found.data.mean(axis=0))
    return features, found.target, whitened(features, 0.5)[0], neighbor_weights(features, 10, 4.0)


def labelled(truth, count, left_out, seed):
    """``count`` random labels, those of left-out classes withheld."""
    rng = np.random.default_rng(seed)
    drawn = rng.choice(len(truth), count, replace=False)
    drawn = drawn[~np.isin(truth[drawn], left_out)]
    known = np.unique(truth[drawn])
    classes = np.full(len(truth), -1)
    classes[drawn] = np.searchsorted(known, truth[drawn])
    return classes, known


def test_left_out_digits_stand_out_further_than_by_confidence_or_cosine(digits, one_thread):
    features, truth, points, graph = digits
    ours, plain, cosine, alarms = [], [], [], []
    for seed in range(4):
        classes, known = labelled(truth, 60, [seed, 9 - seed], seed)
        rows, votes = label_votes(classes, np.ones(len(truth)), len(known))
        score = unlikeness(points, graph, rows, votes)
        rest = classes < 0
        unknown = ~np.isin(truth, known)[rest]
        fitted = accord.fit(features, classes, np.ones(len(truth)), len(known), graph=graph)
        means = unit(votes.T @ features[rows])
        ours.append(auroc(unknown, score[rest]))
        plain.append(auroc(unknown, -fitted.fitted().max(axis=1)[rest]))
        cosine.append(auroc(unknown, -(features @ means.T).max(axis=1)[rest]))
        alarms.append((score[rest][~unknown] >= LIMIT).mean())
    assert np.mean(ours) > 0.95
    assert np.mean(ours) > np.mean(plain) + 0.05
    assert np.mean(ours) > np.mean(cosine) + 0.02
    assert np.mean(alarms) < 0.05


def test_false_alarms_where_every_class_has_labels(digits):
    _, truth, points, graph = digits
    alarms = []
    for seed in range(8):
        classes, known = labelled(truth, 100, [], seed)
        rows, votes = label_votes(classes, np.ones(len(truth)), len(known))
        alarms.append((unlikeness(points, graph, rows, votes)[classes < 0] >= LIMIT).mean())
    assert np.mean(alarms) < 0.06
    assert max(alarms) < 0.15


def test_no_item_is_named_that_is_less_unlike_than_labelled_ones():
    """A small class far from the large one has a label: it is like a class, its own."""
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1, 2], [400, 20, 20])
    features = unit(np.eye(12)[truth] + 0.1 * rng.normal(size=(440, 12)))
    classes = np.full(440, -1)
    classes[[0, 1, 2, 3, 4, 400]] = [0, 0, 0, 0, 0, 1]
    rows, votes = label_votes(classes, np.ones(440), 2)
    points = whitened(features, 0.5)[0]
    score = unlikeness(points, neighbor_weights(features, 10, 4.0), rows, votes)
    assert (score[truth == 1] < LIMIT).all()
    assert (score[truth == 2] >= LIMIT).all()
    assert (score[truth == 0] >= LIMIT).mean() < 0.02


def test_new_items_are_judged_by_their_neighbours_and_by_their_distance(digits):
    features, truth, _, _ = digits
    order = np.random.default_rng(2).permutation(len(truth))
    own, new = order[:1300], order[1300:]
    classes, known = labelled(truth[own], 80, [4], 1)
    fitted = accord.fit(features[own], classes, np.ones(1300), len(known))
    graph = neighbor_weights(features[own], 10, 4.0)
    rows, votes = label_votes(classes, np.ones(1300), len(known))
    points = whitened(features[own], 0.5)[0]
    model = with_unlikeness(fitted, points, graph, rows, votes)
    np.testing.assert_array_equal(model.scores, fitted.scores)
    score = unlikeness_of_new(model, features[new], *model.links(features[new]))
    assert auroc(truth[new] == 4, score) > 0.9
    assert (score[truth[new] != 4] >= LIMIT).mean() < 0.1
    strange = unit(np.random.default_rng(0).normal(size=(50, 64)))
    assert (unlikeness_of_new(model, strange, *model.links(strange)) >= LIMIT).mean() > 0.9


def test_the_weight_of_labels_counts(digits):
    _, truth, points, graph = digits
    classes, known = labelled(truth, 80, [], 3)
    weights = np.ones(len(truth))
    weights[truth == 7] = 0  # labels without weight speak for nobody
    rows, votes = label_votes(classes, weights, len(known))
    score = unlikeness(points, graph, rows, votes)
    without = np.where(truth == 7, -1, classes)
    fewer, less = label_votes(without, np.ones(len(truth)), len(known))
    same = unlikeness(points, graph, fewer, less)
    rest = classes < 0
    assert np.corrcoef(score[rest], same[rest])[0, 1] > 0.99
    assert np.median(score[rest & (truth == 7)]) > np.median(score[rest & (truth != 7)]) + 0.3


def test_identical_features_and_a_graph_in_pieces():
    same = np.tile(unit(np.ones((1, 6))), (40, 1))
    classes = np.full(40, -1)
    classes[:2] = [0, 1]
    rows, votes = label_votes(classes, np.ones(40), 2)
    score = unlikeness(np.zeros((40, 6), np.float32), neighbor_weights(same, 10, 4.0), rows, votes)
    assert np.isfinite(score).all()
    assert (score < LIMIT).all()
    apart = unit(np.repeat(np.eye(3), 15, axis=0) + 0.01)  # no link between the three
    classes = np.full(45, -1)
    classes[[0, 15]] = [0, 1]
    rows, votes = label_votes(classes, np.ones(45), 2)
    points = whitened(apart, 0.5)[0]
    score = unlikeness(points, neighbor_weights(apart, 10, 4.0), rows, votes)
    assert (score[30:] >= LIMIT).all()
    assert (score[:30] < LIMIT).all()


def test_a_model_keeps_what_it_knows(tmp_path, digits):
    features, truth, points, graph = digits
    classes, known = labelled(truth, 60, [2], 0)
    fitted = accord.fit(features, classes, np.ones(len(truth)), len(known), graph=graph)
    rows, votes = label_votes(classes, np.ones(len(truth)), len(known))
    model = with_unlikeness(fitted, points, graph, rows, votes)
    names = [str(one) for one in known]
    save_model(tmp_path / "model.npz", model, names)
    again, _ = load_model(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.unlike, model.unlike)
    save_model(tmp_path / "model.npz", fitted, names)  # of an older version
    old, _ = load_model(tmp_path / "model.npz")
    assert np.isnan(unlikeness_of_new(old, features[:3], *old.links(features[:3]))).all()
    assert isinstance(nearest_mean.fit(features, classes, np.ones(len(truth)), 9), LinearModel)


@pytest.mark.parametrize("method", ["label_spreading", "poisson", "accord", "transclip"])
def test_predictions_tell_it(run, method, one_thread, capsys, tmp_path):
    assert method in FROZEN.names()
    done = train(run, method=method)
    found = read_predictions(done.path)
    train_rows = (found.subsets == "train") & found.own
    assert np.isfinite(found.unlike[found.own]).all()
    assert np.isnan(found.unlike[~found.own]).all()
    assert done.info["training"]["unlike"] == int((found.unlike >= LIMIT).sum())
    assert (found.unlike[train_rows] < LIMIT).mean() > 0.8
    with open(done.path / "predictions.csv", newline="") as handle:
        rows = {row["image_id"]: row for row in csv.DictReader(handle)}
    for name, score, own in zip(found.ids, found.unlike, found.own, strict=True):
        assert rows[name]["unlike"] == ("" if not own else str(round(score, 4)).removesuffix(".0"))


def test_a_method_without_neighbours_leaves_it_open(run, tmp_path):
    done = train(run, method="nearest_mean")
    assert np.isnan(read_predictions(done.path).unlike).all()
    assert done.info["training"]["unlike"] is None


def test_pictures_of_something_else_are_like_no_class(run, tmp_path, capsys):
    from PIL import Image

    train(run, method="accord")
    rng = np.random.default_rng(1)
    (tmp_path / "other").mkdir()
    for number in range(6):
        noise = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "other" / f"{number}.png")
    out = tmp_path / "told.csv"
    found = predict(run.path, tmp_path / "other", out=out)
    assert (found.unlike >= LIMIT).all()
    capsys.readouterr()
    arguments = ["predict", str(run.path), str(tmp_path / "other"), "--out", str(out)]
    assert main([*arguments, "--overwrite"]) == 0
    assert "6 images are like no class that has a label" in capsys.readouterr().err


def test_training_says_how_many(tmp_path, digits, capsys):
    features, truth, _, _ = digits
    ids = np.array([f"{row:04d}" for row in range(len(truth))])
    np.savez(tmp_path / "digits.npz", features=features, ids=ids)
    run = start_run(tmp_path / "digits.npz", 60, tmp_path / "run", method="kmeans")
    split = run.split()
    rows = [row for row in split.requested().tolist() if truth[int(split.ids[row])] != 3]
    rewrite(split.with_labels(rows, [str(truth[int(split.ids[row])]) for row in rows]))
    assert main(["train", str(run.path), "--method", "accord"]) == 0
    told = capsys.readouterr().err
    found = read_predictions(run.path)
    flagged = found.unlike >= LIMIT
    assert f"{flagged.sum()} images are like no class that has a label" in told
    really = truth[found.ids.astype(int)]
    assert (really[flagged] == 3).mean() > 0.6
    assert flagged[really == 3].mean() > 0.5
