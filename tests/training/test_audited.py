"""A new model and the active one on the images that people have audited."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from scipy.stats import binomtest

import usl
from support import clumps
from usl.core.errors import UslWarning
from usl.labeling.answers.entries import Answer
from usl.labeling.answers.rounds import draw_audit
from usl.labeling.answers.store import Store
from usl.training.audited import by_chance

LETTERS = "abc"


@pytest.mark.parametrize(("won", "lost"), [(0, 0), (1, 0), (0, 3), (5, 0), (9, 2), (40, 31)])
def test_the_sign_test_against_scipy(won, lost):
    n = won + lost
    expected = 1.0 if n == 0 else binomtest(won, n, 0.5, alternative="greater").pvalue
    assert by_chance(won, lost) == pytest.approx(expected, rel=1e-12)


def truth_of(features):
    return [LETTERS[number] for number in features[:, :3].argmax(axis=1)]


def label(run, names):
    """Give every requested or labelled row the label that ``names`` has for its image."""
    path = run.path / "split.csv"
    with open(path, newline="") as handle:
        rows = list(csv.DictReader(handle))
    for row in rows:
        if row["state"] != "unlabeled":
            row["label"] = names[row["image_id"]]
    with open(path, "w", newline="") as handle:
        writer = csv.DictWriter(handle, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def audited(tmp_path):
    """A run whose active model was trained on labels that were wrong, and has been audited."""
    features = clumps(3, 8, 0.3, n=120)
    np.save(tmp_path / "points.npy", features)
    run = usl.start_run(tmp_path / "points.npy", 12, tmp_path / "run", method="coreset")
    truth = dict(zip(run.collection().ids.tolist(), truth_of(features), strict=True))
    label(run, {name: {"a": "b", "b": "a", "c": "c"}[word] for name, word in truth.items()})
    run = usl.train(run, method="nearest_mean")
    label(run, truth)
    with Store.open(run.path) as store:
        drawn = draw_audit(run, store, 30)
        store.add([Answer(name, "label", truth[name], round=drawn.name) for name in drawn.images])
    return run


def test_the_model_that_the_audit_finds_better_is_active_and_the_other_one_kept(audited):
    run = usl.train(audited, method="logistic")
    assert [(one.name, one.active) for one in run.models()] == [
        ("logistic", True),
        ("nearest_mean", False),
    ]
    audit = run.info["training"]["audit"]
    assert audit["judged"] == 30
    assert audit["right"] == 30
    assert audit["right_before"] < 20
    assert audit["better"]


def test_one_that_it_finds_no_better_is_kept_beside(audited):
    run = usl.train(audited, method="logistic")
    with pytest.warns(UslWarning, match="'label_spreading' is kept"):
        run = usl.train(run, method="label_spreading")
    made = run.models()[1]
    assert made.name == "label_spreading"
    assert made.info["audit"]["better"] is False
    assert made.info["audit"]["right_before"] == 30


def test_without_an_audit_nothing_is_compared(audited):
    (audited.path / "labels.sqlite").unlink()
    with pytest.warns(UslWarning, match="'logistic' is kept"):
        run = usl.train(audited, method="logistic")
    assert "audit" not in run.models()[1].info
