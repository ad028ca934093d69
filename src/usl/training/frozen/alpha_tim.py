"""alpha-TIM: TIM with alpha-entropies, for unequal classes (Veilleux et al., NeurIPS 2021).

Realistic Evaluation of Transductive Few-Shot Learning. With p_ic proportional to
exp(-tau/2 |x_i - w_c|^2), S the labelled and Q the unlabelled items, it minimises over w::

    mean_S CE - H_a(mean_Q p) + mean_Q H_a(p),     H_a(p) = (1 - sum_c p_c^a) / (a - 1)

by Adam over all items at once. Tsallis' H_a of a > 1 punishes unequal classes less than Shannon's
entropy does. Defaults are those of the authors' release
(github.com/oveilleux/Realistic_Transductive_Few_Shot), in which a grows with the labels per class.
Labels count by their weights.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from usl.core.parameters import Between, NotNegative, Positive
from usl.core.progress import Progress, silent
from usl.numeric.adam import Adam
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

NAME = "alpha-TIM"
ONE, FEW, MANY = 2.0, 5.0, 7.0  # the release's alpha with 1, 2 to 4, and more labels per class


def fit(
    features: Float32,
    classes: NDArray[np.int64],
    weights: NDArray[np.float64],
    n_classes: int,
    *,
    seed: int = 0,
    progress: Progress = silent,
    temperature: Annotated[float, Positive] = 15.0,
    alpha: Annotated[float | None, Between(1, 100, above=True)] = None,
    labels: Annotated[float, Positive] = 1.0,
    marginal: Annotated[float, NotNegative] = 1.0,
    confident: Annotated[float, NotNegative] = 1.0,
    steps: Annotated[int, Positive] = 1000,
    lr: Annotated[float, Positive] = 1e-4,
) -> LinearModel:
    """Move the labelled means by gradient descent.

    Parameters
    ----------
    temperature : tau; larger, and probabilities are nearer to 0 and 1.
    alpha : of both entropies; left out: 2 with one label per class, 5 with two to four, else 7.
    labels : weight of the labels' cross-entropy.
    marginal : weight of the entropy of the classes' shares.
    confident : weight of the unlabelled items' entropy.
    steps : of Adam.
    lr : of Adam.
    """
    rows, votes = label_votes(classes, weights, n_classes)
    points, rest = features[rows], features[classes < 0]
    if alpha is None:
        shots = len(rows) // n_classes
        alpha = ONE if shots <= 1 else FEW if shots < 5 else MANY
    prototypes = class_means(points, votes)
    adam = Adam([prototypes])
    total = votes.sum()
    for step in range(steps if len(rest) else 0):
        p = nearness(points, prototypes, temperature)
        pushes = labels / max(total, TINY) * (votes.sum(axis=1, keepdims=True) * p - votes)
        gradient = _moved(pushes, points, prototypes)
        gradient += _unlabelled(rest, prototypes, temperature, alpha, marginal, confident)
        adam.step([temperature * gradient], lr)
        progress(step + 1, steps, "alpha-tim")
    return linear_model(prototypes, temperature)


def _moved(pushes: NDArray[np.floating], points: Float32, prototypes: Matrix) -> Matrix:
    """sum_i g_ic (x_i - w_c), [C, d]: the gradient in w from that in the logits, over tau."""
    return np.asarray(pushes.T @ points - prototypes * pushes.sum(axis=0)[:, None])


def _unlabelled(
    points: Float32,
    prototypes: Matrix,
    temperature: float,
    alpha: float,
    marginal: float,
    confident: float,
) -> Matrix:
    """The gradient of both entropies in w, over tau, [C, d]."""
    n = len(points)

    def shares(start: int, stop: int) -> tuple[Matrix]:
        p = nearness(points[start:stop], prototypes, temperature)
        return (p.sum(axis=0, dtype=np.float64),)

    (sums,) = block_sums(shares, n)
    level = alpha / (alpha - 1) / n
    common = (marginal * level * (sums / n) ** (alpha - 1)).astype(np.float32)

    def gradient(start: int, stop: int) -> tuple[Matrix]:
        p = nearness(points[start:stop], prototypes, temperature)
        wanted = common - np.float32(confident * level) * np.power(
            p + np.float32(TINY), np.float32(alpha - 1)
        )
        wanted -= np.einsum("bc,bc->b", p, wanted)[:, None]
        wanted *= p
        return (_moved(wanted, points[start:stop], prototypes),)

    return np.asarray(block_sums(gradient, n)[0])
