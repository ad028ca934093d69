"""Accord: class directions and the neighbour graph must agree on every item (ours).

Items x, centred and partly whitened, are unit vectors z; class c has a direction m_c; r_ic is how
much item i belongs to class c. Labelled items hold to their label. The rest maximise::

    sum_i [ kappa sum_c r_ic z_i . m_c + beta/2 sum_j W_ij r_i . r_j + H(r_i) ]

with W the row-normalised graph of the k nearest neighbours, by alternating
(:mod:`usl.training.shared.mixture`)::

    r_i = softmax(kappa z_i . m + beta (W r)_i)                          (``INNER`` times in a row)
    m_c = unit(sum_i r_ic z_i + mass_c sqrt(n_c) mean of its labels),     mass_c = sum_i r_ic

No prior on the classes' shares appears: they are neither assumed nor forced. A class's n_c labels
weigh as much as sqrt(n_c) times all of its items, so their say grows with them. Two numbers follow
the data. kappa is ``scale`` log C over the spread of an item's cosines, so that features of any
kind are told apart equally well, and a class stands out among few as among many. beta is
``graph_weight`` times the share of links whose ends the directions alone put into one class, above
chance: a graph that contradicts them has little say.

How sure it is, is estimated without the truth, from fits without a part of the labels (``FOLDS``
parts in turn). Two estimates need no more than the items: the mean confidence at the temperature
``PRIOR_TEMPERATURE``, and how few items change their class when labels are left out. A third is the
confidence, and what held-out labels are found more often, or less, than their own confidence says:
picks that are easier than the rest are surer, too, so that their ease cancels out. The first two
weigh as much as ``PRIOR_LABELS`` labels of the third. All three speak of classes that have labels;
items of unseen ones (:mod:`usl.training.shared.unseen_classes`) count as wrong, in the share of the
labels that can be held out: where each class has one, that may be by design. The final temperature
makes the mean confidence the estimate. docs/learner.md has the evidence.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import brentq

from usl.core.errors import DataError
from usl.core.parameters import Between, NotNegative, Positive
from usl.core.progress import Progress, silent
from usl.numeric.arrays import TINY, Float32, softmax
from usl.numeric.blocks import one_blas_thread
from usl.numeric.neighbor_graph import neighbor_weights
from usl.numeric.stage_cache import NOTHING, Keep
from usl.training.frozen.label_spreading import prepare as prepare_graph
from usl.training.models import MixtureModel
from usl.training.shared.mixture import Problem, Solved
from usl.training.shared.mixture_large import LargeProblem
from usl.training.shared.prototypes import label_votes
from usl.training.shared.unseen_classes import unseen_share
from usl.training.shared.whitening import Whitened

NAME = "accord"
FOLDS = 5  # parts of the labels that are held out in turn
FOLD_STEPS = 5  # alternations of a fit that only judges
PRIOR_TEMPERATURE = 2.4
PRIOR_LABELS = 40.0
ERRORS_PER_CHANGE = 3.0  # wrong items for each whose class a fifth of the labels decides
WATCHED = 10_000  # items that are watched for changes of their class
COLDEST, HOTTEST = 0.5, 20.0  # temperatures
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
    space: Whitened | None = None,
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
    graph, space : from :func:`prepare`, to train many times on the same features.

    Raises
    ------
    DataError : fewer than two classes have a label of weight above 0.
    """
    rows, votes = label_votes(classes, weights, n_classes)
    check_votes(votes)
    if graph is None:
        graph = neighbor_weights(features, k, power, progress)
    if space is None:
        space = Whitened.of(features, whiten)
    with one_blas_thread():  # products outside of blocks would round as BLAS splits them
        problem: Problem | LargeProblem
        if space.points is not None:
            problem = Problem(space.points, row_normalized(graph), scale, graph_weight)
        else:
            links = row_normalized(graph)
            problem = LargeProblem(features, space, links, scale, graph_weight, progress)
        found: Solved = problem.solve(rows, votes, steps)
        progress(1, 2, "accord")
        unlabelled = np.flatnonzero(classes < 0)
        rest = found.logits(unlabelled)[0]
        estimate = held_out(problem, rows, votes, unlabelled, rest)
        temperature = temperature_for(estimate, rest)
        progress(2, 2, "accord")
    return MixtureModel(
        train=features,
        scores=found.r,
        numbers=found.numbers,
        k=k,
        power=power,
        weight=(found.kappa * found.directions).astype(np.float64),
        bias=found.barred.astype(np.float64),
        graph=float(found.beta),
        temperature=temperature,
        center=space.center,
        projection=space.projection,
        estimate=estimate,
    )


def prepare(
    features: Any, *, whiten: float = 0.5, keep: Keep = NOTHING, **graph: Any
) -> dict[str, Any]:
    """What :func:`fit` needs of the features alone: pass it on as keyword arguments.

    Fits after a few more labels then take no more than the alternation
    (:class:`usl.training.refit.Refit`).

    Parameters
    ----------
    features : [n, d]. Above :data:`usl.training.shared.whitening.IN_MEMORY` rows they are read in
        blocks, of any float type, from memory or a file.
    keep : where the neighbour search is kept, so that it is found again.
    graph : of the graph, as in :func:`usl.training.frozen.label_spreading.prepare`.
    """
    return {**prepare_graph(features, keep=keep, **graph), "space": Whitened.of(features, whiten)}


def check_votes(votes: NDArray[np.float64]) -> None:
    """Refuse labels of which nothing can be learned."""
    heavy = np.count_nonzero(votes.sum(axis=0) > 0)
    if heavy < 2:
        raise DataError(
            f"classes: {heavy} of the {votes.shape[1]} classes have a label of weight above 0, so "
            "there is nothing to learn. Label items of at least two classes."
        )


def row_normalized(graph: sparse.csr_matrix) -> sparse.csr_matrix:
    """D^-1 W, float32 [n, n]."""
    degree = np.asarray(graph.sum(axis=1)).ravel()
    return sparse.csr_matrix(sparse.diags(1.0 / np.maximum(degree, TINY)) @ graph, dtype=np.float32)


def held_out(
    problem: Problem | LargeProblem,
    rows: NDArray[np.int64],
    votes: NDArray[np.float64],
    unlabelled: NDArray[np.int64],
    rest: Float32,
) -> float:
    """Estimated accuracy: by confidence, by what changes without some labels, and by these labels.

    A class keeps one label at least, so one with a single label says nothing. Picks are few, and
    prototypes of their surroundings: this is an estimate, no accuracy.

    Parameters
    ----------
    unlabelled : the items without a label, int64 [r]; ``rest`` their logits, [r, K].
    """
    numbers = votes.argmax(axis=1)
    parts = folds(numbers, votes.shape[1])
    lefts = [np.setdiff1d(np.arange(len(rows)), out) for out in parts]
    given = [(rows[left], votes[left]) for left in lefts]
    fits: Iterator[Solved] = problem.solve_each(given, FOLD_STEPS)
    watched = np.arange(0, len(unlabelled), max(1, len(unlabelled) // WATCHED))
    told = rest[watched].argmax(axis=1)
    surplus = total = changed = 0.0
    for out, fit_without in zip(parts, fits, strict=True):
        logits, of = fit_without.logits(rows[out])
        best = logits.argmax(axis=1)
        right = (best if of is None else of[np.arange(len(best)), best]) == numbers[out]
        sure = softmax(logits / np.float32(PRIOR_TEMPERATURE)).max(axis=1)
        weights = votes[out].sum(axis=1)
        surplus += float(weights @ (right - sure))
        total += float(weights.sum())
        others = fit_without.logits(unlabelled[watched])[0].argmax(axis=1)
        changed += np.count_nonzero(others != told) / max(1, len(watched))
    said = prior = mean_confidence(rest, PRIOR_TEMPERATURE)
    seen = 1.0
    if parts:
        share = sum(map(len, parts)) / len(rows)
        stable = max(0.0, 1 - ERRORS_PER_CHANGE * changed / (FOLDS * share))
        prior += share / 2 * (stable - said)
        items = problem.rows(unlabelled[watched])
        seen -= share * unseen_share(problem.rows(rows), numbers, items)
    found = total * said + surplus
    right_of_seen = (PRIOR_LABELS * prior + found) / (PRIOR_LABELS + total)
    return float(np.clip(seen * right_of_seen, LEAST, MOST))


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
    """The temperature at which the mean confidence is ``estimate``; the prior's without items."""
    if not len(logits):
        return PRIOR_TEMPERATURE
    shifted = logits - logits.max(axis=1, keepdims=True)

    def surplus(temperature: float) -> float:
        """Mean confidence above the estimate; the largest probability is 1 over the sum."""
        shares = shifted * np.float32(1 / temperature)
        np.exp(shares, out=shares)
        return float((1 / shares.sum(axis=1)).mean()) - estimate

    if surplus(COLDEST) <= 0:
        return COLDEST
    if surplus(HOTTEST) >= 0:
        return HOTTEST
    return float(brentq(surplus, COLDEST, HOTTEST, xtol=1e-5))
