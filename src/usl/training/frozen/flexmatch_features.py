"""FlexMatch on frozen features: a linear head learns from its own sure answers.

Zhang et al., FlexMatch, 2021, on embeddings as in Zhang et al., LabelBench, 2024 (Adam 3e-3, 128
labelled items and 5 times as many others per step, 20 epochs). With p = softmax(W x + b)::

    L      = mean_l H(y_l, p(x_l)) + lam mean_i 1[max q_i >= T_c] H(c, p(s_i)),  c = argmax q_i
    T_c    = tau max(beta_c / (2 - beta_c), lowest)                   (Eq. 11, convex mapping)
    beta_c = sigma_c / max(max_c sigma_c, items not yet sure)         (Eq. 7 with warm-up, Eq. 10)

q_i is the answer p(x_i), its classes scaled so that the running mean answer keeps to given shares
(distribution alignment). sigma_c counts the items that were last sure (max q >= tau) of class c.
s_i is the strong view of item i: a random augmentation of its image, or, without ``views``, one of
its nearest neighbours with noise added.

Three things are ours. The head starts as logistic regression on the labels: steps of one size in
every weight take hold of dimensions that carry nothing. Thresholds have a lower bound: they would
start at 0, and a head that knows little then teaches itself its first answers. And without a prior
the shares are estimated from the labels (:mod:`usl.training.shared.class_shares`), so that no class
takes over.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import UsageError
from usl.core.parameters import Between, NotNegative, Positive
from usl.core.progress import Progress, silent
from usl.numeric.adam import Adam
from usl.numeric.arrays import Float32, softmax
from usl.numeric.blocks import one_blas_thread
from usl.training.contract import Augmented
from usl.training.frozen import logistic, paws
from usl.training.models import LinearModel
from usl.training.shared.class_shares import ClassPrior, prior_shares

FEWEST_STEPS = 50  # of an epoch: a small collection would else end before it has begun
KEEP = 0.99  # of the running mean answer at each step
REPORT_EVERY = 50  # steps


def fit(
    features: Float32,
    classes: NDArray[np.int64],
    weights: NDArray[np.float64],
    n_classes: int,
    *,
    seed: int = 0,
    progress: Progress = silent,
    epochs: Annotated[int, Positive] = 20,
    batch_size: Annotated[int, Positive] = 128,
    uratio: Annotated[int, Positive] = 5,
    lr: float = 3e-3,
    tau: float = 0.95,
    lowest: Annotated[float, Between(0, 1)] = 0.8,
    lam: float = 1.0,
    k: Annotated[int, Positive] = 10,
    noise: Annotated[float, NotNegative] = 1.0,
    weight_decay: float = 1e-3,
    class_prior: ClassPrior = None,
    views: Annotated[int, NotNegative] = 0,
    neighbors: NDArray[np.int64] | None = None,
    augmented: Augmented = None,
) -> LinearModel:
    """Train the head on labels and on its own answers.

    Parameters
    ----------
    epochs : passes over all items, of at least 50 steps each.
    batch_size : labelled items per step, drawn as often as their weights say, with repetition.
    uratio : other items per labelled one.
    lr : of Adam, falling to 0 along a cosine.
    tau : how sure the head must be of the class it is most often sure of; less of the others.
    lowest : no class's threshold is below this share of tau. At 0, as published, nearly every
        answer counts at first.
    lam : weight of the head's own answers.
    k : neighbours of each item that can be its strong view.
    noise : typical length of the noise added to a strong view; an item has length 1.
    weight_decay : pull of the weights towards 0, added to their gradient.
    class_prior : shares that the answers keep to: ``uniform``, or ``labels`` as among the labels.
        Left out, they are estimated from the labels' votes on all items. ``off``: answers as they
        are, as published.
    views : random views of every image that are encoded, once, and cached: the strong views, in
        place of neighbours and noise. They take as many times as long as encoding all images.
    neighbors : int64 [n, k] from :func:`prepare`, to train many times on the same features.
    """
    shares = prior_shares(class_prior, features, classes, weights, n_classes)
    seen = asked_for(augmented, views) if views else None
    if seen is None and neighbors is None:
        neighbors = prepare(features, k=k, progress=progress)["neighbors"]
    n, width = features.shape
    # Adam's steps have one size in every weight; at unit length the logits would hardly move.
    scale = np.float32(np.sqrt(width))
    rows = np.flatnonzero(classes >= 0)
    chance = weights[rows] / weights[rows].sum()
    rng = np.random.default_rng(seed)
    one_hot = np.eye(n_classes, dtype=np.float32)
    others = batch_size * uratio
    steps = epochs * max(FEWEST_STEPS, n // others)
    with one_blas_thread():
        start = logistic.fit(features, classes, weights, n_classes)
        weight = start.weight.astype(np.float32) / scale
        bias = start.bias.astype(np.float32)
        running = start.probabilities(features).mean(axis=0)
        sure_of = np.full(n, n_classes)  # n_classes: of none yet
        adam = Adam([weight, bias])
        for step in range(1, steps + 1):
            # 1. Labels.
            drawn = rows[rng.choice(len(rows), size=batch_size, p=chance)]
            _, by_weight, by_bias = cross_entropy(
                weight, bias, scale * features[drawn], one_hot[classes[drawn]]
            )
            # 2. The head's answers to the items as they are.
            items = rng.integers(n, size=others)
            answer = softmax(scale * features[items] @ weight.T + bias)
            running = KEEP * running + (1 - KEEP) * answer.mean(axis=0)
            if shares is not None:
                answer = aligned(answer, running, shares)
            guess, confidence = answer.argmax(axis=1), answer.max(axis=1)
            counted = confidence >= thresholds(sure_of, n_classes, tau, lowest)[guess]
            sure = confidence >= tau
            sure_of[items[sure]] = guess[sure]
            # 3. Their strong views learn them.
            strong = strong_views(features, items, neighbors, seen, noise, rng)
            _, own_weight, own_bias = cross_entropy(
                weight, bias, scale * strong, one_hot[guess], counted
            )
            by_weight += np.float32(lam) * own_weight + np.float32(weight_decay) * weight
            by_bias += np.float32(lam) * own_bias
            adam.step([by_weight, by_bias], lr * 0.5 * (1 + np.cos(np.pi * step / steps)))
            if step % REPORT_EVERY == 0 or step == steps:
                progress(step, steps, "flexmatch_features")
    return LinearModel((scale * weight).astype(np.float64), bias.astype(np.float64))


def prepare(
    features: Float32,
    *,
    k: int = 10,
    views: int = 0,
    progress: Progress = silent,
    **others: object,
) -> dict[str, NDArray[np.int64]]:
    """What :func:`fit` needs of the features alone: pass it on as keyword arguments."""
    return {} if views else paws.prepare(features, k=k, progress=progress)


def asked_for(augmented: Augmented, views: int) -> NDArray[Any]:
    """The views of every item, [views, n, d]."""
    if augmented is None:
        raise UsageError(
            f"views: {views} given, but there are no images here to make them of. Train with usl "
            "train on a run of images, hand in augmented, or leave views out."
        )
    return augmented(views)


def aligned(
    answer: NDArray[np.float32], running: NDArray[np.float64], shares: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Answers [b, C] scaled class by class by shares over running mean; rows sum to 1 again."""
    scaled = answer * (shares / running).astype(np.float32)
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True))


def thresholds(
    sure_of: NDArray[np.int64], n_classes: int, tau: float, lowest: float
) -> NDArray[np.float64]:
    """T_c of every class, float64 [C]; ``sure_of`` [n] is ``n_classes`` where of none yet."""
    counts = np.bincount(sure_of, minlength=n_classes + 1)
    beta = counts[:n_classes] / max(1, counts.max())
    return np.asarray(tau * np.maximum(beta / (2 - beta), lowest))


def strong_views(
    features: Float32,
    items: NDArray[np.int64],
    neighbors: NDArray[np.int64] | None,
    seen: NDArray[Any] | None,
    noise: float,
    rng: np.random.Generator,
) -> Float32:
    """A strong view of each of ``items`` [b], float32 [b, d]; of ``seen`` [v, n, d] where given.

    Noise has no direction. Dropping dimensions instead is worse, by 30 points where few of them
    carry a class: a view that has lost them teaches the head what noise looks like.
    """
    if seen is not None:
        return seen[rng.integers(len(seen), size=len(items)), items].astype(np.float32)
    assert neighbors is not None
    near = neighbors[items, rng.integers(neighbors.shape[1], size=len(items))]
    added = rng.standard_normal((len(items), features.shape[1]), dtype=np.float32)
    added *= np.float32(noise / np.sqrt(features.shape[1]))
    return np.asarray(features[near] + added)


def cross_entropy(
    weight: NDArray[Any],
    bias: NDArray[Any],
    rows: NDArray[Any],
    target: NDArray[Any],
    counted: NDArray[np.bool_] | None = None,
) -> tuple[float, NDArray[Any], NDArray[Any]]:
    """Mean H(target, softmax(W x + b)), and its gradients by W [C, d] and b [C].

    Parameters
    ----------
    rows : [b, d]; target : [b, C], rows of sum 1.
    counted : [b], the rows that count; the mean is over all of them nevertheless.
    """
    logits = rows @ weight.T + bias
    logits -= logits.max(axis=1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    losses = -(target * log_p).sum(axis=1)
    gradient = (np.exp(log_p) - target) / rows.dtype.type(len(rows))
    if counted is not None:
        losses = losses * counted
        gradient *= counted[:, None]
    return float(losses.mean()), gradient.T @ rows, gradient.sum(axis=0)
