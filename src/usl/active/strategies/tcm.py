"""TCM: TypiClust while labels are few, then margin.

Doucet, Estermann, Aczel, Wattenhofer: Bridging Diversity and Uncertainty in Active Learning with
Self-Supervised Pre-Training (2024). Early on, typical rows teach the most; later, doubtful ones do.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Query
from usl.active.strategies import margin
from usl.core.parameters import NotNegative
from usl.core.progress import Progress
from usl.numeric.arrays import Float32
from usl.numeric.stage_cache import Keep
from usl.selection.methods import typiclust

NAME = "TCM"
DRAWN = typiclust.DRAWN
TYPICAL = "typical of a cluster with few labels"


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
    keep: Keep,
    batches: Annotated[int, NotNegative] = 3,
) -> Query:
    """Ask as ``typiclust`` does until as many labels are there as ``batches`` budgets, then margin.

    While there are no predictions it is ``typiclust`` too.

    Parameters
    ----------
    batches : of the size of the budget, that TypiClust picks; labels from elsewhere count as well.
    """
    given: dict[str, Any] = {
        "labeled": labeled,
        "candidates": candidates,
        "seed": seed,
        "progress": progress,
    }
    if predictions is None or len(labeled) < batches * budget:
        found = typiclust.pick(features, budget, keep=keep, **given)
        figures = {} if found.utility is None else {"typicality": found.utility}
        by = {"batches": batches, "by": "typiclust"}
        return Query(found.indices, (TYPICAL,) * budget, figures, by)
    asked = margin.query(features, budget, classes=classes, predictions=predictions, **given)
    return Query(asked.indices, asked.reasons, asked.figures, {"batches": batches, "by": "margin"})
