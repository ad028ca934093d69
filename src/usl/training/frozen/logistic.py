"""Multinomial logistic regression on the labelled items alone: the plain yardstick."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from usl.core.parameters import Positive
from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32
from usl.training.models import LinearModel

UNSEEN = 30.0  # how far the logits of a class without a label lie below: a probability of 1e-13


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
    own, offsets = solver.coef_, solver.intercept_
    if len(solver.classes_) == 2:  # scikit-learn keeps one row for two classes
        own, offsets = np.vstack([-own, own]) / 2, np.concatenate([-offsets, offsets]) / 2
    weight = np.zeros((n_classes, features.shape[1]))
    bias = np.full(n_classes, offsets.min() - UNSEEN)
    weight[solver.classes_], bias[solver.classes_] = own, offsets
    return LinearModel(weight, bias)
