"""Second opinions: labels that were flipped come first, and figures are those of the definition."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet
import pytest
from sklearn.datasets import load_digits

from support import unit
from usl.cli.app import main
from usl.numeric.neighbor_graph import neighbor_weights
from usl.run.predictions import read_predictions, suspicious_rows
from usl.run.split_csv import rewrite
from usl.selection.start_run import start_run
from usl.training.contract import FROZEN
from usl.training.second_opinions import STEPS, second_opinions
from usl.training.shared.prototypes import label_votes
from usl.training.shared.whitening import whitened
from usl.training.train import train


@pytest.fixture(scope="module")
def digits():
    """Features, truth, points and graph of the digits that come with scikit-learn."""
    found = load_digits()
    features = unit(found.data - found.data.mean(axis=0))
    return features, found.target, whitened(features, 0.5)[0], neighbor_weights(features, 10, 4.0)


def flipped(truth, count, seed, share=0.1):
    """Random labels of which a share is wrong: ``classes`` [n], and the wrong rows."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(len(truth), count, replace=False)
    wrong = rows[: round(share * count)]
    classes = np.full(len(truth), -1)
    classes[rows] = truth[rows]
    classes[wrong] = (truth[wrong] + rng.integers(1, 10, len(wrong))) % 10
    return classes, wrong


@pytest.mark.parametrize("count", [60, 100, 200])
def test_flipped_labels_come_first(digits, count, one_thread):
    """Of 10% flipped labels at least half are among the first 15%; by chance 15% would be."""
    _, truth, points, graph = digits
    for with_graph in (graph, None):
        caught = []
        for seed in range(5):
            classes, wrong = flipped(truth, count, seed)
            rows, votes = label_votes(classes, np.ones(len(truth)), 10)
            support = second_opinions(points, with_graph, rows, votes).support
            first = rows[np.argsort(np.nan_to_num(support, nan=2))[: round(0.15 * count)]]
            caught.append(np.isin(wrong, first).mean())
        assert min(caught) >= 0.5
        assert np.mean(caught) >= 0.75


def test_they_are_those_of_the_definition():
    """Each label left out, class means of the others, a softmax of cosines; in plain loops."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 50)
    points = unit(np.eye(6)[truth] + 0.5 * rng.normal(size=(50, 6)))
    graph = neighbor_weights(points, 4, 2.0)
    weights = rng.uniform(0.2, 1, 50)
    classes = np.where(np.arange(50) < 12, truth, -1)
    rows, votes = label_votes(classes, weights, 3)
    found = second_opinions(points, graph, rows, votes)
    dense = graph.toarray()
    walk = 0.5 * (np.eye(50) + dense / dense.sum(axis=1, keepdims=True))
    seen = np.linalg.matrix_power(walk, STEPS) @ points.astype(np.float64)
    seen /= np.linalg.norm(seen, axis=1, keepdims=True)
    cosines = np.empty((12, 3))
    for i in range(12):
        for c in range(3):
            others = [j for j in range(12) if j != i and truth[j] == c]
            mean = sum(weights[j] * seen[j] for j in others)
            cosines[i, c] = seen[i] @ mean / np.linalg.norm(mean)
    np.testing.assert_array_equal(found.classes, cosines.argmax(axis=1))
    best = None
    for temperature in np.geomspace(0.05, 0.5, 2000):
        odds = np.exp(cosines / temperature)
        support = (odds / odds.sum(axis=1, keepdims=True))[np.arange(12), truth[:12]]
        if best is None or np.log(support).sum() > best[0]:
            best = np.log(support).sum(), support
    np.testing.assert_allclose(found.support, best[1], atol=0.01)


def test_the_only_label_of_a_class_cannot_be_judged():
    points = unit(np.random.default_rng(0).normal(size=(20, 4)))
    classes = np.full(20, -1)
    classes[:5] = [0, 0, 1, 1, 2]
    weights = np.ones(20)
    weights[3] = 0  # so that label 2 is the only one of its class that speaks
    rows, votes = label_votes(classes, weights, 3)
    found = second_opinions(points, None, rows, votes)
    assert np.isnan(found.support).tolist() == [False, False, True, False, True]
    assert found.classes[[2, 4]].tolist() == [-1, -1]
    single, ones = label_votes(np.where(np.arange(20) < 2, np.arange(20), -1), weights, 2)
    assert np.isnan(second_opinions(points, None, single, ones).support).all()


def test_contradicting_labels_of_one_picture_and_identical_features():
    points = np.zeros((10, 4), np.float32)
    classes = np.full(10, -1)
    classes[:4] = [0, 1, 0, 1]
    rows, votes = label_votes(classes, np.ones(10), 2)
    found = second_opinions(points, None, rows, votes)
    np.testing.assert_allclose(found.support, 0.5)


@pytest.mark.parametrize("method", ["accord", "label_spreading", "nearest_mean", "logistic"])
def test_a_training_tells_them(tmp_path, digits, method, capsys, one_thread):
    features, truth, _, _ = digits
    ids = np.array([f"{row:04d}" for row in range(len(truth))])
    np.savez(tmp_path / "digits.npz", features=features, ids=ids)
    run = start_run(tmp_path / "digits.npz", 80, tmp_path / "run", method="kmeans")
    split = run.split()
    rows = split.requested()
    labels = [str(truth[int(name)]) for name in split.ids[rows]]
    wrong = {str(split.ids[row]): str((int(labels[i]) + 5) % 10) for i, row in enumerate(rows[:8])}
    rewrite(split.with_labels(rows.tolist(), [*wrong.values(), *labels[8:]]))
    assert main(["train", str(run.path), "--method", method]) == 0
    told = capsys.readouterr().err
    found = read_predictions(run.path)
    order = found.ids[suspicious_rows(found)][:12].tolist()
    assert len(set(order) & set(wrong)) >= 6
    place = {name: row for row, name in enumerate(found.ids.tolist())}
    first = place[order[0]]
    assert found.suggestions[first] == str(truth[int(order[0])])
    assert found.support[first] < 0.05
    assert found.labels[first] == wrong[order[0]]
    assert "look wrong, judged by the others" in told
    assert f"usl label {run.path} --check" in told
    assert (found.suggestions[found.own] == None).all()  # noqa: E711
    assert np.isnan(found.support[found.own]).all()


def test_wrong_labels_cost_accord_no_more_than_the_class_means(digits, one_thread):
    """With 10% of the labels flipped; each draw has its own labels."""
    features, truth, _, graph = digits
    lost = {"accord": [], "nearest_mean": []}
    for seed in range(8):
        wrong, _ = flipped(truth, 100, seed)
        right = np.where(wrong >= 0, truth, -1)
        for name, falls in lost.items():
            method = FROZEN.load(name)
            more = {"graph": graph} if name == "accord" else {}
            good = [
                (
                    method.fit(features, given, np.ones(len(truth)), 10, **more)
                    .probabilities(features)
                    .argmax(axis=1)
                    == truth
                )[right < 0].mean()
                for given in (right, wrong)
            ]
            falls.append(good[0] - good[1])
    assert np.mean(lost["accord"]) <= np.mean(lost["nearest_mean"])


def test_older_tables_have_none(run):
    run = train(run, method="nearest_mean")
    found = read_predictions(run.path)
    assert np.isfinite(found.support[~found.own]).any()
    path = run.models()[0].path / "predictions.parquet"
    table = pyarrow.parquet.read_table(path)
    pyarrow.parquet.write_table(table.drop(["unlike", "suggestion", "support"]), path)
    old = read_predictions(run.path)
    assert old.labels.tolist() == found.labels.tolist()
    assert np.isnan(old.unlike).all()
    assert len(suspicious_rows(old)) == 0
