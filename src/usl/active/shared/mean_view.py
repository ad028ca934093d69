"""What a model says of rows on the average of several random views."""

from __future__ import annotations

from typing import Any

import numpy as np

from usl.active.contract import Views
from usl.core.progress import Progress
from usl.numeric.arrays import Rows
from usl.training.shared.few_classes import FewClasses


def mean_view(views: Views, count: int, rows: Rows, progress: Progress) -> Any:
    """The mean probabilities of ``count`` views of each of ``rows``, float64 [r, C].

    Of views that know a few classes of each row it is a table that knows those of all views.
    """
    total: Any = 0.0
    few: list[FewClasses] = []
    for done, seen in enumerate(views(count), 1):
        if isinstance(seen, FewClasses):
            few.append(seen)
        else:
            total = total + seen[rows]
        progress(done, count, "views")
    if not few:
        return np.asarray(total / count)
    numbers = np.concatenate([seen.numbers[rows] for seen in few], axis=1)
    values = np.concatenate([seen.values[rows] for seen in few], axis=1)
    return FewClasses(numbers, values / count, few[0].shape[1])
