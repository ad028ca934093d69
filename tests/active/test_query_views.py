"""What usl.query hands over beside predictions: views, earlier predictions, the truth."""

from __future__ import annotations

import numpy as np
import pytest

import usl
from support import unit
from usl.active.contract import Truth
from usl.core.errors import DataError, UsageError
from usl.training.models import LinearModel, NeighborModel

TOLD = '''
import numpy as np
from usl.active.contract import Query

ORACLE = {oracle}

def query(features, budget, *, labeled, classes, predictions, candidates, seed, progress,
          views, previous{more}):
    """Put what it is handed where the test finds it."""
    seen = [] if views is None else list(views(2))
    told = {{"views": seen, "previous": previous, "predictions": predictions{also}}}
    return Query(candidates[:budget], parameters=told)
'''


@pytest.fixture(scope="module")
def known():
    """1,000 rows, which are more than a block, and labels of the classes 0 and 2 of three."""
    rng = np.random.default_rng(0)
    features = unit(rng.normal(size=(1000, 16)) + 2 * np.eye(16)[np.arange(1000) % 3])
    labeled = np.array([0, 2, 3, 5, 900, 902])
    return {"features": features, "labeled": labeled, "classes": labeled % 3, "seed": 4}


@pytest.fixture
def told(tmp_path):
    def method(*, oracle=False):
        path = tmp_path / f"told{oracle}.py"
        more = (", truth", ', "truth": truth') if oracle else ("", "")
        path.write_text(TOLD.format(oracle=oracle, more=more[0], also=more[1]))
        return str(path)

    return method


class Linear:
    """A learner whose model is given."""

    def __init__(self, model):
        self.model = model

    def update(self, classes, *, n_classes=None, seed=0):
        return self.model


def naive_views(features, seed, count):
    """Rows with a third of their features gone, block after block, of unit length."""
    for number in range(count):
        seen = []
        for first in range(0, len(features), 512):
            points = features[first : first + 512].astype(np.float64)
            drawn = np.random.default_rng([seed, number, first])
            points[drawn.random(points.shape, dtype=np.float32) < 0.33] = 0
            seen.append(points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12))
        yield np.concatenate(seen)


def test_views_are_rows_that_have_lost_features_and_what_the_model_says_of_them(
    known, told, monkeypatch
):
    rng = np.random.default_rng(1)
    weight, bias = 3 * rng.normal(size=(3, 16)), rng.normal(size=3)
    given = {**known, "method": told(), "learner": Linear(LinearModel(weight, bias))}
    found = usl.query(budget=1, **given).parameters
    for seen, points in zip(found["views"], naive_views(known["features"], 4, 2), strict=True):
        logits = np.exp(points @ weight.T + bias)
        np.testing.assert_allclose(seen, logits / logits.sum(axis=1, keepdims=True), atol=1e-5)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    again = usl.query(budget=1, **given).parameters["views"]
    assert [one.tobytes() for one in again] == [one.tobytes() for one in found["views"]]


def test_where_neighbours_vote_a_view_asks_its_row_and_the_neighbours_of_that(known, told):
    features = known["features"]
    scores = np.random.default_rng(2).dirichlet(np.ones(3), 1000)
    given = {**known, "method": told(), "learner": Linear(NeighborModel(features, scores, k=5))}
    seen = usl.query(budget=1, **given).parameters["views"][0]
    points = next(naive_views(features, 4, 1))
    for row in (0, 511, 512, 999):
        near = np.argsort(-(features @ features[row]), kind="stable")[:21]
        cosine = np.maximum(features[near].astype(np.float64) @ points[row], 0)
        best = np.argsort(-cosine)[:5]
        votes = cosine[best] ** 4 / (cosine[best] ** 4).sum()
        np.testing.assert_allclose(seen[row], votes @ scores[near[best]], atol=1e-5)


def test_views_have_a_column_for_every_class_that_predictions_have(known, told):
    predictions = np.full((1000, 5), 0.2)
    found = usl.query(budget=1, predictions=predictions, method=told(), **known).parameters
    assert [one.shape for one in found["views"]] == [(1000, 5)] * 2
    assert found["views"][0].argmax(axis=1).max() == 2
    assert found["previous"] is None


def test_views_and_earlier_predictions_may_be_given(known, told):
    rng = np.random.default_rng(3)
    one, other, now, before = rng.dirichlet(np.ones(3), (4, 1000))
    given = {**known, "method": told(), "predictions": now, "budget": 1}
    found = usl.query(views=lambda count: iter([one, other, now]), previous=before, **given)
    np.testing.assert_array_equal(found.parameters["views"], [one, other])
    np.testing.assert_array_equal(found.parameters["previous"], before)
    with pytest.raises(DataError, match=r"previous: \(1000, 2\) given; .* \(1000, 3\), is needed"):
        usl.query(previous=before[:, :2], **given)
    with pytest.raises(DataError, match="previous: row 0 does not sum to 1"):
        usl.query(previous=2 * before, **given)
    with pytest.raises(DataError, match=r"views: number 1: \(4, 3\) given"):
        usl.query(views=lambda count: iter([one, other[:4]]), **given)
    with pytest.raises(DataError, match="views: 2 were asked for, but 1 given"):
        usl.query(views=lambda count: iter([one]), **given)


def test_without_a_model_there_are_neither_views_nor_earlier_predictions(known, told):
    one_class = {**known, "classes": np.zeros(6, dtype=int)}
    before = np.full((1000, 2), 0.5)
    found = usl.query(budget=1, previous=before, method=told(), **one_class).parameters
    assert found == {"views": [], "previous": None, "predictions": None}


def test_only_a_marked_oracle_gets_the_truth_and_it_cannot_do_without(known, told):
    truth = Truth(np.arange(1000) % 3, lambda rows: 0.5)
    found = usl.query(budget=1, truth=truth, method=told(oracle=True), **known)
    assert found.parameters["truth"] is truth
    path = told(oracle=True)
    with open(path) as file:
        text = file.read()
    with open(path, "w") as file:
        file.write(text.replace("ORACLE = True", "ORACLE = False"))
    assert usl.query(budget=1, truth=truth, method=path, **known).parameters["truth"] is None
    with pytest.raises(UsageError, match="reads the answers of all images"):
        usl.query(budget=1, method=told(oracle=True), **known)
