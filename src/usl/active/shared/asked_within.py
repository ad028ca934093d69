"""What a strategy asks for where it sees the labels and a part of the rows: for ensembles."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import STRATEGIES
from usl.core.progress import silent
from usl.numeric.arrays import Rows
from usl.numeric.lazy_table import taken
from usl.numeric.table import Table
from usl.selection.contract import METHODS


def asked_within(
    table: Table,
    budget: int,
    labeled: Rows,
    classes: Rows,
    predictions: NDArray[np.float64],
    part: Rows,
    name: str,
    seed: int,
    params: dict[str, Any],
) -> Rows:
    """The rows that a strategy, or a selection method, asks for out of ``part``; int64 [budget]."""
    rows = np.union1d(labeled, part)
    given: dict[str, Any] = {
        "labeled": np.searchsorted(rows, labeled),
        "candidates": np.searchsorted(rows, part),
        "seed": seed,
        "progress": silent,
        **params,
    }
    points = table.take(rows)
    if name in METHODS.built_in():
        found = METHODS.load(name).pick(points, budget, **given)
    else:
        given |= {"classes": classes, "predictions": taken(predictions, rows)}
        found = STRATEGIES.load(name).query(points, budget, **given)
    return np.asarray(rows[found.indices])
