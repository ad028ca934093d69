"""A linear head on the features, for strategies that look through it rather than at its answers."""

from __future__ import annotations

import numpy as np

from usl.core.errors import UsageError
from usl.numeric.arrays import Rows
from usl.numeric.blocks import one_blas_thread
from usl.numeric.table import Table
from usl.training.frozen import logistic
from usl.training.models import LinearModel


def logistic_head(
    table: Table, labeled: Rows, classes: Rows, method: str
) -> tuple[LinearModel, Rows]:
    """A logistic regression on the labels, and the numbers of its classes: those with a label.

    Raises
    ------
    UsageError : fewer than two classes have a label; ``method`` is who asks.
    """
    check_two_classes(classes, method)
    numbers, own = np.unique(classes, return_inverse=True)
    points = table.take(labeled)
    with one_blas_thread():  # which rounds by the number of its threads
        return logistic.fit(points, own, np.ones(len(own)), len(numbers)), numbers


def check_two_classes(classes: Rows, method: str) -> None:
    """:class:`UsageError` where fewer than two classes have a label; ``method`` is who asks."""
    if len(np.unique(classes)) < 2:
        raise UsageError(
            f"method: {method!r} trains a head on the labels, and fewer than two classes have one. "
            "Label more first, or take a method that needs no model, such as quorum."
        )
