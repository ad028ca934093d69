"""BoSS, an oracle: of many strategies' batches the one after which the learner is the most right.

Huseljic, Hahn, Herde, Rauch, Sick: BoSS: A Best-of-Strategies Selector as an Oracle for Deep Active
Learning (2025). A hundred batches, each by a strategy drawn at random out of a random part of the
candidates; the learner is trained on each of them with its true labels, and the one with the best
accuracy on test data is kept. It shows what better questions could still bring, and nobody can ask
them: it reads the answers, and the test data, too.

Two strategies of the ensemble read the true classes themselves: ``typiclass`` serves the class with
the fewest labels with the row nearest to the mean of its class, ``dropqueryclass`` does so among
the rows that DropQuery considers.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Query, Truth
from usl.active.shared.asked_within import asked_within
from usl.active.shared.head import check_two_classes, logistic_head
from usl.active.strategies.dropquery import unstable
from usl.core.parameters import Positive
from usl.core.progress import Progress
from usl.numeric.arrays import Float32, Rows
from usl.numeric.table import Table, as_table

NAME = "BoSS"
NEEDS_MODEL = True
ORACLE = True  # reads the answers; never a fair competitor
DRAWN = "draws parts of the pool"
BLIND: dict[str, dict[str, Any]] = {  # strategies that read no answers, with their parameters
    "random": {},
    "typiclust": {},
    "dropquery": {},
    "bait": {"fisher": "binary"},
    "margin": {},
    "badge": {},
    "coreset": {},
    "alfamix": {},
}
ENSEMBLE = (*BLIND, "typiclass", "dropqueryclass")
LEAST, MOST = 4, 5000  # size of a part: from so many budgets to so many rows
PASSES, DROPOUT = 3, 0.75  # of DropQuery


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
    truth: Truth,
    batches: Annotated[int, Positive] = 100,
) -> Query:
    """Ask for the best batch, of equal ones the first.

    Parameters
    ----------
    batches : that are tried, each with a training (authors: 100).
    """
    table = as_table(features)
    check_two_classes(classes, "boss")
    rng = np.random.default_rng(seed)
    most = min(len(candidates), MOST)
    least = min(LEAST * budget, most)
    best, accuracy, by = candidates[:budget], -1.0, ""
    for done in range(1, batches + 1):
        name = ENSEMBLE[rng.integers(len(ENSEMBLE))]
        size = max(budget, int(rng.integers(least, most + 1)))
        part = np.sort(rng.choice(candidates, size, replace=False, shuffle=False))
        drawn = int(rng.integers(1 << 31))
        if name in BLIND:
            params = BLIND[name]
            rows = asked_within(
                table, budget, labeled, classes, predictions, part, name, drawn, params
            )
        else:
            among = part
            if name == "dropqueryclass":
                among = doubted(table, budget, labeled, classes, part, drawn)
            rows = of_rare_classes(table, budget, labeled, among, truth.classes)
        found = truth.accuracy(rows)
        if found > accuracy:
            best, accuracy, by = rows, found, name
        progress(done, batches, "batches")
    told = {"batches": batches, "by": by, "accuracy": accuracy}
    return Query(best, (f"in the best of {batches} batches, by {by}",) * budget, {}, told)


def doubted(table: Table, budget: int, labeled: Rows, classes: Rows, part: Rows, seed: int) -> Rows:
    """The rows of ``part`` that DropQuery considers, filled up at random to the budget; sorted."""
    head, _ = logistic_head(table, labeled, classes, "boss")
    changes = unstable(table, part, head, seed, PASSES, DROPOUT)[2]
    often = 2 * changes > PASSES
    missing = max(0, budget - int(often.sum()))
    rest = np.random.default_rng(seed).choice(part[~often], missing, replace=False)
    return np.sort(np.concatenate([part[often], rest]))


def of_rare_classes(table: Table, budget: int, labeled: Rows, part: Rows, truth: Rows) -> Rows:
    """In turn one of the class with the fewest labels, of equal ones the lower number: the row
    of ``part`` nearest to the mean of those of its class that are left; int64 [budget].

    Parameters
    ----------
    truth : int64 [n], the true class of every row.
    """
    points, kinds = table.take(part).astype(np.float64), truth[part]
    counts = np.bincount(truth[labeled], minlength=truth.max() + 1)
    free = np.ones(len(part), dtype=bool)
    picks: list[int] = []
    while len(picks) < budget:
        left = np.unique(kinds[free])
        serve = left[counts[left].argmin()]
        own = np.flatnonzero(free & (kinds == serve))
        away = points[own] - points[own].mean(axis=0)
        place = int(own[np.einsum("ij,ij->i", away, away).argmin()])
        free[place] = False
        counts[serve] += 1
        picks.append(place)
    return np.asarray(part[picks])
