"""DCoM: dense and uncovered at first, doubtful as soon as the labels cover most of the rows.

Mishal, Weinshall: DCoM: Active Learning for All Learners (TMLR 2025). Around each label lies a ball
with a radius of its own, as large as leaves enough of the rows in it predicted to be of the label's
class. The share of all rows in these balls, the coverage, tells how competent the model is::

    c = (1 + exp(-k (1 - a))) / (1 + exp(-k (coverage - a)))

Asked is, again and again, the row of the largest c doubt + (1 - c) density. Doubt is 1 - (p1 - p2);
density counts the rows within the mean radius that nothing covers yet, picks and their balls of
that radius included. Both are scaled to reach from 0 to 1.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Query
from usl.active.shared.doubt import between, two_likeliest
from usl.core.parameters import Between, Positive
from usl.core.progress import Progress
from usl.numeric.arrays import TINY, Float32, Rows, Values
from usl.numeric.blocks import map_blocks, rows_per_block
from usl.numeric.distances import squared_distances
from usl.numeric.table import Table, as_table
from usl.selection.methods import probcover
from usl.selection.shared.balls import degrees

NAME = "DCoM"
LARGEST = 1.1  # radius of a label's ball
RESOLUTION = 0.05  # of the search for it
COVERING = "covers what no label covers yet"


def query(
    features: Float32,
    budget: int,
    *,
    labeled: NDArray[np.int64],
    classes: NDArray[np.int64],
    predictions: NDArray[np.float64] | None,
    candidates: NDArray[np.int64],
    seed: int,
    progress: Progress,
    delta: Annotated[float, Positive] = 0.75,
    center: Annotated[float, Between(0, 1)] = 0.8,
    steepness: Annotated[float, Positive] = 50.0,
) -> Query:
    """Ask by coverage and doubt; of equally worthy rows the more doubtful first.

    The authors' code keeps the radius of a label from the round in which it came; here those of all
    labels follow the present model, since a strategy has no memory. Without predictions it is
    ``probcover`` with ``delta``. The figures are the ``density``, in rows, and the ``margin``.

    Parameters
    ----------
    delta : radius of all balls before the model is asked (authors: 0.75 for CIFAR-10).
    center, steepness : a and k of the competence (authors' code: 0.8 and 50).
    """
    table = as_table(features)
    parameters = {"delta": delta, "center": center, "steepness": steepness}
    if predictions is None:
        given = {"labeled": labeled, "candidates": candidates, "seed": seed, "progress": progress}
        found = probcover.pick(features, budget, delta=delta, **given)  # type: ignore[arg-type]
        return Query(found.indices, (COVERING,) * budget, {}, parameters)
    first, second, margin = two_likeliest(predictions)
    radii, covered = balls(table, labeled, classes, first, delta)
    competence = competence_at(float(covered.mean()), center, steepness)
    radius = float(radii.mean()) if len(radii) else delta
    doubt = 1 - margin[candidates]
    doubt = (doubt - doubt.min()) / max(float(np.ptp(doubt)), TINY)
    reach = table.farthest(np.empty(0, np.int64))
    density = degrees(table, candidates, np.flatnonzero(~covered), radius**2, progress)
    free = np.ones(len(candidates), dtype=bool)
    picks: list[int] = []
    dense: list[int] = []
    while len(picks) < budget:
        most = max(int(density[free].max()), 1)
        worth = competence * doubt + (1 - competence) * density / most
        equal = np.flatnonzero(free & (worth == worth[free].max()))
        place = int(equal[doubt[equal].argmax()])
        free[place] = False
        picks.append(int(candidates[place]))
        dense.append(int(density[place]))
        reach.add(picks[-1])
        new = np.flatnonzero(~covered & (reach.squared < radius**2))
        covered[new] = True
        progress(len(picks), budget, "picks")
        if len(picks) < budget and len(new):
            density -= degrees(table, candidates, new, radius**2)
    figures = {"density": np.array(dense, dtype=np.float64), "margin": margin[picks]}
    told = {**parameters, "radius": radius, "competence": competence}
    return Query(np.array(picks), between(first[picks], second[picks]), figures, told)


def competence_at(coverage: float, center: float, steepness: float) -> float:
    """C of the module's formula: 1 where all is covered."""
    most = 1 + np.exp(-steepness * (1 - center))
    return float(most / (1 + np.exp(-steepness * (coverage - center))))


def balls(
    table: Table, labeled: Rows, classes: Rows, predicted: Rows, delta: float
) -> tuple[Values, NDArray[np.bool_]]:
    """The radius of each label's ball, float64 [L], and which rows are in any, bool [n].

    A ball is as large as leaves a share of 0.4 + 0.2 coverage of its rows predicted to be of the
    label's class; coverage is that by balls of ``delta``.
    """
    before = float((table.farthest(labeled).squared < delta**2).mean())
    least = 0.4 + 0.2 * before
    points = table.take(None)

    def block(start: int, stop: int) -> tuple[Values, NDArray[np.bool_]]:
        away = np.sqrt(squared_distances(points[labeled[start:stop]], points))
        same = predicted == classes[start:stop, None]
        radii = np.array([pure_radius(*one, least) for one in zip(away, same, strict=True)])
        return radii, np.any(away < radii[:, None], axis=0)

    covered = np.zeros(len(points), dtype=bool)
    found: list[Values] = []
    for radii, inside in map_blocks(block, len(labeled), rows_per_block(6 * len(points))):
        found.append(radii)
        covered |= inside
    return np.concatenate(found) if found else np.empty(0), covered


def pure_radius(away: Float32, same: NDArray[np.bool_], least: float) -> float:
    """By bisection up to ``LARGEST``, the radius at which the share of ``same`` falls to ``least``.

    Parameters
    ----------
    away : float32 [n], distances from the label, its own 0 included; ``same`` [n] which rows are
        predicted to be of its class.
    """
    low, high = 0.0, LARGEST
    while high - low > RESOLUTION:
        middle = (low + high) / 2
        inside = same[away < middle]
        low, high = (middle, high) if inside.mean() >= least else (low, middle)
    return (low + high) / 2
