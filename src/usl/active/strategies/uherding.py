"""UHerding: what most raises the coverage of the rows that the model is unsure of.

Bae, Oliveira, Sutherland: Uncertainty Herding: One Active Learning Method for All Label Budgets
(ICLR 2025). Greedy maximum of the mean over all rows x of U(x) max over s in S of k(x, s), where S
starts with the labelled rows, k(x, s) = exp(-(|x - s| / h)^2) and U = 1 - (p1 - p2), the margin of
softmax(logits / T). Two quantities adapt it to the number of labels:

- h, the least distance between two labelled rows: the more labels, the finer is what counts as
  covered. Until two labelled rows lie apart it is 1, as in MaxHerding;
- T, the temperature of least calibration error on a fifth of the labels, by the learner trained on
  the others: a model that is wrong about them is believed little, and U becomes flat.

While there are no predictions U is 1, and this is MaxHerding with that h.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Fit, Query
from usl.active.shared.doubt import between
from usl.active.shared.temperature import calibrated_temperature, two_likeliest_at
from usl.core.parameters import Positive
from usl.core.progress import Progress
from usl.core.words import counted
from usl.numeric.arrays import Float32, Rows, Values
from usl.numeric.distances import nearest
from usl.numeric.table import Table, as_table
from usl.selection.shared.herding import herd
from usl.selection.shared.sample import draw_pool

NAME = "UHerding"
DRAWN = "draws the labels that are held out"
ALONE = 1.0  # h while no two labelled rows lie apart


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
    fit: Fit,
    h: Annotated[float | None, Positive] = None,
    temperature: Annotated[float | None, Positive] = None,
    pool: Annotated[int, Positive] = 35_000,
) -> Query:
    """Ask for the candidate that most raises the goal, again and again.

    The figure ``covered`` is the gain of a row times n: so many rows, each counted by its U, become
    like a labelled one; ``margin`` is p1 - p2 at the temperature.

    Parameters
    ----------
    h : length scale of the kernel, in distances of unit rows; adapted by default.
    temperature : what logits are divided by; adapted by default.
    pool : most candidates considered, drawn by the seed; never below the budget. The goal is always
        averaged over all rows.
    """
    table = as_table(features)
    drawn = draw_pool(candidates, max(pool, budget), seed)
    h = least_distance(table, labeled) if h is None else h
    parameters = {"h": h, "pool": pool}
    if predictions is None:
        picks, raised = herd(table, budget, labeled, drawn, h, progress=progress)
        covered = raised * len(table)
        return Query(picks, _stands_for(covered, "image"), {"covered": covered}, parameters)
    if temperature is None:
        temperature = calibrated_temperature(table, labeled, classes, fit, seed)
    first, second, margin = two_likeliest_at(predictions, temperature)
    unsure = (1 - margin).astype(np.float32)
    picks, raised = herd(table, budget, labeled, drawn, h, weights=unsure, progress=progress)
    covered = raised * len(table)
    pairs = between(first[picks], second[picks])
    stands = _stands_for(covered, "unsure image")
    return Query(
        picks,
        tuple(f"{pair}, {many}" for pair, many in zip(pairs, stands, strict=True)),
        {"covered": covered, "margin": margin[picks]},
        {**parameters, "temperature": temperature},
    )


def least_distance(table: Table, labeled: Rows) -> float:
    """The least distance above 0 of two labelled rows; ``ALONE`` where there is none.

    Coinciding rows are one here: their distance of 0 would end all reach.
    """
    if len(labeled) == 0:
        return ALONE
    points = np.unique(table.take(labeled), axis=0)
    if len(points) == 1:
        return ALONE
    apart = nearest(points, points, 1, exclude_self=True)[1]
    apart = apart[apart > 0]
    return float(apart.min()) if len(apart) else ALONE


def _stands_for(covered: Values, what: str) -> tuple[str, ...]:
    """How many rows each pick covers that nothing covered before, itself among them."""
    return tuple(f"stands for {counted(max(1, round(one)), what)}" for one in covered.tolist())
