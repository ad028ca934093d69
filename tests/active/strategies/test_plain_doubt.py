"""Margin, entropy and least confidence against their formulas, sorted."""

from __future__ import annotations

import numpy as np
import pytest

import usl

FORMULAS = {
    "margin": lambda p: sorted(p)[-1] - sorted(p)[-2],
    "entropy": lambda p: -sum(one * np.log(one) for one in p if one > 0),
    "confidence": max,
}


@pytest.mark.parametrize("method", FORMULAS)
def test_the_rows_of_most_doubt_come_first(pool, method):
    predictions = pool.predictions.copy()
    predictions[pool.candidates[:2]] = np.eye(4)[:2]  # zeros and ones
    predictions[pool.candidates[2:4]] = 0.25  # equal ones: the lower row first
    figure = {row: FORMULAS[method](predictions[row]) for row in pool.candidates.tolist()}
    sign = -1 if method == "entropy" else 1
    expected = sorted(figure, key=lambda row: (sign * round(figure[row], 12), row))
    count = len(pool.candidates)
    found = usl.query(
        pool.features,
        count,
        labeled=pool.labeled,
        classes=pool.classes,
        method=method,
        predictions=predictions,
        candidates=pool.candidates,
    )
    assert found.indices.tolist() == expected
    np.testing.assert_allclose(found.figures[method], [figure[row] for row in expected], atol=1e-12)


def test_reasons_say_between_which_classes_and_how_open(pool):
    predictions = np.full((60, 4), 0.25)
    predictions[20] = [0.0, 0.5, 0.1, 0.4]
    said = {
        method: usl.query(
            pool.features,
            1,
            labeled=pool.labeled,
            classes=pool.classes,
            method=method,
            predictions=predictions,
            candidates=[20],
        ).reasons
        for method in FORMULAS
    }
    assert said == {
        "margin": ("between {1} and {3}",),
        "entropy": ("as open as among 2.6 classes, likeliest {1}",),
        "confidence": ("likeliest {1}, with 50% only",),
    }
