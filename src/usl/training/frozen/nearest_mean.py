"""Nearest class mean: every item gets the class whose mean label is nearest (Rocchio, 1971).

The plainest learner there is: what it says of a selection, the selection has to answer for. It is
a linear classifier: with unit means c, the logits are c . x / temperature.
"""

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
    temperature: Annotated[float, Positive] = 0.1,
) -> LinearModel:
    """Average the labelled rows of each class; unlabelled ones are not used.

    Parameters
    ----------
    temperature : of the softmax over the cosines; it changes the confidence, never the decision.
    """
    rows = np.flatnonzero(classes >= 0)
    votes = np.zeros((len(rows), n_classes))
    votes[np.arange(len(rows)), classes[rows]] = weights[rows]
    means = votes.T @ features[rows].astype(np.float64)
    # Opposite labels can cancel out; such a mean stays at the origin.
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    return LinearModel(means / temperature, np.zeros(n_classes))
