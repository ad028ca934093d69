"""Adam (Kingma & Ba, 2015) on NumPy arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEEP_MEAN, KEEP_SQUARE, SMALLEST = 0.9, 0.999, 1e-8  # the paper's beta_1, beta_2 and epsilon


class Adam:
    """Moments of some arrays, which :meth:`step` changes in place."""

    def __init__(self, arrays: Sequence[NDArray[Any]]) -> None:
        """Start with moments of zero."""
        self.arrays = list(arrays)
        self.means = [np.zeros_like(array) for array in arrays]
        self.squares = [np.zeros_like(array) for array in arrays]
        self.steps = 0

    def step(self, gradients: Sequence[NDArray[Any]], lr: float) -> None:
        """One step against ``gradients``, in the order of the arrays."""
        self.steps += 1
        rate = lr / (1 - KEEP_MEAN**self.steps)
        correction = 1 - KEEP_SQUARE**self.steps
        for array, gradient, mean, square in zip(
            self.arrays, gradients, self.means, self.squares, strict=True
        ):
            kind = array.dtype.type
            mean += kind(1 - KEEP_MEAN) * (gradient - mean)
            square += kind(1 - KEEP_SQUARE) * (gradient * gradient - square)
            array -= kind(rate) * mean / (np.sqrt(square / kind(correction)) + kind(SMALLEST))
