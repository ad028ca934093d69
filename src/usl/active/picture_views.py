"""What a model says of random views of a run's pictures, for strategies that look at them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from usl.active.contract import Views
from usl.core.progress import Progress
from usl.features.space import restrict
from usl.training.models import Model
from usl.training.open_run import Opened


def picture_views(opened: Opened, model: Model, progress: Progress) -> Views:
    """Of the train images that ``model`` was trained on, view after view."""
    from usl.features.views import each_view

    space = restrict(opened.space, opened.subsets == "train")

    def views(count: int) -> Iterator[NDArray[np.float64]]:
        for rows in each_view(opened.collection, space, count, progress=progress):
            yield model.probabilities(np.asarray(rows, dtype=np.float32))

    return views
