"""Multinomial logistic regression on the labelled items alone: the plain yardstick."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from usl.core.parameters import Positive
from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32
from usl.training.models import LinearModel


def fit(
    features: Float32,
    classes: NDArray[np.int64],
    weights: NDArray[np.float64],
    n_classes: int,
    *,
    seed: int = 0,
    progress: Progress = silent,
    c: Annotated[float, Positive] = 10.0,
    balanced: bool = False,
) -> LinearModel:
    """Fit on the labelled rows; unlabelled ones are not used.

    Parameters
    ----------
    c : inverse strength of the L2 penalty on the weights (not on the bias).
    balanced : every class weighs the same, however many labels it has.
    """
    from sklearn.linear_model import LogisticRegression

    rows = classes >= 0
    solver = LogisticRegression(C=c, max_iter=2000, class_weight="balanced" if balanced else None)
    solver.fit(features[rows].astype(np.float64), classes[rows], sample_weight=weights[rows])
    weight, bias = solver.coef_, solver.intercept_
    if n_classes == 2:  # scikit-learn keeps one row for two classes
        weight, bias = np.vstack([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return LinearModel(weight, bias)
