"""One point per class: the start at the labelled means, and the softmax of squared distances.

p_ic is proportional to exp(-temperature / 2 |x_i - w_c|^2), which is linear in x.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.numeric.arrays import TINY, Float32, softmax
from usl.numeric.blocks import map_blocks
from usl.training.models import LinearModel

BLOCK = 4096  # rows; sums over rows depend on it, so it is not a matter of memory
Matrix = NDArray[np.float64]


def label_votes(
    classes: NDArray[np.int64], weights: NDArray[np.float64], n_classes: int
) -> tuple[NDArray[np.int64], Matrix]:
    """The labelled rows, int64 [m], and their one-hot labels times their weights, [m, C]."""
    rows = np.flatnonzero(classes >= 0)
    votes = np.zeros((len(rows), n_classes))
    votes[np.arange(len(rows)), classes[rows]] = weights[rows]
    return rows, votes


def class_means(points: Float32, votes: Matrix) -> Matrix:
    """Weighted mean of each class's points [m, d], float64 [C, d]; ``votes`` [m, C]."""
    sums = votes.T @ points.astype(np.float64)
    return np.asarray(sums / np.maximum(votes.sum(axis=0)[:, None], TINY))


def nearness(points: Float32, prototypes: Matrix, temperature: float) -> NDArray[np.float32]:
    """The probabilities p of a block of points, float32 [b, C]."""
    weight, bias = linear(prototypes, temperature)
    return softmax(points @ weight.T.astype(np.float32) + bias.astype(np.float32))


def linear(prototypes: Matrix, temperature: float) -> tuple[Matrix, Matrix]:
    """The same as weights [C, d] and biases [C] of a softmax."""
    lengths = np.einsum("cd,cd->c", prototypes, prototypes)
    return temperature * prototypes, -0.5 * temperature * lengths


def linear_model(prototypes: Matrix, temperature: float) -> LinearModel:
    """A model that gives p."""
    return LinearModel(*linear(prototypes, temperature))


def block_sums(function: Any, n: int) -> list[Any]:
    """The sums over blocks of n rows of each array that ``function(start, stop)`` returns."""
    total: list[Any] = []
    for parts in map_blocks(function, n, BLOCK):
        total = [a + b for a, b in zip(total, parts, strict=True)] if total else list(parts)
    return total
