"""REFINE: what many strategies ask for, again and again, and UHerding among the last of it.

REFINE (CVPR 2026): an ensemble thins the pool before one strategy asks. In each of five rounds
every strategy of the ensemble asks eleven times, each time out of a random 40% of the present
pool; whatever any of them asks for is the next pool. UHerding picks from the last one.

Which nine strategies are in the ensemble is our choice: it is what this package has of those that
the field compares. BAIT takes its binary Fisher information there, for its speed.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Fit, Query
from usl.active.shared.asked_within import asked_within
from usl.active.shared.head import check_two_classes
from usl.active.shared.temperature import calibrated_temperature
from usl.active.strategies import uherding
from usl.core.parameters import Between, NotNegative, Positive
from usl.core.progress import Progress
from usl.numeric.arrays import Float32, Rows
from usl.numeric.table import as_table

NAME = "REFINE"
NEEDS_MODEL = True
DRAWN = "draws parts of the pool"
ENSEMBLE: dict[str, dict[str, Any]] = {  # strategies, and selection methods, with their parameters
    "margin": {},
    "badge": {},
    "bait": {"fisher": "binary"},
    "dropquery": {},
    "alfamix": {},
    "uherding": {},
    "maxherding": {},
    "typiclust": {},
    "coreset": {},
}


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
    fit: Fit,
    rounds: Annotated[int, NotNegative] = 5,
    batches: Annotated[int, Positive] = 11,
    share: Annotated[float, Between(0, 1, above=True)] = 0.4,
) -> Query:
    """Thin the pool, then ask as ``uherding`` does; its figures, reasons and parameters.

    A strategy of the ensemble sees the labels and its part of the pool, and nothing else. The last
    step weighs all rows, as UHerding does.

    Parameters
    ----------
    rounds : of thinning.
    batches : of every strategy in a round.
    share : of the pool that a batch is picked from; never below the budget.
    """
    table = as_table(features)
    check_two_classes(classes, "refine")  # whose ensemble has heads
    rng = np.random.default_rng(seed)
    h = uherding.least_distance(table, labeled)
    temperature = calibrated_temperature(table, labeled, classes, fit, seed)
    adapted: dict[str, Any] = {"h": h, "temperature": temperature}
    pool, done, total = candidates, 0, rounds * batches * len(ENSEMBLE)
    for _ in range(rounds):
        size = min(len(pool), max(budget, int(share * len(pool))))
        asked: list[Rows] = []
        for name, own in ENSEMBLE.items():
            params = {**own, **adapted, "fit": fit} if name == "uherding" else own
            for _ in range(batches):
                part = np.sort(rng.choice(pool, size, replace=False, shuffle=False))
                drawn = int(rng.integers(1 << 31))
                asked.append(
                    asked_within(
                        table, budget, labeled, classes, predictions, part, name, drawn, params
                    )
                )
                done += 1
                progress(done, total, "ensemble")
        pool = np.unique(np.concatenate(asked))
    found = uherding.query(
        features,
        budget,
        labeled=labeled,
        classes=classes,
        predictions=predictions,
        candidates=pool,
        seed=seed,
        progress=progress,
        fit=fit,
        **adapted,
    )
    used = {"rounds": rounds, "batches": batches, "share": share, "left": len(pool)}
    return Query(found.indices, found.reasons, found.figures, {**used, **found.parameters})
