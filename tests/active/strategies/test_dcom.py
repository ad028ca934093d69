"""DCoM against its formulas, with the balls and their graph written out."""

from __future__ import annotations

import numpy as np
import pytest

import usl
from usl.active.strategies.dcom import balls, competence_at
from usl.numeric.table import as_table


def distances(rows):
    return np.sqrt(((rows[:, None].astype(np.float64) - rows[None]) ** 2).sum(axis=2))


def naive_balls(pool, delta):
    """Radii by bisection, on the table of all distances, and which rows are covered."""
    away = distances(pool.features)
    said = pool.predictions.argmax(axis=1)
    near = away[pool.labeled]
    threshold = 0.2 * (near < delta).any(axis=0).mean() + 0.4
    radii = []
    for row, label in zip(pool.labeled, pool.classes, strict=True):
        low, high = 0.0, 1.1
        while high - low > 0.05:
            middle = (low + high) / 2
            ball = [said[other] == label for other in range(60) if away[row, other] < middle]
            if sum(ball) / len(ball) >= threshold:
                low = middle
            else:
                high = middle
        radii.append((low + high) / 2)
    return np.array(radii), (near < np.array(radii)[:, None]).any(axis=0)


@pytest.mark.parametrize("delta", [0.3, 0.75])
def test_the_balls_of_labels_are_as_large_as_they_are_pure(pool, delta):
    said = pool.predictions.argmax(axis=1)
    radii, covered = balls(as_table(pool.features), pool.labeled, pool.classes, said, delta)
    expected, inside = naive_balls(pool, delta)
    np.testing.assert_allclose(radii, expected)
    assert covered.tolist() == inside.tolist()
    assert len(set(radii.tolist())) > 2


@pytest.mark.parametrize("center", [0.0, 0.3, 1.0])
def test_it_asks_for_density_and_doubt_by_what_is_covered(pool, center):
    away = distances(pool.features)
    radii, covered = naive_balls(pool, 0.75)
    competence = (1 + np.exp(-10 * (1 - center))) / (1 + np.exp(-10 * (covered.mean() - center)))
    ordered = np.sort(pool.predictions[pool.candidates], axis=1)
    doubt = 1 - (ordered[:, -1] - ordered[:, -2])
    doubt = (doubt - doubt.min()) / (doubt.max() - doubt.min())
    covered, radius, expected = covered.copy(), radii.mean(), []
    for _ in range(8):
        density = ((away[pool.candidates] < radius) & ~covered).sum(axis=1)
        free = [p for p in range(49) if pool.candidates[p] not in expected]
        most = max(1, max(density[free]))
        worth = {p: competence * doubt[p] + (1 - competence) * density[p] / most for p in free}
        row = int(pool.candidates[max(worth, key=lambda p: worth[p])])
        expected.append(row)
        covered |= away[row] < radius
    found = usl.query(
        pool.features,
        8,
        method="dcom",
        labeled=pool.labeled,
        classes=pool.classes,
        predictions=pool.predictions,
        candidates=pool.candidates,
        center=center,
        steepness=10.0,
    )
    assert found.indices.tolist() == expected
    assert abs(found.parameters["competence"] - competence) < 1e-9


def test_it_is_competent_where_all_is_covered_and_not_where_nothing_is():
    assert competence_at(1.0, 0.8, 50) == 1
    assert competence_at(0.0, 0.8, 50) < 1e-10
    assert abs(competence_at(0.8, 0.8, 50) - 0.5 * (1 + np.exp(-10))) < 1e-12


def test_without_predictions_it_covers_as_probcover_does(pool):
    given = {"labeled": pool.labeled, "candidates": pool.candidates}
    found = usl.query(
        pool.features, 5, method="dcom", classes=np.zeros(8, dtype=int), delta=0.5, **given
    )
    expected = usl.select(pool.features, 5, method="probcover", delta=0.5, **given)
    assert found.indices.tolist() == expected.indices.tolist()
