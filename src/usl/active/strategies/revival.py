"""REVIVAL, our interpretation: rows at the edge of what labels reach over the neighbour graph.

Guo, Shi, Kang, Kuang, Tang, Jiang, Sun, Wu, Zhuang: Semi-supervised Active Learning for
Semi-supervised Models: Exploit Adversarial Examples with Graph-based Virtual Labels (ICCV 2021). No
code was released; what follows is the paper's idea on frozen features, and the choices are ours:

1. Virtual labels: labels spread over the k-nearest-neighbour graph (Zhou et al., 2004).
2. The task model is a linear head, trained on virtual labels. A row weighs 1 - H(q) / log C with q
   its virtual label, as in label propagation for networks (Iscen et al., CVPR 2019).
3. The virtual adversarial direction of a row (Miyato et al., 2018) is that in which the head's
   answer p changes the most, the first eigenvector of the Hessian of KL(p(x) || p(x + r)) at r = 0.
   Asked are the rows whose answer changes the most a step along it: clusters end there.

A head of weights W [C, d] has the Hessian W^T F W with F = diag(p) - p p^T, so that the search is
one of C dimensions. Along the direction both ways are looked at, and the larger change counts.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from usl.active.contract import Query
from usl.active.shared.doubt import between
from usl.active.shared.head import check_two_classes
from usl.core.parameters import Positive
from usl.core.progress import Progress
from usl.numeric.arrays import TINY, Float32, Rows, Values, softmax
from usl.numeric.blocks import one_blas_thread
from usl.numeric.neighbor_graph import SEARCHED, kept_nearest, similarity, symmetric_weights
from usl.numeric.stage_cache import Keep
from usl.numeric.table import Table, as_table
from usl.selection.shared.sample import draw_pool
from usl.training.frozen import label_spreading, logistic
from usl.training.models import LinearModel

NAME = "REVIVAL (our interpretation)"
NEEDS_MODEL = True
DRAWN = "starts from random directions"
POWER = 4.0  # of the cosine in the graph's weights, as in label spreading
TAUGHT = 10_000  # rows whose virtual labels train the head
STEPS = 10  # of the power iteration; the first direction stands out after a few
BLOCK = 4096  # rows; fixed, because directions are drawn block by block


def query(
    features: Float32,
    budget: int,
    *,
    labeled: NDArray[np.int64],
    classes: NDArray[np.int64],
    predictions: NDArray[np.float64],
    candidates: NDArray[np.int64],
    seed: int,
    progress: Progress,
    keep: Keep,
    k: Annotated[int, Positive] = 10,
    reach: Annotated[float, Positive] = 0.5,
) -> Query:
    """Ask for the rows whose answer changes the most, of equal ones the lower row first.

    The figure ``change`` is KL(p(x) || p(x + r)), in nats; ``epsilon`` the length of r.

    Parameters
    ----------
    k : neighbours of each row in the graph.
    reach : length of the step, as a share of the mean distance of a row to its nearest neighbour.
        Beyond 0.5 another row would be nearer.
    """
    table = as_table(features)
    check_two_classes(classes, "revival")
    numbers, own = np.unique(classes, return_inverse=True)
    wide = min(max(k, SEARCHED), len(table) - 1)
    found, distances = kept_nearest(table, wide, keep=keep, progress=progress)
    head = taught_head(table, labeled, own, len(numbers), found[:, :k], distances[:, :k], seed)
    epsilon = reach * float(distances[:, 0].mean(dtype=np.float64))
    change, likely, beyond = changes(table, candidates, head, epsilon, seed)
    taken = np.argsort(-change, kind="stable")[:budget]
    return Query(
        candidates[taken],
        between(numbers[likely[taken]], numbers[beyond[taken]]),
        {"change": change[taken]},
        {"k": k, "reach": reach, "epsilon": epsilon},
    )


def taught_head(
    table: Table,
    labeled: Rows,
    classes: Rows,
    n_classes: int,
    found: Rows,
    distances: Float32,
    seed: int,
) -> LinearModel:
    """The head that virtual labels train, on all labels and at most ``TAUGHT`` other rows.

    ``found`` and ``distances`` [n, k] : the neighbours of every row.
    """
    every = np.full(len(table), -1, dtype=np.int64)
    every[labeled] = classes
    graph = symmetric_weights(found, similarity(distances, POWER))
    points = table.take(None)
    weights = np.ones(len(table))
    spread = label_spreading.fit(points, every, weights, n_classes, graph=graph)
    virtual = spread.fitted()
    certain = 1 - entr(virtual).sum(axis=1) / np.log(n_classes)
    guesses = np.where(every < 0, virtual.argmax(axis=1), every)
    certain[labeled] = 1
    rows = np.union1d(labeled, draw_pool(np.flatnonzero(every < 0), TAUGHT, seed))
    rows = rows[certain[rows] > 0]
    with one_blas_thread():  # which rounds by the number of its threads
        return logistic.fit(points[rows], guesses[rows], certain[rows], n_classes)


def changes(
    table: Table, rows: Rows, head: LinearModel, epsilon: float, seed: int
) -> tuple[Values, Rows, Rows]:
    """Of each of ``rows``, [r] each: the largest change of the answer within ``epsilon``, in nats;
    the likeliest class, and the likeliest other one after the change.
    """
    inner = head.weight @ head.weight.T

    def block(points: Float32, own: Rows) -> tuple[Values, Rows, Rows]:
        logits = points @ head.weight.T + head.bias
        p = softmax(logits)
        u = np.random.default_rng([seed, int(own[0])]).standard_normal(p.shape)
        root = np.sqrt(p)
        for _ in range(STEPS):  # F = S S^T with S u = root u - p (root . u); its transpose likewise
            u /= np.maximum(np.linalg.norm(u, axis=1, keepdims=True), TINY)
            along = (root * u - p * (root * u).sum(axis=1, keepdims=True)) @ inner
            u, before = root * (along - (p * along).sum(axis=1, keepdims=True)), u
        length = np.sqrt(np.maximum((u * before).sum(axis=1, keepdims=True), TINY))
        step = epsilon * along / length
        moved = np.stack([softmax(logits + way * step) for way in (1, -1)])
        logs = np.log(np.maximum(p, TINY)) - np.log(np.maximum(moved, TINY))
        change = (p * logs).sum(axis=2)
        way = change.argmax(axis=0)
        every = np.arange(len(p))
        likely, after = p.argmax(axis=1), moved[way, every]
        after[every, likely] = -1
        return change[way, every], likely, after.argmax(axis=1)

    parts: Any = zip(*table.map(block, rows, block=BLOCK, rows=rows), strict=True)
    change, likely, beyond = (np.concatenate(part) for part in parts)
    return change, likely, beyond
