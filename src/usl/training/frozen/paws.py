"""PAWS on frozen features: labelled items vote, and two views of an item must agree.

Assran et al., Semi-Supervised Learning of Visual Features by Non-Parametrically Predicting View
Assignments with Support Samples, 2021. With z = M x / |M x|, and S the labelled items
mapped alike::

    p(x) = softmax(z S^T / tau + log w) Y                                   (their Eq. 1)
    L    = mean_i H(sharpen(p(x_i')), p(x_i)) + me_max KL(mean_i sharpen(p(x_i)) || pi)   (Eq. 2)

sharpen(p)_c is proportional to p_c^(1/T); the target of H is a constant, and x_i and x_i' each
serve the other. Y holds smoothed labels, w their weights. What differs from the paper: an encoder
is not trained but a square matrix M that starts as the identity; the second view x' of an item is
one of its nearest neighbours; and pi need not be uniform (uniform pi gives the paper's entropy, up
to a constant). By default pi is estimated from the labels
(:mod:`usl.training.shared.class_shares`): the second term then only keeps a class from taking over
or dying out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from usl.core.parameters import Positive
from usl.core.progress import Progress, silent
from usl.numeric.adam import Adam
from usl.numeric.arrays import TINY, Float32, softmax
from usl.numeric.blocks import one_blas_thread
from usl.numeric.neighbor_search import nearest_others
from usl.numeric.pca import principal_directions, second_moments
from usl.training.models import SupportModel
from usl.training.shared.class_shares import ClassPrior, prior_shares

WIDEST = 512  # dimensions that are trained; wider features are first projected on as many
SMOOTHING = 0.1  # of the labels
MOST_SUPPORTS = 1024  # labels that vote in one step of training; all vote in the result
FLOOR = 1e-4  # of a share in pi: no class is driven out
REPORT_EVERY = 50  # steps


@dataclass(frozen=True)
class Supports:
    """Labelled items ``rows`` [m, d], their votes Y [m, C] and log w [m]."""

    rows: NDArray[Any]
    votes: NDArray[Any]
    log_weights: NDArray[Any]

    def take(self, chosen: NDArray[np.int64]) -> Supports:
        """Some of them."""
        return Supports(self.rows[chosen], self.votes[chosen], self.log_weights[chosen])


def fit(
    features: Float32,
    classes: NDArray[np.int64],
    weights: NDArray[np.float64],
    n_classes: int,
    *,
    seed: int = 0,
    progress: Progress = silent,
    k: Annotated[int, Positive] = 10,
    temperature: Annotated[float, Positive] = 0.1,
    sharpening: Annotated[float, Positive] = 0.25,
    me_max: float = 1.0,
    steps: Annotated[int, Positive] = 700,
    batch_size: Annotated[int, Positive] = 512,
    lr: float = 1e-3,
    class_prior: ClassPrior = None,
    neighbors: NDArray[np.int64] | None = None,
) -> SupportModel:
    """Train the projection of the features; the labelled items then vote on any item.

    Parameters
    ----------
    k : neighbours of each item that can be its second view.
    temperature : tau of the vote; smaller, and only the nearest labelled items count.
    sharpening : T of the targets, against equal shares for all classes.
    me_max : strength with which the mean of the predictions is held at pi; 0 leaves it free, and
        a frequent class may then take over.
    steps, batch_size : of training; a batch holds as many items, and a neighbour of each.
    lr : of Adam, falling to 0 along a cosine.
    class_prior : ``uniform`` makes pi uniform and gives every class the same say in the vote;
        ``labels`` makes pi the labels' shares. Left out, pi is estimated from the labels' votes on
        all items. ``off`` holds nothing, as with ``me_max`` 0.
    neighbors : int64 [n, k] from :func:`prepare`, to train many times on the same features.
    """
    shares = prior_shares(class_prior, features, classes, weights, n_classes)
    if shares is None:
        shares, me_max = np.full(n_classes, 1.0 / n_classes), 0.0
    if neighbors is None:
        neighbors = prepare(features, k=k, progress=progress)["neighbors"]
    start = start_of(features)
    rng = np.random.default_rng(seed)
    with one_blas_thread():
        reduced = features if start is None else features @ start
        supports = make_supports(reduced, classes, weights, n_classes, class_prior)
        projection = np.eye(reduced.shape[1], dtype=np.float32)
        pi = np.maximum(shares, FLOOR).astype(np.float32)
        pi /= pi.sum()
        adam = Adam([projection])
        for step in range(1, steps + 1):
            items = rng.integers(len(reduced), size=batch_size)
            near = neighbors[items, rng.integers(neighbors.shape[1], size=batch_size)]
            voters = supports
            if len(supports.rows) > MOST_SUPPORTS:
                drawn = rng.choice(len(supports.rows), MOST_SUPPORTS, replace=False)
                voters = supports.take(np.sort(drawn))
            pair = reduced[np.concatenate([items, near])]
            _, gradient = paws_loss(projection, pair, voters, pi, temperature, sharpening, me_max)
            adam.step([gradient], lr * 0.5 * (1 + np.cos(np.pi * step / steps)))
            if step % REPORT_EVERY == 0 or step == steps:
                progress(step, steps, "paws")
        mapped, _ = unit(supports.rows @ projection)
        whole = projection if start is None else start @ projection
    return SupportModel(whole, mapped, supports.log_weights, supports.votes, temperature)


def prepare(
    features: Float32, *, k: int = 10, progress: Progress = silent, **others: object
) -> dict[str, NDArray[np.int64]]:
    """What :func:`fit` needs of the features alone: pass it on as keyword arguments."""
    count = min(k, len(features) - 1)
    return {"neighbors": nearest_others(features, count, progress=progress)[0]}


def start_of(features: Float32) -> Float32 | None:
    """Leading directions [d, WIDEST] of features wider than that: a step costs their square."""
    if features.shape[1] <= WIDEST:
        return None
    directions = principal_directions(second_moments(features, None, None), WIDEST)
    return np.ascontiguousarray(directions.T, dtype=np.float32)


def make_supports(
    features: Float32,
    classes: NDArray[np.int64],
    weights: NDArray[np.float64],
    n_classes: int,
    class_prior: ClassPrior,
) -> Supports:
    """The labelled items; with a uniform prior the weights of each class have the same sum."""
    rows = np.flatnonzero(classes >= 0)
    given = np.maximum(weights[rows], TINY)
    if class_prior == "uniform":
        given = given / np.bincount(classes[rows], weights=given)[classes[rows]]
    votes = np.full((len(rows), n_classes), SMOOTHING / n_classes, dtype=np.float32)
    votes[np.arange(len(rows)), classes[rows]] += np.float32(1 - SMOOTHING)
    return Supports(features[rows], votes, np.log(given).astype(np.float32))


@dataclass(frozen=True)
class Vote:
    """p [b, C], and what its gradient needs: units z, s, their lengths and the shares q [b, m]."""

    p: NDArray[Any]
    q: NDArray[Any]
    z: NDArray[Any]
    s: NDArray[Any]
    z_lengths: NDArray[Any]
    s_lengths: NDArray[Any]


def vote(
    projection: NDArray[Any], rows: NDArray[Any], supports: Supports, temperature: float
) -> Vote:
    """Eq. 1 for a block of items [b, d]."""
    z, z_lengths = unit(rows @ projection)
    s, s_lengths = unit(supports.rows @ projection)
    logits = z @ s.T / z.dtype.type(temperature) + supports.log_weights
    q = softmax(logits)
    return Vote(q @ supports.votes, q, z, s, z_lengths, s_lengths)


def unit(rows: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows of unit length, and the lengths they had [b, 1]."""
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), TINY)
    return rows / lengths, lengths


def sharpen(p: NDArray[Any], t: float) -> NDArray[Any]:
    """p^(1/T), rows of sum 1."""
    powered = (p / p.max(axis=1, keepdims=True)) ** p.dtype.type(1 / t)
    return np.asarray(powered / powered.sum(axis=1, keepdims=True))


def paws_loss(
    projection: NDArray[Any],
    pair: NDArray[Any],
    supports: Supports,
    pi: NDArray[Any],
    temperature: float,
    t: float,
    me_max: float,
    target: NDArray[Any] | None = None,
) -> tuple[float, NDArray[Any]]:
    """Eq. 2 and its gradient with respect to the projection [d, e].

    Parameters
    ----------
    pair : [2b, d], first views, then second views of the same items in the same order.
    pi : [C], where the mean prediction is held.
    target : [2b, C]; None for the sharpened predictions of the other view.
    """
    found = vote(projection, pair, supports, temperature)
    p, q, count = found.p, found.q, len(pair)
    sharp = sharpen(p, t)
    if target is None:
        target = np.concatenate([sharp[count // 2 :], sharp[: count // 2]])
    mean = np.maximum(sharp.mean(axis=0), TINY)
    ratio = np.log(mean / pi)
    value = -(target * np.log(p)).sum() / count + me_max * (mean * ratio).sum()

    # 1. With respect to p; d sharp / d log p = (diag(sharp) - sharp sharp^T) / T.
    outer = sharp * (ratio - (sharp * ratio).sum(axis=1, keepdims=True))
    gradient = (p.dtype.type(me_max / t) * outer - target) / (p * count)
    # 2. To the cosines, through the votes and the softmax.
    gradient = gradient @ supports.votes.T
    gradient = q * (gradient - (q * gradient).sum(axis=1, keepdims=True))
    gradient /= p.dtype.type(temperature)
    # 3. To the mapped items and supports: the derivative of a / |a| removes the part along a.
    by_z, by_s = gradient @ found.s, gradient.T @ found.z
    by_z = (by_z - (by_z * found.z).sum(axis=1, keepdims=True) * found.z) / found.z_lengths
    by_s = (by_s - (by_s * found.s).sum(axis=1, keepdims=True) * found.s) / found.s_lengths
    # 4. To the projection.
    return float(value), pair.T @ by_z + supports.rows.T @ by_s
