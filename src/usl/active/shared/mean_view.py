"""What a model says of rows on the average of several random views."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Views
from usl.core.progress import Progress
from usl.numeric.arrays import Rows


def mean_view(views: Views, count: int, rows: Rows, progress: Progress) -> NDArray[np.float64]:
    """The mean probabilities of ``count`` views of each of ``rows``, float64 [r, C]."""
    total: NDArray[np.float64] | float = 0.0
    for done, seen in enumerate(views(count), 1):
        total = total + seen[rows]
        progress(done, count, "views")
    return np.asarray(total / count)
