"""Explanations: labels' shares sum to the score, and the label that counts most matters most."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.datasets import load_digits

import usl
from support import unit
from usl.cli.app import main
from usl.core.errors import DataError, UsageError
from usl.numeric.neighbor_graph import neighbor_weights
from usl.training.beyond import points_of
from usl.training.contract import FROZEN
from usl.training.explain import contributions, neighbours, shares_of
from usl.training.labels import Labels
from usl.training.train import train


@pytest.fixture(scope="module")
def digits():
    """600 digits: features, truth, graph and labels of 60 of them."""
    found = load_digits()
    features = unit(found.data - found.data.mean(axis=0))[:600]
    truth = found.target[:600]
    rows = np.random.default_rng(0).choice(600, 60, replace=False)
    classes = np.full(600, -1)
    classes[rows] = truth[rows]
    names = [str(number) for number in range(10)]
    labels = Labels(names, classes, np.ones(600), classes >= 0)
    return features, truth, neighbor_weights(features, 10, 4.0), labels


def fitted(method, features, labels, graph):
    more = {"graph": graph} if method in ("accord", "label_spreading") else {}
    return FROZEN.load(method).fit(features, labels.classes, labels.weights, 10, **more)


def split(model, features, labels, row, number):
    return contributions(
        model, features, points_of(model, features), np.ones(600, bool), labels, row, number
    )


def test_shares_sum_to_the_logit_of_the_class(digits, one_thread):
    features, _, graph, labels = digits
    model = fitted("accord", features, labels, graph)
    points = points_of(model, features)
    for row in np.flatnonzero(labels.classes < 0)[:12].tolist():
        near, shares = neighbours(model, features[row : row + 1], row)
        assert row not in near
        for number in range(10):
            rows, direction, over_graph = split(model, features, labels, row, number)
            assert (labels.classes[rows] == number).all()
            by_direction = float(points[row] @ model.weight[number])
            vote = model.graph * float(shares @ model.scores[near, number])
            assert direction.sum() == pytest.approx(by_direction, abs=0.02)
            assert over_graph.sum() == pytest.approx(vote, abs=1e-6)
            assert (over_graph >= 0).all()


@pytest.mark.parametrize("method", ["label_spreading", "poisson", "nearest_mean", "paws"])
def test_of_other_methods_they_sum_to_a_probability(digits, method, one_thread):
    features, _, graph, labels = digits
    model = fitted(method, features, labels, graph)
    row = int(np.flatnonzero(labels.classes < 0)[5])
    total = sum(
        float(part.sum())
        for number in range(10)
        for part in split(model, features, labels, row, number)[1:]
    )
    assert total == pytest.approx(1, abs=1e-6)


def test_without_the_label_that_counts_most_the_score_moves_most(digits, one_thread):
    """Against the label that counts least; every time the method learns anew without it."""
    features, _, graph, labels = digits
    model = fitted("accord", features, labels, graph)
    guess = model.scores.argmax(axis=1)

    def score(row, number, without):
        classes = labels.classes.copy()
        classes[without] = -1
        again = fitted("accord", features, Labels(labels.names, classes, labels.weights,
                                                  classes >= 0), graph)  # fmt: skip
        near, shares = neighbours(again, features[row : row + 1], row)
        point = points_of(again, features)[row]
        vote = again.graph * float(shares @ again.scores[near, number])
        return float(point @ again.weight[number]) + vote

    moved = []
    rng = np.random.default_rng(3)
    for row in rng.choice(np.flatnonzero(labels.classes < 0), 24, replace=False).tolist():
        number = int(guess[row])
        rows, direction, over_graph = split(model, features, labels, row, number)
        order = np.argsort(direction + over_graph)
        before = score(row, number, [])
        moved.append([before - score(row, number, [rows[order[place]]]) for place in (-1, 0)])
    top, lowest = np.array(moved).T
    assert (np.abs(top) > np.abs(lowest)).mean() >= 0.75
    assert top.mean() > 2 * abs(lowest.mean())


def test_a_label_speaks_for_itself():
    points = unit(np.random.default_rng(0).normal(size=(6, 3)))
    shares = shares_of(points, np.array([4, 1, 5]), np.array([1, 5]), 3.0)
    np.testing.assert_allclose(shares[1:], np.eye(2))
    odds = np.exp(3 * points[4] @ points[[1, 5]].T)
    np.testing.assert_allclose(shares[0], odds / odds.sum(), rtol=1e-5)


@pytest.mark.parametrize("method", ["accord", "label_spreading", "nearest_mean", "logistic"])
def test_from_python_and_the_command_line(run, method, capsys):
    done = train(run, method=method)
    name = "train/red/02.png" if "train/red/02.png" in done.split().ids else done.split().ids[7]
    found = usl.explain(run.path, str(name))
    assert found.label == str(name).split("/")[-2]
    assert 0 < found.confidence <= 1
    assert found.other.label != found.label
    for evidence in (found.found, found.other):
        assert evidence.score == pytest.approx(sum(one.total for one in evidence.credits))
        assert all(f"/{evidence.label}/" in one.image_id for one in evidence.credits)
        totals = [one.total for one in evidence.credits]
        assert totals == sorted(totals, reverse=True)
    capsys.readouterr()
    assert main(["explain", str(run.path), str(name)]) == 0
    told = capsys.readouterr().out
    assert f"{name}: {found.label} (" in told
    assert found.found.credits[0].image_id in told
    assert main(["explain", str(run.path), str(name), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["found"]["label"] == found.label


def test_what_cannot_be_explained(run):
    with pytest.raises(DataError, match="not trained yet"):
        usl.explain(run.path, "x.png")
    done = train(run, method="accord")
    with pytest.raises(UsageError, match=r"image_id: .* has no image 'x.png'"):
        usl.explain(run.path, "x.png")
    text = (run.path / "split.csv").read_text()
    lines = text.splitlines()
    place = next(n for n, line in enumerate(lines) if ",green," in line)
    lines[place] = lines[place].replace(",green,", ",red,")
    (run.path / "split.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=r"the labels have changed since the training\. Train aga"):
        usl.explain(run.path, str(done.split().ids[0]))
