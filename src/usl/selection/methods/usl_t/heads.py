"""Train the clusters of USL-T on frozen features: L = L_global + lambda L_local (Eq. 15).

A head is C cluster weights over the features. Features are fixed, so heads do not influence each
other; several are several opinions about the same items.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import TrainingFailedError
from usl.core.progress import Progress
from usl.numeric.blocks import map_blocks, one_blas_thread, rows_per_block
from usl.numeric.distances import Float32
from usl.numeric.kmeans import kmeans
from usl.numeric.stage_cache import Keep
from usl.selection.methods.usl_t.losses import (
    global_loss,
    local_loss,
    local_target,
    moving_mean,
    softmax,
)

PARTS = 2  # of a batch, worked on side by side; fixed, for the same rounding on any machine
REPORT_EVERY = 100  # steps
CALIBRATION_ROWS, CALIBRATION_ITERATIONS = 20_000, 15


@dataclass(frozen=True)
class Training:
    """How the heads are trained. Symbols as in the paper's Table 9."""

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
    linear: bool = False  # plain linear layer with bias instead of unit weights times scale
    reweight: bool = False  # items weigh by the inverse size of their cluster in the batch
    network_batch: int = 256  # images per step of end-to-end training


@dataclass
class Head:
    """Cluster weights [C, d] (and bias [C]) and the state of their training."""

    weight: Float32
    scale: float
    normalized: bool
    bias: Float32
    mean: NDArray[np.float64]
    sizes: NDArray[np.float64]
    moments: list[Float32] = field(default_factory=list)

    def unit(self) -> tuple[Float32, Float32]:
        """Weights of unit length [C, d], and their lengths [C, 1]."""
        if not self.normalized:
            return self.weight, np.ones((len(self.weight), 1), np.float32)
        lengths = np.linalg.norm(self.weight, axis=1, keepdims=True)
        return self.weight / lengths, lengths

    def probabilities(self, features: Float32) -> Float32:
        """Soft assignments of a block of items, [b, C]."""
        unit, _ = self.unit()
        return softmax(np.float32(self.scale) * (features @ unit.T) + self.bias)


@dataclass(frozen=True)
class Learned:
    """Clusters int64 [n] and confidences float64 [n], as :func:`assign`, and what was recorded."""

    clusters: NDArray[np.int64]
    confidence: NDArray[np.float64]
    history: list[dict[str, Any]]


def learn(
    features: Float32,
    neighbors: NDArray[np.int64],
    n_clusters: int,
    training: Training,
    *,
    seed: int,
    keep: Keep,
    progress: Progress,
    rows: NDArray[np.int64] | None = None,
) -> Learned:
    """Train heads and assign all items: a stage to keep. Arguments as of :func:`train_heads`.

    ``rows`` : which of the table that ``keep`` knows ``features`` are; None for all.
    """

    def compute() -> dict[str, NDArray[Any]]:
        heads, history = train_heads(
            features, neighbors, n_clusters, training, seed=seed, progress=progress
        )
        clusters, confidence = assign(heads, features, progress)
        return {
            "clusters": clusters,
            "confidence": confidence,
            "history": np.array(json.dumps(history)),
        }

    parts: dict[str, Any] = {"neighbors": neighbors, "count": n_clusters, "seed": seed}
    made = keep.arrays("learned", {**parts, **asdict(training), "rows": rows}, compute)
    return Learned(made["clusters"], made["confidence"], json.loads(str(made["history"])))


def calibrated(training: Training, features: Float32, n_clusters: int, seed: int) -> Training:
    """The training with a scale: the one it has, or the :func:`natural_scale`."""
    if training.scale is not None:
        return training
    rng = np.random.default_rng([seed, 1 << 20])  # apart from the heads' own streams
    return replace(training, scale=natural_scale(features, n_clusters, rng))


def natural_scale(features: Float32, n_clusters: int, rng: np.random.Generator) -> float:
    """The scale at which k-means clusters would be assigned with a mean confidence of 0.45.

    The logits are scale times cosine. Too small a scale leaves every assignment flat, too large a
    one freezes the start; what is right depends on how the cosines spread, that is on the space
    and on the number of clusters. On CIFAR-10 (ImageNet-supervised features) accuracy peaks at 5
    for 10 clusters and is flat around 10 for 40 and 100; a confidence of 0.45 gives 5.4, 10, 13.
    """
    rows = rng.permutation(len(features))[:CALIBRATION_ROWS]
    sample = features[np.sort(rows)]
    found = kmeans(sample, min(n_clusters, len(sample)), rng=rng, iterations=CALIBRATION_ITERATIONS)
    lengths = np.linalg.norm(found.centroids, axis=1, keepdims=True)
    centroids = found.centroids / np.where(lengths == 0, 1, lengths)
    with one_blas_thread():
        cosines = sample[: min(len(sample), 4096)] @ centroids.T
    low, high = 0.5, 200.0
    for _ in range(30):
        middle = np.sqrt(low * high)
        if softmax(np.asarray(middle * cosines, np.float32)).max(axis=1).mean() < 0.45:
            low = middle
        else:
            high = middle
    return float(round(middle, 3))


def train_heads(
    features: Float32,
    neighbors: NDArray[np.int64],
    n_clusters: int,
    training: Training,
    *,
    seed: int,
    progress: Progress,
) -> tuple[list[Head], list[dict[str, Any]]]:
    """Train ``training.heads`` heads; the heads and the recorded figures, one dict per record.

    Parameters
    ----------
    features : float32 [n, d], unit rows; neighbors : int64 [n, k], rows of each row's neighbours.
    training : with its ``scale`` resolved.

    Raises
    ------
    TrainingFailedError : a loss that is not finite, or a head whose clusters collapse.
    """
    history: list[dict[str, Any]] = []
    heads = []
    total = training.heads * training.steps
    with one_blas_thread(), ThreadPoolExecutor(PARTS) as pool:
        for number in range(training.heads):
            rng = np.random.default_rng([seed, number])
            head = new_head(features, n_clusters, training, rng)
            for step in range(1, training.steps + 1):
                items = rng.integers(len(features), size=training.batch_size)
                near = neighbors[items, rng.integers(neighbors.shape[1], size=len(items))]
                figures = one_step(head, features, items, near, training, step, pool)
                restart_tail(head, training, rng, step)
                check_finite(figures, number, step, history)
                if step % REPORT_EVERY == 0 or step == training.steps:
                    history.append({"head": number, "step": step, **figures})
                    check_alive(features, head, step, history)
                    progress(number * training.steps + step, total, "usl_t")
            heads.append(head)
    return heads, history


def new_head(
    features: Float32, n_clusters: int, training: Training, rng: np.random.Generator
) -> Head:
    """Weights started from distinct random items' features (or, linear, as torch starts them)."""
    width = features.shape[1]
    bias = np.zeros(n_clusters, dtype=np.float32)
    if training.linear:
        bound = 1 / np.sqrt(width)
        weight = rng.uniform(-bound, bound, (n_clusters, width)).astype(np.float32)
        bias = rng.uniform(-bound, bound, n_clusters).astype(np.float32)
    else:
        rows = rng.permutation(len(features))
        rows = rows[features[rows].any(axis=1)]  # a row of zeros points nowhere
        weight = rng.standard_normal((n_clusters, width)).astype(np.float32)
        if len(rows):
            weight = features[np.resize(rows, n_clusters)].copy()
    assert training.scale is not None
    return Head(
        weight,
        1.0 if training.linear else training.scale,
        not training.linear,
        bias,
        mean=np.full(n_clusters, 1 / n_clusters),
        sizes=np.full(n_clusters, 1 / n_clusters),
        moments=[np.zeros_like(weight), np.zeros_like(weight), bias * 0, bias * 0],
    )


def one_step(
    head: Head,
    features: Float32,
    items: NDArray[np.int64],
    near: NDArray[np.int64],
    training: Training,
    step: int,
    pool: ThreadPoolExecutor,
) -> dict[str, float]:
    """One step of Adam on a batch and its neighbours; the figures of the batch."""
    unit, lengths = head.unit()
    scale = np.float32(head.scale)

    def part(number: int) -> tuple[Any, ...]:
        rows = slice(number * len(items) // PARTS, (number + 1) * len(items) // PARTS)
        own = features[items[rows]]
        prediction = softmax(scale * (own @ unit.T) + head.bias)
        neighbor_logits = scale * (features[near[rows]] @ unit.T) + head.bias
        neighbor = softmax(neighbor_logits)
        target = local_target(neighbor_logits, head.mean, alpha=training.alpha, t=training.t)
        hard = prediction.argmax(axis=1)
        weights = inverse_sizes(hard, len(unit)) if training.reweight else None
        outer, gradient = global_loss(
            prediction, prediction, tau=training.tau, weights=weights
        )  # Eq. 10
        inner, local_gradient = local_loss(prediction, target)  # Eq. 14
        gradient += np.float32(training.lam) * local_gradient  # Eq. 15
        confidence = prediction.max(axis=1)
        return (
            scale * (gradient.T @ own),
            gradient.sum(axis=0),
            neighbor.mean(axis=0, dtype=np.float64),
            np.bincount(hard, minlength=len(unit)),
            np.array(
                [
                    outer,
                    inner,
                    confidence.mean(),
                    (confidence >= training.tau).mean(),
                    (hard == neighbor.argmax(axis=1)).mean(),
                ],
                dtype=np.float64,
            ),
        )

    parts = list(pool.map(part, range(PARTS)))
    sums = (sum(column) for column in zip(*parts, strict=True))
    gradient, bias_gradient, mean, counts, figures = sums
    gradient, bias_gradient = gradient / PARTS, bias_gradient / PARTS
    if head.normalized:  # the derivative of w / |w| removes the part along w
        gradient -= (gradient * unit).sum(axis=1, keepdims=True) * unit
        gradient /= lengths
        adam(head.weight, gradient, head.moments[:2], training, step)
    else:
        adam(head.weight, gradient, head.moments[:2], training, step)
        adam(head.bias, bias_gradient, head.moments[2:], training, step)
    # Eq. 12; this batch's targets have used the mean before it.
    head.mean = moving_mean(head.mean, mean / PARTS, training.momentum)
    # Sizes average over enough batches for each cluster to be expected some fifty times.
    keep = max(0.9, 1 - len(items) / (50 * len(unit)))
    head.sizes = keep * head.sizes + (1 - keep) * counts / len(items)
    outer, inner, confidence, sure, agreement = (figures / PARTS).tolist()
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


def adam(
    weight: Float32, gradient: Float32, moments: list[Float32], training: Training, step: int
) -> None:
    """Adam (Kingma & Ba, 2015) with torch's defaults and coupled weight decay, in place."""
    if training.weight_decay:
        gradient = gradient + np.float32(training.weight_decay) * weight
    first, second = moments
    first += np.float32(0.1) * (gradient - first)
    second += np.float32(0.001) * (gradient * gradient - second)
    size = np.sqrt(second / np.float32(1 - 0.999**step)) + np.float32(1e-8)
    weight -= np.float32(training.lr / (1 - 0.9**step)) * first / size


def restart_tail(head: Head, training: Training, rng: np.random.Generator, step: int) -> None:
    """Restart the smallest cluster beside the largest, one pair per step (paper 6.12).

    The tail becomes the head's weight plus a small perturbation, the head the same minus it, and
    they share its size. Early on sizes mean nothing yet.
    """
    count = len(head.sizes)
    if training.tail <= 0 or step < 100 or count < 2:
        return
    tail, top = int(head.sizes.argmin()), int(head.sizes.argmax())
    if head.sizes[tail] * count >= training.tail or head.sizes[top] * count <= training.head:
        return
    base = head.weight[top].copy()
    push = rng.standard_normal(len(base)).astype(np.float32)
    push *= np.float32(training.noise) * np.linalg.norm(base) / np.linalg.norm(push)
    head.weight[tail], head.weight[top] = base + push, base - push
    head.bias[tail] = head.bias[top]
    for moment in head.moments:
        moment[tail] = moment[top]
    head.sizes[[tail, top]] = head.sizes[top] / 2
    head.mean[[tail, top]] = (head.mean[tail] + head.mean[top]) / 2


def inverse_sizes(hard: NDArray[np.int64], n_clusters: int) -> Float32:
    """Weight of each item: one over its cluster's count in the batch, of mean 1."""
    counts = np.bincount(hard, minlength=n_clusters)
    weights = 1.0 / counts[hard]
    return np.asarray(weights / weights.mean(), dtype=np.float32)


def normalized_entropy(shares: NDArray[np.float64]) -> float:
    """Entropy of shares [C] over log C: 1 when all are equal, 0 when one has all."""
    positive = shares[shares > 0] / shares.sum()
    return float(abs((positive * np.log(positive)).sum()) / np.log(max(2, len(shares))))


def check_finite(
    figures: dict[str, float], head: int, step: int, history: list[dict[str, Any]]
) -> None:
    """Stop at the first loss that is NaN or infinite."""
    if not np.isfinite(figures["global_loss"] + figures["local_loss"]):
        raise TrainingFailedError(
            f"usl_t: the loss of head {head} is not finite at step {step}. Lower lr or scale.",
            history,
        )


def check_alive(features: Float32, head: Head, step: int, history: list[dict[str, Any]]) -> None:
    """Stop when nearly everything has gone into few clusters, though it could be spread out."""
    if step < 300 or history[-1]["entropy"] >= 0.5 or len(head.sizes) == 1:
        return  # all items in the one cluster there is are no collapse
    distinct = len(np.unique(features, axis=0))  # slow, but only ever asked in trouble
    attainable = np.log(distinct) / np.log(max(2, len(head.sizes)))
    if history[-1]["entropy"] < 0.5 * min(1.0, attainable):
        raise TrainingFailedError(
            f"usl_t: head {history[-1]['head']} has collapsed at step {step}: the entropy of its "
            f"cluster sizes is {history[-1]['entropy']:.2f} of the maximum. Raise alpha (it "
            "spreads clusters), lower lam or scale, or use the method usl.",
            history,
        )


def assign(
    heads: list[Head], features: Float32, progress: Progress
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Cluster of every item by the first head, int64 [n]; confidence by the mean of all, [n]."""
    n_clusters = len(heads[0].weight)

    def block(start: int, stop: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        found = [head.probabilities(features[start:stop]) for head in heads]
        votes = np.stack([probabilities.max(axis=1) for probabilities in found])
        return found[0].argmax(axis=1), np.asarray(votes.mean(axis=0, dtype=np.float64))

    rows = rows_per_block(12 * n_clusters)
    parts = list(map_blocks(block, len(features), rows, progress=progress, label="assignment"))
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])
