"""Accord: class directions and the neighbour graph must agree on every item (ours).

Items x, centred and partly whitened, are unit vectors z; class c has a direction m_c; r_ic is how
much item i belongs to class c. Labelled items hold to their label. The rest maximise::

    sum_i [ kappa sum_c r_ic z_i . m_c + beta/2 sum_j W_ij r_i . r_j + H(r_i) ]

with W the row-normalised graph of the k nearest neighbours, by alternating::

    r_i = softmax(kappa z_i . m + beta (W r)_i)                          (``INNER`` times in a row)
    m_c = unit(sum_i r_ic z_i + mass_c sqrt(n_c) mean of its labels),     mass_c = sum_i r_ic

No prior on the classes' shares appears: they are neither assumed nor forced. A class's n_c labels
weigh as much as sqrt(n_c) times all of its items, so their say grows with them. Two numbers follow
the data. kappa is ``scale`` log C over the spread of an item's cosines, so that features of any
kind are told apart equally well, and a class stands out among few as among many. beta is
``graph_weight`` times the share of links whose ends the directions alone put into one class, above
chance: a graph that contradicts them has little say.

How sure it is, is estimated without the truth. Labels are held out in ``FOLDS`` parts, and the
accuracy is taken to be the mean confidence at the temperature ``PRIOR_TEMPERATURE``, and what the
held-out labels are found more often, or less, than their own confidence says: picks that are easier
than the rest are surer, too, so that their ease cancels out. ``PRIOR_LABELS`` labels that are found
as often as said draw the difference towards 0. The final temperature makes the mean confidence
that estimate. docs/learner.md has the evidence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from usl.core.parameters import Between, NotNegative, Positive
from usl.core.progress import Progress, silent
from usl.numeric.arrays import TINY, Float32, softmax
from usl.numeric.blocks import one_blas_thread
from usl.numeric.neighbor_graph import neighbor_weights
from usl.training.frozen.label_spreading import prepare as prepare
from usl.training.models import MixtureModel
from usl.training.shared.prototypes import label_votes
from usl.training.shared.whitening import whitened

NAME = "accord"
INNER = 3
SETTLED = 5e-4  # mean change of r that ends the alternation
FOLDS = 5  # parts of the labels that are held out in turn
FOLD_STEPS = 5  # alternations of a fit that only judges
PRIOR_TEMPERATURE = 2.4
PRIOR_LABELS = 20.0
COLDEST, HOTTEST = 0.5, 20.0  # temperatures
BARRED = -1e4
LEAST, MOST = 0.01, 0.995  # estimates


def fit(
    features: Float32,
    classes: NDArray[np.int64],
    weights: NDArray[np.float64],
    n_classes: int,
    *,
    seed: int = 0,
    progress: Progress = silent,
    k: Annotated[int, Positive] = 10,
    power: float = 4.0,
    scale: Annotated[float, Positive] = 0.52,
    graph_weight: Annotated[float, NotNegative] = 9.0,
    whiten: Annotated[float, Between(0, 1)] = 0.5,
    steps: Annotated[int, Positive] = 10,
    graph: sparse.csr_matrix | None = None,
) -> MixtureModel:
    """Alternate assignments and directions; then see how often held-out labels are found.

    Parameters
    ----------
    k : neighbours of each item in the graph.
    power : exponent of the cosine similarity in the edge weights.
    scale : kappa times the spread of an item's cosines with the classes, over log C.
    graph_weight : beta where neighbours always agree.
    whiten : 0 leaves the features as they are, but for their centre; 1 makes all directions alike.
    steps : alternations at most; fewer where nothing changes any more.
    graph : from :func:`prepare`, to train many times on the same features.
    """
    if graph is None:
        graph = neighbor_weights(features, k, power, progress)
    links = row_normalized(graph)
    with one_blas_thread():
        points, center, projection = whitened(features, whiten)
        problem = Problem(points, links, scale, graph_weight)
        rows, votes = label_votes(classes, weights, n_classes)
        found = problem.solve(rows, votes, steps)
        progress(1, 2, "accord")
        estimate = held_out(problem, rows, votes, found)
        temperature = temperature_for(estimate, found.logits[classes < 0])
        progress(2, 2, "accord")
    return MixtureModel(
        train=features,
        scores=found.r.astype(np.float64),
        k=k,
        power=power,
        weight=(found.kappa * found.directions).astype(np.float64),
        bias=barring(votes).astype(np.float64),
        graph=float(found.beta),
        temperature=temperature,
        center=center,
        projection=projection,
        estimate=estimate,
    )


def row_normalized(graph: sparse.csr_matrix) -> sparse.csr_matrix:
    """D^-1 W, float32 [n, n]."""
    degree = np.asarray(graph.sum(axis=1)).ravel()
    return sparse.csr_matrix(sparse.diags(1.0 / np.maximum(degree, TINY)) @ graph, dtype=np.float32)


@dataclass(frozen=True)
class Solved:
    """Assignments ``r`` [n, C] and their ``logits``, the ``directions`` [C, e], kappa and beta."""

    r: Float32
    logits: Float32
    directions: Float32
    kappa: np.float32
    beta: np.float32


@dataclass(frozen=True)
class Problem:
    """What all fits share: ``points`` z float32 [n, e], ``links`` W, and both parameters."""

    points: Float32
    links: sparse.csr_matrix
    scale: float
    graph_weight: float

    def solve(self, rows: NDArray[np.int64], votes: NDArray[np.float64], steps: int) -> Solved:
        """Alternate from the labelled means; ``votes`` [m, C] of the labelled ``rows`` [m]."""
        held = votes.sum(axis=1, keepdims=True)
        one_hot = (votes / np.maximum(held, TINY)).astype(np.float32)
        held = (held / max(float(held.max()), TINY)).astype(np.float32)  # no weight holds nothing
        sums = votes.T @ self.points[rows]
        counts = np.maximum(votes.sum(axis=0), TINY)[:, None]
        directions = _unit(sums)
        barred = barring(votes)
        r = before = np.empty(0, np.float32)
        for step in range(steps):
            cosines = self.points @ directions.T
            kappa = np.float32(self.scale * np.log(cosines.shape[1]) / max(_spread(cosines), TINY))
            own = kappa * cosines + barred
            beta = np.float32(self.graph_weight * self.agreement(own))
            before = r
            r = r if step else _hold(softmax(own), rows, one_hot, held)
            for _ in range(INNER):
                logits = own + beta * (self.links @ r)
                r = _hold(softmax(logits), rows, one_hot, held)
            mass = r.sum(axis=0, dtype=np.float64)[:, None]
            directions = _unit(r.T @ self.points + mass / np.sqrt(counts) * sums)
            if step and np.abs(r - before).sum(axis=1).mean() < SETTLED:
                break
        return Solved(r, logits, directions, kappa, beta)

    def agreement(self, own: Float32) -> float:
        """How often linked items have one nearest direction, above chance: 0 to 1."""
        nearest = np.zeros_like(own)
        nearest[np.arange(len(own)), own.argmax(axis=1)] = 1
        same = float(np.einsum("nc,nc->", self.links @ nearest, nearest)) / len(own)
        chance = 1.0 / own.shape[1]
        return float(max(0.0, (same - chance) / (1 - chance)))


def barring(votes: NDArray[np.float64]) -> Float32:
    """What is added to the logits, [C]: a class whose labels have no weight gets no item."""
    return np.where(votes.sum(axis=0) <= TINY, BARRED, 0.0).astype(np.float32)


def held_out(
    problem: Problem, rows: NDArray[np.int64], votes: NDArray[np.float64], found: Solved
) -> float:
    """Estimated accuracy: the mean confidence, corrected by what held-out labels show of it.

    A class keeps one label at least, so one with a single label says nothing. Picks are few, and
    prototypes of their surroundings: this is an estimate, no accuracy.
    """
    numbers = votes.argmax(axis=1)
    surplus = total = 0.0
    for out in folds(numbers, votes.shape[1]):
        left = np.setdiff1d(np.arange(len(rows)), out)
        logits = problem.solve(rows[left], votes[left], FOLD_STEPS).logits[rows[out]]
        right = logits.argmax(axis=1) == numbers[out]
        sure = softmax(logits / np.float32(PRIOR_TEMPERATURE)).max(axis=1)
        given = votes[out].sum(axis=1)
        surplus += float(given @ (right - sure))
        total += float(given.sum())
    rest = np.ones(len(found.r), dtype=bool)
    rest[rows] = False
    said = mean_confidence(found.logits[rest], PRIOR_TEMPERATURE)
    return float(np.clip(said + surplus / (total + PRIOR_LABELS), LEAST, MOST))


def folds(numbers: NDArray[np.int64], n_classes: int) -> list[NDArray[np.int64]]:
    """Up to ``FOLDS`` disjoint parts of the labels to hold out, none with all of a class.

    The labels of a class go to the parts in turn, and where they are fewer than the parts, the
    first stays in all fits.
    """
    parts: list[list[int]] = [[] for _ in range(FOLDS)]
    start = 0
    for c in range(n_classes):
        own = np.flatnonzero(numbers == c)
        if len(own) <= 1:
            continue
        for place, row in enumerate(own):
            parts[(start + place) % FOLDS].append(int(row))
        start += len(own)
    return [np.array(part) for part in parts if part]


def mean_confidence(logits: Float32, temperature: float) -> float:
    """Mean of the largest probability; 1 without items."""
    if not len(logits):
        return 1.0
    return float(softmax(logits / np.float32(temperature)).max(axis=1).mean())


def temperature_for(estimate: float, logits: Float32) -> float:
    """The temperature at which the mean confidence is ``estimate``, by bisection."""
    low, high = COLDEST, HOTTEST
    for _ in range(20):
        middle = float(np.sqrt(low * high))
        if mean_confidence(logits, middle) > estimate:
            low = middle
        else:
            high = middle
    return float(np.sqrt(low * high))


def _hold(r: Float32, rows: NDArray[np.int64], one_hot: Float32, held: Float32) -> Float32:
    """Labelled rows as they are labelled, as far as the label's weight goes."""
    r[rows] = held * one_hot + (1 - held) * r[rows]
    return r


def _spread(cosines: Float32) -> float:
    """Root mean square of an item's cosines about their mean."""
    return float(np.sqrt(np.square(cosines - cosines.mean(axis=1, keepdims=True)).mean()))


def _unit(rows: NDArray[np.float64]) -> Float32:
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), TINY)
    return np.asarray(rows / lengths, dtype=np.float32)
