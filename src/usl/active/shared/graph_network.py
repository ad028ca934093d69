"""A graph network that tells labelled rows from others, which UncertainGCN and CoreGCN ask by.

Caramalau, Bhattarai, Kim: Sequential Graph Convolutional Network for Active Learning (CVPR 2021).
With S the cosines of linked rows, 0 on the diagonal, and D the sums of its columns,

    A = S D^-1 + I,   H = relu(A X W + b),   s = sigmoid(A drop(H) w + c)
    L = - mean over labelled log s - lam mean over others log(1 - s)

Constants are those of the authors' code. Theirs links every row with every other, n^2 cosines, of
10,000 unlabelled rows drawn anew each round; here a row is linked with its nearest neighbours, and
up to 50,000 rows are looked at. As A X never changes it is computed once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit

from usl.core.progress import Progress, silent
from usl.numeric.adam import Adam
from usl.numeric.arrays import TINY, Float32, Rows, Values
from usl.numeric.blocks import map_blocks
from usl.numeric.neighbor_graph import SEARCHED, kept_nearest, similarity, symmetric_weights
from usl.numeric.stage_cache import Keep
from usl.numeric.table import Table, as_table
from usl.selection.shared.sample import draw_sample

HIDDEN, DROPOUT, STEPS, LR, DECAY, LAM = 128, 0.3, 200, 1e-3, 5e-4, 1.2  # the authors' code
LINKED = 50_000  # rows that are looked at: all of a smaller collection
BLOCK = 4096  # rows; fixed, because products are rounded, and dropout drawn, block by block
NOISE = 1e-6  # what rounding leaves of a cosine of 0
REPORT_EVERY = 20  # steps


@dataclass(frozen=True)
class Linked:
    """The rows that are looked at, and how they are linked.

    ``rows`` int64 [r] of the table, sorted; ``points`` float32 [r, d]; ``labeled`` and ``free``,
    places among ``rows`` of those with a label and of the candidates; ``graph`` is A, [r, r].
    """

    rows: Rows
    points: Float32
    labeled: Rows
    free: Rows
    graph: sparse.csr_matrix

    @classmethod
    def of(
        cls,
        table: Table,
        budget: int,
        labeled: Rows,
        candidates: Rows,
        *,
        k: int,
        seed: int,
        keep: Keep,
        progress: Progress = silent,
    ) -> Linked:
        """All rows of a small table, a random part of a large one, each with its ``k`` nearest."""
        rng = np.random.default_rng(seed)
        rows = draw_sample(len(table), budget, labeled, candidates, max(LINKED, budget), rng)
        part = rows if len(rows) < len(table) else None
        points = table.take(part)
        k = min(k, len(rows) - 1)
        wide = min(max(k, SEARCHED), len(rows) - 1)
        found, distances = kept_nearest(
            as_table(points), wide, keep=keep, rows=part, progress=progress
        )
        return cls(
            rows,
            points,
            np.flatnonzero(np.isin(rows, labeled)),
            np.flatnonzero(np.isin(rows, candidates)),
            graph_of(points, found[:, :k], distances[:, :k]),
        )


def graph_of(points: Float32, found: Rows, distances: Float32) -> sparse.csr_matrix:
    """A of rows and their nearest others, ``found`` and ``distances`` [r, k]; sparse [r, r].

    Of a row that is like no other, or is zero, only the 1 on the diagonal is left.
    """
    weights = similarity(distances, 1.0)
    empty = np.asarray(~points.any(axis=1))  # what is read off a distance is no cosine there
    weights[empty] = 0
    weights[empty[found]] = 0
    weights[weights < NOISE] = 0  # divided by their sum they would be as large as any
    cosines = symmetric_weights(found, weights)
    degree = np.asarray(cosines.sum(axis=0)).ravel()
    scaled = cosines @ sparse.diags(1 / np.maximum(degree, TINY))
    return sparse.csr_matrix(scaled + sparse.identity(len(points)), dtype=np.float32)


@dataclass
class Weights:
    """W [d, h], b [h], w [h] and c [1], float32."""

    first: Float32
    bias: Float32
    second: Float32
    shift: Float32

    @classmethod
    def drawn(cls, width: int, hidden: int, rng: np.random.Generator) -> Weights:
        """Uniform within 1 / sqrt of the layer's own width, as in the authors' code."""

        def uniform(bound: float, *shape: int) -> Float32:
            return rng.uniform(-bound, bound, shape).astype(np.float32)

        bound = 1 / np.sqrt(hidden)
        return cls(
            uniform(bound, width, hidden), uniform(bound, hidden), uniform(1, hidden), uniform(1, 1)
        )

    def arrays(self) -> list[Float32]:
        """All of them."""
        return [self.first, self.bias, self.second, self.shift]


class GraphNetwork:
    """The network on one graph.

    Parameters
    ----------
    linked : the graph.
    seed : of the weights and of what drops out.

    Attributes
    ----------
    losses : L of every step of the training so far.
    """

    def __init__(self, linked: Linked, *, seed: int, hidden: int = HIDDEN) -> None:
        self.graph, self.back, self.seed = linked.graph, linked.graph.T.tocsr(), seed
        self.known = np.zeros(len(linked.rows), dtype=bool)
        self.known[linked.labeled] = True
        self.passed = np.asarray(linked.graph @ linked.points)  # A X
        rng = np.random.default_rng(seed)
        self.weights = Weights.drawn(linked.points.shape[1], hidden, rng)
        self.losses: list[float] = []

    def train(
        self,
        *,
        dropout: float = DROPOUT,
        steps: int = STEPS,
        lr: float = LR,
        decay: float = DECAY,
        lam: float = LAM,
        progress: Progress = silent,
    ) -> None:
        """``steps`` of Adam, each on all rows, with ``decay`` times each weight in its gradient."""
        arrays = self.weights.arrays()
        adam = Adam(arrays)
        for step in range(1, steps + 1):
            loss, gradients = self.step(step, dropout, lam)
            self.losses.append(loss)
            adam.step(
                [own + np.float32(decay) * a for own, a in zip(gradients, arrays, strict=True)], lr
            )
            if step % REPORT_EVERY == 0 or step == steps:
                progress(step, steps, "graph network")

    def step(self, number: int, dropout: float, lam: float) -> tuple[float, list[Float32]]:
        """L and its gradient by every weight; step ``number`` draws what drops out."""
        n, w = len(self.passed), self.weights

        def forward(start: int, stop: int) -> tuple[Float32, Float32]:
            seen = self._seen(start, stop)
            rng = np.random.default_rng([self.seed, number, start])
            seen *= rng.random(seen.shape, dtype=np.float32) >= dropout
            seen /= np.float32(1 - dropout)
            return seen, seen @ w.second

        kept, told = zip(*map_blocks(forward, n, BLOCK), strict=True)
        loss, slope = loss_of(self._logits(np.concatenate(told)), self.known, lam)
        back = np.asarray(self.back @ slope.astype(np.float32))  # by drop(H) w

        def backward(start: int, stop: int) -> tuple[Float32, Float32, Float32]:
            seen, own = kept[start // BLOCK], back[start:stop]
            by_seen = np.where(seen > 0, own[:, None] * (w.second / np.float32(1 - dropout)), 0)
            return self.passed[start:stop].T @ by_seen, by_seen.sum(axis=0), own @ seen

        sums = [np.zeros(a.shape) for a in (w.first, w.bias, w.second)]
        for parts in map_blocks(backward, n, BLOCK):
            for total, part in zip(sums, parts, strict=True):
                total += part
        return loss, [a.astype(np.float32) for a in (*sums, slope.sum(keepdims=True))]

    def hidden(self) -> Float32:
        """The H of every row, nothing dropped, float32 [r, h]."""
        return np.concatenate(list(map_blocks(self._seen, len(self.passed), BLOCK)))

    def scores(self) -> Values:
        """The s of every row, nothing dropped, float64 [r]: near 1 for a labelled one."""

        def told(start: int, stop: int) -> Float32:
            return np.asarray(self._seen(start, stop) @ self.weights.second)

        every = np.concatenate(list(map_blocks(told, len(self.passed), BLOCK)))
        return np.asarray(expit(self._logits(every)))

    def _seen(self, start: int, stop: int) -> Float32:
        """H of some rows."""
        seen = self.passed[start:stop] @ self.weights.first
        seen += self.weights.bias
        return np.maximum(seen, 0, out=seen)

    def _logits(self, told: Float32) -> Values:
        """What s is the sigmoid of, of drop(H) w, [r]."""
        return np.asarray(self.graph @ told, dtype=np.float64) + float(self.weights.shift[0])


def loss_of(logits: Values, known: NDArray[np.bool_], lam: float) -> tuple[float, Values]:
    """L, and its gradient by the logits [r]; ``known`` bool [r], the labelled rows."""
    count = known.sum(), (~known).sum()
    share = np.where(known, 1 / count[0], lam / count[1])
    loss = (share * np.logaddexp(0, np.where(known, -logits, logits))).sum()
    return float(loss), share * (expit(logits) - known)
