"""A head of USL-T, cluster weights over features, and one step of its training (Eq. 15)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np

from usl.numeric.adam import Adam
from usl.numeric.arrays import Float32, Rows, Values, softmax
from usl.selection.methods.usl_t.lengths import Points
from usl.selection.methods.usl_t.losses import (
    Reweight,
    class_weights,
    global_gradient,
    global_loss,
    local_gradient,
    local_loss,
    local_target,
    moving_mean,
)

PARTS = 2  # of a batch, worked on side by side; fixed, for the same rounding on any machine
BLOCK = 8192  # rows
Votes = Literal["mean", "first"]
T = TypeVar("T")


@dataclass(frozen=True)
class Training:
    """How the heads are trained. Symbols as in the paper's Table 9; tau is the released code's."""

    heads: int = 1
    tau: float = 0.95
    alpha: float = 5.0
    t: float = 0.25
    lam: float = 5.0
    momentum: float = 0.5
    scale: float | None = None
    steps: int = 1500
    batch_size: int = 1024
    lr: float = 1e-3
    weight_decay: float = 0.0
    tail: float = 0.02  # a cluster below this share of the mean size is restarted ...
    head: float = 1.5  # ... beside one above this share
    noise: float = 1e-2  # relative size of the perturbation
    restart_from: int = 100  # step; before, sizes mean nothing yet
    linear: bool = False  # plain linear layer with bias instead of unit weights times scale
    reweight: Reweight = "off"  # whether every cluster has the same share of the global loss
    local: float = 1.0  # share of the steps in which the local loss takes part
    votes: Votes = "mean"  # whose confidence it is: of all heads, or of the first


@dataclass
class Head:
    """Cluster weights [C, d] (and bias [C]) and the state of their training."""

    weight: Float32
    scale: float
    normalized: bool
    bias: Float32
    mean: Values
    sizes: Values
    adam: Adam = field(init=False)

    def __post_init__(self) -> None:
        self.adam = Adam([self.weight] if self.normalized else [self.weight, self.bias])

    def unit(self) -> tuple[Float32, Float32]:
        """Weights of unit length [C, d], and their lengths [C, 1]."""
        if not self.normalized:
            return self.weight, np.ones((len(self.weight), 1), np.float32)
        lengths = np.linalg.norm(self.weight, axis=1, keepdims=True)
        return self.weight / lengths, lengths

    def probabilities(self, features: Float32) -> Float32:
        """Soft assignments of a block of items, [b, C]."""
        logits = self.logits(features, self.unit()[0])
        return softmax(logits, out=logits)

    def logits(self, features: Float32, unit: Float32) -> Float32:
        """Scale times ``features`` [b, d] @ ``unit`` [C, d], plus bias; [b, C]."""
        logits: Float32 = features @ unit.T
        logits *= np.float32(self.scale)
        logits += self.bias
        return logits


def new_head(table: Points, n_clusters: int, training: Training, rng: np.random.Generator) -> Head:
    """Weights started from distinct random items' features (or, linear, as torch starts them)."""
    n, width = table.shape
    if training.linear:
        return linear_head(width, n_clusters, training, rng)
    rows = rng.permutation(n)
    directed = table.map(lambda points: points.any(axis=1), block=BLOCK)
    rows = rows[np.concatenate(list(directed))[rows]]  # a row of zeros points nowhere
    weight = rng.standard_normal((n_clusters, width)).astype(np.float32)
    if len(rows):
        weight = table.take(np.resize(rows, n_clusters))
    return _fresh(weight, np.zeros(n_clusters, dtype=np.float32), training)


def linear_head(width: int, n_clusters: int, training: Training, rng: np.random.Generator) -> Head:
    """A linear layer with bias as torch starts it: uniform within 1 / sqrt(width)."""
    bound = 1 / np.sqrt(width)
    weight = rng.uniform(-bound, bound, (n_clusters, width)).astype(np.float32)
    bias = rng.uniform(-bound, bound, n_clusters).astype(np.float32)
    return _fresh(weight, bias, training)


def _fresh(weight: Float32, bias: Float32, training: Training) -> Head:
    assert training.scale is not None
    even = np.full(len(weight), 1 / len(weight))
    return Head(weight, training.scale, not training.linear, bias, mean=even, sizes=even.copy())


def one_step(
    head: Head,
    table: Points,
    items: Rows,
    near: Rows,
    training: Training,
    pool: ThreadPoolExecutor | None,
    *,
    told: bool = True,
) -> dict[str, float]:
    """One step of Adam on a batch and its neighbours; the figures of the batch, if ``told``."""
    unit, lengths = head.unit()
    spans = [
        slice(number * len(items) // PARTS, (number + 1) * len(items) // PARTS)
        for number in range(PARTS)
    ]

    def predict(number: int) -> tuple[Float32, Float32]:
        own = table.take(items[spans[number]])
        logits = head.logits(own, unit)
        return own, softmax(logits, out=logits)

    predicted, weights = None, None
    if training.reweight != "off":  # by the sizes of the clusters in the whole batch
        predicted = _side_by_side(predict, pool)
        every = np.concatenate([prediction for _, prediction in predicted])
        by = training.reweight
        weights = class_weights(every.max(axis=1), every.argmax(axis=1), training.tau, by)

    def part(number: int) -> tuple[Any, ...]:
        rows = spans[number]
        own, prediction = predict(number) if predicted is None else predicted[number]
        logits = head.logits(table.take(near[rows]), unit)
        target = local_target(logits, head.mean, alpha=training.alpha, t=training.t)
        neighbor = softmax(logits, out=logits)
        hard = prediction.argmax(axis=1)
        confidence = prediction[np.arange(len(hard)), hard]
        gradient = local_gradient(prediction, target)  # Eq. 14
        gradient *= np.float32(training.lam)  # Eq. 15
        sure = np.flatnonzero(confidence >= training.tau)
        if len(sure):  # the others have no part in Eq. 10
            counted = np.ones(len(sure), np.float32) if weights is None else weights[rows][sure]
            outer = global_gradient(prediction[sure], hard[sure], counted, len(hard))
            gradient[sure] += outer
        figures = np.zeros(0)
        if told:
            own_weights = None if weights is None else weights[rows]
            agreement = (hard == neighbor.argmax(axis=1)).mean()
            figures = np.array(
                [
                    global_loss(prediction, prediction, tau=training.tau, weights=own_weights)[0],
                    local_loss(prediction, target)[0],
                    confidence.mean(),
                    len(sure) / len(hard),
                    agreement,
                ],
                dtype=np.float64,
            )
        weight_gradient = gradient.T @ own
        weight_gradient *= np.float32(head.scale)
        return (
            weight_gradient,
            0.0 if head.normalized else gradient.sum(axis=0),
            neighbor.mean(axis=0, dtype=np.float64),
            np.bincount(hard, minlength=len(unit)),
            figures,
        )

    parts = _side_by_side(part, pool)
    sums = (sum(column) for column in zip(*parts, strict=True))
    gradient, bias_gradient, mean, counts, figures = sums
    gradient, bias_gradient = gradient / PARTS, bias_gradient / PARTS
    if head.normalized:  # the derivative of w / |w| removes the part along w
        gradient -= (gradient * unit).sum(axis=1, keepdims=True) * unit
        gradient /= lengths
    gradients = [gradient, bias_gradient][: len(head.adam.arrays)]
    if training.weight_decay:  # coupled, as torch's Adam has it
        decay = np.float32(training.weight_decay)
        pairs = zip(gradients, head.adam.arrays, strict=True)
        gradients = [gradient + decay * array for gradient, array in pairs]
    head.adam.step(gradients, training.lr)
    # Eq. 12; this batch's targets have used the mean before it.
    head.mean = moving_mean(head.mean, mean / PARTS, training.momentum)
    # Sizes average over enough batches for each cluster to be expected some fifty times.
    keep = max(0.9, 1 - len(items) / (50 * len(unit)))
    head.sizes = keep * head.sizes + (1 - keep) * counts / len(items)
    return _named(figures / PARTS, head) if told else {}


def _side_by_side(part: Callable[[int], T], pool: ThreadPoolExecutor | None) -> list[T]:
    """``part`` of every number below ``PARTS``, one of them in this thread; without a pool all."""
    if pool is None:
        return [part(number) for number in range(PARTS)]
    others = [pool.submit(part, number) for number in range(1, PARTS)]
    return [part(0), *(other.result() for other in others)]


def _named(figures: Values, head: Head) -> dict[str, float]:
    """What is recorded of a step: the batch's figures, and how even the clusters are."""
    outer, inner, confidence, sure, agreement = figures.tolist()
    return {
        "global_loss": outer,
        "local_loss": inner,
        "confidence": confidence,
        "above_tau": sure,
        "agreement": agreement,
        "entropy": normalized_entropy(head.sizes),
        "smallest": float(head.sizes.min() * len(head.sizes)),
        "largest": float(head.sizes.max() * len(head.sizes)),
    }


def restart_tail(head: Head, training: Training, rng: np.random.Generator, step: int) -> None:
    """Restart the smallest cluster beside the largest, one pair per step (paper 6.12).

    The tail becomes the head's weight plus a small perturbation, the head the same minus it, and
    they share its size.
    """
    count = len(head.sizes)
    if training.tail <= 0 or step < training.restart_from or count < 2:
        return
    tail, top = int(head.sizes.argmin()), int(head.sizes.argmax())
    if head.sizes[tail] * count >= training.tail or head.sizes[top] * count <= training.head:
        return
    base = head.weight[top].copy()
    push = rng.standard_normal(len(base)).astype(np.float32)
    push *= np.float32(training.noise) * np.linalg.norm(base) / np.linalg.norm(push)
    head.weight[tail], head.weight[top] = base + push, base - push
    head.bias[tail] = head.bias[top]
    for moment in [*head.adam.means, *head.adam.squares]:
        moment[tail] = moment[top]
    head.sizes[[tail, top]] = head.sizes[top] / 2
    head.mean[[tail, top]] = (head.mean[tail] + head.mean[top]) / 2


def normalized_entropy(shares: Values) -> float:
    """Entropy of shares [C] over log C: 1 when all are equal, 0 when one has all."""
    positive = shares[shares > 0] / shares.sum()
    return float(abs((positive * np.log(positive)).sum()) / np.log(max(2, len(shares))))
