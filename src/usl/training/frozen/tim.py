"""TIM: class prototypes that tell much about the unlabelled items (Boudiaf et al., NeurIPS 2020).

Transductive Information Maximization For Few-Shot Learning. With p_ic proportional to
exp(-tau/2 |x_i - w_c|^2), S the labelled and Q the unlabelled items, it minimises over w::

    lambda CE(S) - H(mean_Q p) + alpha mean_Q H(p)                                    (their Eq. 2)

by their alternating direction method (Proposition 1), with auxiliary q::

    q_ic ~ p_ic^(1 + alpha) / (sum_j p_jc^(1 + alpha))^(1/2)
    w_c  = [a sum_S (y_ic x_i + p_ic (w_c - x_i)) + b sum_Q (q_ic x_i + p_ic (w_c - x_i))]
           / [a sum_S y_ic + b sum_Q q_ic],         a = lambda / (1 + alpha),  b = |S| / |Q|

The marginal entropy favours classes of equal size. Defaults are those of the authors' release
(github.com/mboudiaf/TIM, TIM-ADM). A label's weight multiplies its y and its p.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from usl.core.parameters import NotNegative, Positive
from usl.core.progress import Progress, silent
from usl.numeric.arrays import TINY, Float32
from usl.training.models import LinearModel
from usl.training.shared.prototypes import (
    Matrix,
    block_sums,
    class_means,
    label_votes,
    linear_model,
    nearness,
)

NAME = "TIM"


def fit(
    features: Float32,
    classes: NDArray[np.int64],
    weights: NDArray[np.float64],
    n_classes: int,
    *,
    seed: int = 0,
    progress: Progress = silent,
    temperature: Annotated[float, Positive] = 15.0,
    labels: Annotated[float, Positive] = 0.1,
    confident: Annotated[float, NotNegative] = 0.1,
    steps: Annotated[int, Positive] = 150,
) -> LinearModel:
    """Move the labelled means until the unlabelled items fall into clear classes.

    Parameters
    ----------
    temperature : tau; larger, and probabilities are nearer to 0 and 1.
    labels : lambda, weight of the labels' cross-entropy.
    confident : alpha, weight of the unlabelled items' entropy.
    steps : alternations of q and w.
    """
    rows, votes = label_votes(classes, weights, n_classes)
    points, rest = features[rows], features[classes < 0]
    prototypes = class_means(points, votes)
    own = labels / (1 + confident)
    other = votes.sum() / max(1, len(rest))
    given = own * votes.T @ points.astype(np.float64)
    for step in range(steps if len(rest) else 0):
        near = votes.sum(axis=1, keepdims=True) * nearness(points, prototypes, temperature)
        part = given + own * (_pull(near, points, prototypes))
        sums, mass, pulled = _unlabelled(rest, prototypes, temperature, 1 + confident)
        part += other * (sums + pulled)
        prototypes = part / np.maximum(own * votes.sum(axis=0) + other * mass, TINY)[:, None]
        progress(step + 1, steps, "tim")
    return linear_model(prototypes, temperature)


def _pull(p: NDArray[np.floating], points: Float32, prototypes: Matrix) -> Matrix:
    """sum_i p_ic (w_c - x_i), [C, d]."""
    return np.asarray(prototypes * p.sum(axis=0, dtype=np.float64)[:, None] - p.T @ points)


def _unlabelled(
    points: Float32, prototypes: Matrix, temperature: float, power: float
) -> tuple[Matrix, Matrix, Matrix]:
    """q^T x [C, d], sum q [C], and the pull of p [C, d], of the unlabelled items."""

    def totals(start: int, stop: int) -> tuple[Matrix, ...]:
        p = nearness(points[start:stop], prototypes, temperature)
        return (
            np.power(p, np.float32(power)).sum(axis=0, dtype=np.float64),
            _pull(p, points[start:stop], prototypes),
        )

    columns, pulled = block_sums(totals, len(points))
    scale = (1.0 / np.sqrt(np.maximum(columns, TINY))).astype(np.float32)

    def votes(start: int, stop: int) -> tuple[Matrix, ...]:
        q = np.power(nearness(points[start:stop], prototypes, temperature), np.float32(power))
        q *= scale
        q /= q.sum(axis=1, keepdims=True)
        return (q.T @ points[start:stop]).astype(np.float64), q.sum(axis=0, dtype=np.float64)

    sums, mass = block_sums(votes, len(points))
    return sums, mass, pulled
