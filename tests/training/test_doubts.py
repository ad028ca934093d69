"""Doubts that are told after a training: near chance, and shares that no labels speak for."""

from __future__ import annotations

import numpy as np
import pytest

from usl.cli.app import main
from usl.core.errors import DataError, UslWarning
from usl.evaluation.evaluate import evaluate
from usl.report.report import write_report
from usl.run.model_changes import activate_model
from usl.training.doubts import doubts_of, known_doubts
from usl.training.models import MixtureModel, load_model, save_model
from usl.training.train import train

NAMES = ["basophil", "eosinophil", "monocyte", "platelet"]


def given(n, counts):
    classes = np.full(n, -1)
    classes[: sum(counts)] = np.repeat(np.arange(len(counts)), counts)
    return classes


def predicted(n, shares):
    return np.repeat(np.arange(len(shares)), [round(n * share) for share in shares])[:n]


def test_one_class_that_takes_nearly_everything():
    classes = given(1000, (10, 10, 10, 10))
    (told,) = doubts_of(predicted(1000, (0.0, 0.0, 0.98, 0.02)), classes, NAMES)
    assert "98%" in told
    assert "'monocyte'" in told
    assert "10 of 40" in told


@pytest.mark.parametrize("shares", [(0.25, 0.25, 0.25, 0.25), (0.55, 0.2, 0.15, 0.1)])
def test_shares_that_picks_of_prototypes_explain(shares):
    assert doubts_of(predicted(1000, shares), given(1000, (12, 10, 9, 9)), NAMES) == []


def test_a_class_as_frequent_as_its_labels():
    classes = given(1000, (37, 1, 1, 1))
    assert doubts_of(predicted(1000, (0.97, 0.01, 0.01, 0.01)), classes, NAMES) == []


def test_near_chance():
    classes, guess = given(100, (3, 3, 3, 3)), predicted(100, (0.25, 0.25, 0.25, 0.25))
    (told,) = doubts_of(guess, classes, NAMES, 0.27)
    assert "27% right, guessing 25%" in told
    assert doubts_of(guess, classes, NAMES, 0.6) == []
    assert doubts_of(guess, classes, NAMES, None) == []


def test_everything_labelled():
    assert doubts_of(np.arange(4), np.arange(4), NAMES) == []


def test_ninety_eight_percent_of_blood_cells_in_one_of_four_classes():
    """Eosinophils take nearly all of them, though a quarter of forty labels are theirs."""
    classes = given(5000, (10, 10, 10, 10))
    guess = predicted(5000, (0.015, 0.975, 0.005, 0.005))
    (told,) = doubts_of(guess, classes, NAMES)
    assert "98% of the images without a label are called 'eosinophil'" in told


def test_a_class_that_nearly_no_image_goes_to():
    classes = given(2000, (14, 13, 13, 0))
    told = doubts_of(predicted(2000, (0.5, 0.499, 0.001, 0.0)), classes, NAMES)
    (one,) = told
    assert "Hardly any of the 1,960 images" in one
    assert "'monocyte' (2 images, 13 of 40 labels)" in one
    # a rare class that diverse picks have found often is no doubt
    assert doubts_of(predicted(2000, (0.5, 0.48, 0.02, 0.0)), classes, NAMES) == []


def test_labels_that_do_not_find_each_other():
    classes, guess = given(100, (5, 5, 5, 5)), predicted(100, (0.25, 0.25, 0.25, 0.25))
    (told,) = doubts_of(guess, classes, NAMES, None, (5, 20))
    assert "5 of 20 are found by the others, and guessing finds 5" in told
    assert doubts_of(guess, classes, NAMES, None, (15, 20)) == []
    assert doubts_of(guess, classes, NAMES, None, (1, 4)) == []  # too few to tell
    assert doubts_of(guess, classes, NAMES, 0.9, (5, 20)) == []  # the method's own goes first


def test_later_verbs_tell_the_same_without_a_refit(run, capsys, monkeypatch):
    doubt = "98% of the images without a label are called 'red', but 3 of 6 labels are."
    monkeypatch.setattr("usl.training.train.doubts_of", lambda *_: [doubt])
    trained = train(run, method="nearest_mean")
    assert trained.info["training"]["doubts"] == [doubt]
    assert evaluate(run.path)["doubts"] == [doubt]
    assert main(["evaluate", str(run.path)]) == 0
    assert f"Note: {doubt}" in capsys.readouterr().err
    with pytest.warns(UslWarning, match="98% of the images"):
        page = write_report(run.path, points=0).read_text()
    assert "98% of the images without a label are called" in page
    monkeypatch.setattr("usl.training.train.doubts_of", lambda *_: [])
    other = train(run.path, method="logistic", use=True)
    assert other.info["training"]["doubts"] == []
    assert evaluate(run.path)["doubts"] == []
    kept = activate_model(other, "nearest_mean")
    assert kept.info["training"]["doubts"] == [doubt]


def test_a_run_that_was_trained_before_there_were_doubts():
    assert known_doubts(None) == known_doubts({"method": "label_spreading"}) == []


def test_a_training_keeps_its_estimate_and_its_doubts(run, capsys):
    trained = train(run, method="accord").info["training"]
    assert 0 < trained["estimate"] < 1
    assert trained["doubts"] == []
    assert main(["train", str(run.path), "--method", "accord"]) == 0
    assert "by its own estimate" in capsys.readouterr().out
    other = train(run, method="nearest_mean", use=True).info["training"]
    assert other["estimate"] is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"weight": np.ones((2, 5))},
        {"bias": np.ones(3)},
        {"center": np.ones(3, np.float32)},
        {"center": np.ones(4, np.float32), "projection": np.ones((4, 3), np.float32)},
        {"temperature": 0.0},
        {"estimate": float("nan")},
    ],
)
def test_a_mixture_whose_arrays_do_not_fit_is_refused(tmp_path, wrong):
    rows = np.eye(4, dtype=np.float32)
    sound = {"train": rows, "scores": np.full((4, 2), 0.5), "weight": np.ones((2, 4)),
             "bias": np.zeros(2)}  # fmt: skip
    save_model(tmp_path / "model.npz", MixtureModel(**sound), ["a", "b"])
    load_model(tmp_path / "model.npz")
    save_model(tmp_path / "model.npz", MixtureModel(**{**sound, **wrong}), ["a", "b"])
    with pytest.raises(DataError, match="not a model"):
        load_model(tmp_path / "model.npz")
