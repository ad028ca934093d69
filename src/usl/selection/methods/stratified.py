"""Stratified draw, equal numbers of every class: an oracle, for comparison only.

It needs the label of every item, which is what a selection is meant to spare. The paper calls it
practically infeasible and reports it beside the honest methods; so does this package, marked.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UsageError
from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32
from usl.selection.contract import Picks

UNRANKED = True
DRAWN = "draws its picks within each class"
ORACLE = True  # reads the answers; never a fair competitor


def pick(
    features: Float32,
    budget: int,
    *,
    labeled: NDArray[np.int64],
    candidates: NDArray[np.int64],
    seed: int = 0,
    progress: Progress = silent,
    labels: Sequence[str] | NDArray[np.object_],
) -> Picks:
    """Draw round robin over the classes, at random within each; classes in random order.

    Parameters
    ----------
    labels : the true class of every row, length n.

    Raises
    ------
    DataError : a candidate without a label, or labels of another length.
    UsageError : a budget below the number of classes.
    """
    answers = np.asarray(labels, dtype=object)
    if answers.shape != (len(features),):
        raise DataError(f"labels: {answers.shape} given for {len(features)} rows.")
    missing = [row for row in candidates.tolist() if answers[row] is None]
    if missing:
        raise DataError(
            f"labels: row {missing[0]} has none ({len(missing)} in all). Stratified selection is "
            "an oracle and needs the label of every item; choose another method."
        )
    rng = np.random.default_rng(seed)
    names = answers[candidates].astype(str)
    classes = rng.permutation(np.unique(names))
    if budget < len(classes):
        raise UsageError(
            f"budget {budget} is below the {len(classes)} classes; stratified selection takes at "
            "least one of each."
        )
    queues = [rng.permutation(candidates[names == name]).tolist() for name in classes]
    picks: list[int] = []
    while len(picks) < budget:
        for queue in queues:
            if queue and len(picks) < budget:
                picks.append(queue.pop())
    return Picks(np.array(picks, dtype=np.int64), ranked=True)
