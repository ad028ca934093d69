"""Doubts that are told after a training: near chance, and shares that no labels speak for."""

from __future__ import annotations

import numpy as np
import pytest

from usl.training.doubts import doubts_of

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
