"""DropQuery: rows whose predicted class does not survive dropout of the features.

Gupte, Aklilu, Nirschl, Yeung-Levy: Revisiting Active Learning in the Era of Vision Foundation
Models (TMLR 2024). A linear head predicts each row from all its features, and three times more from
a random quarter of them. Rows that get another class in more than half of these passes are the
candidates; k-means divides them into as many clusters as rows are asked for, and the row nearest to
each centre is asked.

The head is a logistic regression on the labels, whatever learner the predictions come from: only
through a head of the features themselves can they drop out one by one.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Query
from usl.active.shared.central_rows import central_or_first
from usl.active.shared.doubt import two_likeliest
from usl.active.shared.dropped import Said, through_dropout
from usl.active.shared.head import logistic_head
from usl.core.parameters import Between, Positive
from usl.core.progress import Progress
from usl.numeric.arrays import Float32, Rows, Values
from usl.numeric.table import Table, as_table
from usl.training.models import LinearModel

NAME = "DropQuery"
NEEDS_MODEL = True
DRAWN = "draws the features that drop out"


def query(
    features: Float32,
    budget: int,
    *,
    labeled: NDArray[np.int64],
    classes: NDArray[np.int64],
    predictions: NDArray[np.float64],
    candidates: NDArray[np.int64],
    seed: int,
    progress: Progress,
    passes: Annotated[int, Positive] = 3,
    dropout: Annotated[float, Between(0, 1, above=True, below=True)] = 0.75,
) -> Query:
    """Ask for what stands in the middle of the rows that change their class.

    Where fewer rows than the budget change it in more than half of the passes, all of them are
    asked, then those that change it most often, of equal ones the smallest p1 - p2 of the head
    first; the authors' code fails there. The figure ``changes`` says in how many passes the class
    was another, ``margin`` is that p1 - p2.

    Parameters
    ----------
    passes : predictions with dropout.
    dropout : probability that a feature drops out in a pass.
    """
    table = as_table(features)
    head, numbers = logistic_head(table, labeled, classes, "dropquery")
    likely, margin, changes = unstable(table, candidates, head, seed, passes, dropout)
    order = np.lexsort((margin, -changes))
    often = 2 * changes > passes
    places = central_or_first(table, candidates, often, order, budget, seed, progress)
    reasons = tuple(
        f"{{{numbers[likely[place]]}}}, but another class in {changes[place]} of {passes} looks "
        "at a part of the features"
        for place in places.tolist()
    )
    figures = {"changes": changes[places].astype(np.float64), "margin": margin[places]}
    parameters = {"passes": passes, "dropout": dropout}
    return Query(candidates[places], reasons, figures, parameters)


def unstable(
    table: Table, rows: Rows, head: LinearModel, seed: int, passes: int, dropout: float
) -> tuple[Rows, Values, Rows]:
    """The head's class of each of ``rows``, its p1 - p2, and in how many passes it is another."""

    def figures(points: Float32, said: Said) -> tuple[NDArray[Any], ...]:
        likely, _, margin = two_likeliest(head.probabilities(points))
        changes = np.zeros(len(points), dtype=np.int64)
        for _ in range(passes):
            changes += said(points).argmax(axis=1) != likely
        return likely, margin, changes

    likely, margin, changes = through_dropout(table, rows, head, seed, dropout, figures)
    return likely, margin, changes
