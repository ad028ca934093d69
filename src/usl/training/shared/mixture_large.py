"""Accord's alternation for large collections: of every item only its ``LIKELIEST`` classes.

As :mod:`usl.training.shared.mixture`, with three approximations. An item's classes are those with
the largest logits, chosen anew in every step of a full fit; its shares of all others are 0. Shares
below ``LEAST`` are not handed on to neighbours. A fit that only judges takes the classes that the
full fit has found. The items are read in blocks, from whatever they lie in, as often as a step
needs them; what is kept of each is its length in the whitened space, ``LIKELIEST`` logits and the
few shares that are handed on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from usl.core.progress import Progress, silent
from usl.numeric.arrays import TINY, Float32, Rows, Values, softmax
from usl.numeric.blocks import map_blocks
from usl.numeric.distances import smallest
from usl.training.shared import mixture
from usl.training.shared.mixture import INNER, Labelled, unit
from usl.training.shared.whitening import Whitened

LIKELIEST = 32  # classes of an item
LEAST = 1e-3  # share that is handed on to neighbours
BLOCK = 2048  # rows; sums over rows depend on it

Numbers = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Sparse:
    """What a fit has found: ``numbers`` int [n, K], each item's classes, ``own`` their logits
    without neighbours, ``before`` the assignments, sparse [n, C], that the last are made of.
    """

    labels: Labelled
    numbers: Numbers
    own: Float32
    before: sparse.csr_matrix
    links: sparse.csr_matrix
    directions: Float32
    barred: Float32
    kappa: float
    beta: float

    def logits(self, rows: Rows) -> tuple[Float32, Numbers]:
        """See :meth:`usl.training.shared.mixture.Solved.logits`."""

        def block(start: int, stop: int) -> Float32:
            own = rows[start:stop]
            voted = votes(self.links[own], self.before, self.numbers[own])
            return self.own[own] + np.float32(self.beta) * voted

        parts = list(map_blocks(block, len(rows), BLOCK))
        numbers = self.numbers[rows]
        return np.concatenate(parts or [np.empty(numbers.shape, np.float32)]), numbers

    @property
    def r(self) -> Float32:
        """Assignments to the ``numbers``, float32 [n, K]."""
        r = softmax(self.logits(np.arange(len(self.own)))[0])
        hold(r, self.numbers, self.labels, 0)
        return r


@dataclass(frozen=True)
class LargeProblem:
    """What all fits share: ``features`` [n, d] of any float type, wherever they lie.

    ``links`` W, and both parameters, as in :class:`usl.training.shared.mixture.Problem`.
    """

    features: Any
    space: Whitened
    links: sparse.csr_matrix
    scale: float
    graph_weight: float
    progress: Progress = silent
    _numbers: list[Numbers] = field(default_factory=list)  # of the last full fit

    def solve(self, rows: Rows, votes: Values, steps: int) -> Sparse:
        """Alternate from the labelled means; ``votes`` [m, C] of the labelled ``rows`` [m]."""
        work = _Work(self, self._labelled(rows, votes), None)
        found = work.run(steps)
        self._numbers[:] = [found.numbers]
        return found

    def solve_each(self, given: Sequence[tuple[Rows, Values]], steps: int) -> Iterator[Sparse]:
        """As :meth:`solve` for several sets of labels, among the classes of the last full fit."""
        for rows, votes in given:
            yield _Work(self, self._labelled(rows, votes), self._numbers[0]).run(steps)

    def rows(self, rows: Rows) -> Float32:
        """Z of some items, float32 [r, e]."""
        return np.asarray(self.scaled(rows) @ self.space.projection)

    def _labelled(self, rows: Rows, votes: Values) -> Labelled:
        return Labelled.of(rows, votes, self.rows(rows))

    def scaled(self, rows: Rows | slice) -> Float32:
        """Of some rows (x - center) over the length that it has once projected, [b, d]."""
        points = np.asarray(self.features[rows], dtype=np.float32) - self.space.center
        points /= self.space.lengths[rows, None]
        return np.asarray(points)


class _Work:
    """The tables of one fit, and its alternation."""

    def __init__(self, problem: LargeProblem, labels: Labelled, numbers: Numbers | None) -> None:
        self.problem, self.labels = problem, labels
        self.n, self.classes = len(problem.space.lengths), len(labels.counts)
        self.barred = labels.barred
        self.fixed = numbers is not None or self.classes <= LIKELIEST
        small = np.int16 if self.classes < 2**15 else np.int32
        width = min(LIKELIEST, self.classes)
        if numbers is None:
            numbers = np.broadcast_to(np.arange(width, dtype=small), (self.n, width))
            numbers = numbers if self.fixed else np.array(numbers)
        self.numbers = numbers
        self.own = np.empty((self.n, width), dtype=np.float32)
        self.nearest = np.empty(self.n, dtype=small)
        self.directions = unit(labels.sums)
        self.kappa = self.beta = 0.0
        self.r = self.before = sparse.csr_matrix((self.n, self.classes), dtype=np.float32)

    def run(self, steps: int) -> Sparse:
        """Alternate until nothing changes any more, ``steps`` times at most."""
        for step in range(steps):
            change = self._step(step == 0)
            self.problem.progress(step + 1, steps, "accord")
            if step and change < mixture.SETTLED:
                break
        return Sparse(
            self.labels,
            self.numbers,
            self.own,
            self.before,
            self.problem.links,
            self.directions,
            self.barred,
            self.kappa,
            self.beta,
        )

    def _step(self, first: bool) -> float:
        problem, n = self.problem, self.n
        self.first = first
        self.map = problem.space.projection @ self.directions.T  # z . m = (x - center) map / length
        total = sum(map_blocks(self._cosines, n, BLOCK))
        spread = float(np.sqrt(total / (n * self.classes)))
        self.kappa = float(problem.scale * np.log(self.classes) / max(spread, TINY))
        same = sum(map_blocks(self._agreement, n, BLOCK)) / n
        chance = 1.0 / self.classes
        self.beta = problem.graph_weight * max(0.0, (same - chance) / (1 - chance))
        if first:
            self.r = self._joined(map_blocks(self._start, n, BLOCK))
        former = self.r
        for _ in range(INNER):
            self.before = self.r
            self.r = self._joined(map_blocks(self._assign, n, BLOCK))
        change, moments = 0.0, np.zeros((self.classes, len(problem.space.center)))
        self.former = former
        for part, changed in map_blocks(self._moments, n, BLOCK):
            moments += part
            change += changed
        mass = np.asarray(self.r.sum(axis=0, dtype=np.float64)).ravel()
        self.directions = self.labels.directions(moments @ problem.space.projection, mass)
        return change / n

    def _cosines(self, start: int, stop: int) -> float:
        """Cosines of a block's rows with their classes; squares of all about their mean."""
        here = slice(start, stop)
        cosines = self.problem.scaled(here) @ self.map
        allowed = cosines + self.barred if self.barred.any() else cosines
        self.nearest[here] = allowed.argmax(axis=1)
        if not self.fixed:
            rank = allowed.copy()
            if not self.first:  # by the logits of the last step's scales
                rank *= np.float32(self.kappa)
                rank += np.float32(self.beta) * (self.problem.links[here] @ self.r).toarray()
            self.numbers[here] = likeliest(rank, self.labels, start)
        self.own[here] = np.take_along_axis(cosines, self.numbers[here].astype(np.int64), axis=1)
        cosines -= cosines.mean(axis=1, keepdims=True)
        return float(np.einsum("nc,nc->n", cosines, cosines).sum(dtype=np.float64))

    def _agreement(self, start: int, stop: int) -> float:
        """Cosines become logits; the sum of links whose ends have one nearest direction."""
        here = slice(start, stop)
        self.own[here] *= np.float32(self.kappa)
        self.own[here] += self.barred[self.numbers[here]]
        first, *_, last = self.problem.links.indptr[start : stop + 1].tolist()
        counts = np.diff(self.problem.links.indptr[start : stop + 1])
        same = (
            np.repeat(self.nearest[here], counts)
            == self.nearest[self.problem.links.indices[first:last]]
        )
        return float(self.problem.links.data[first:last][same].sum(dtype=np.float64))

    def _start(self, start: int, stop: int) -> sparse.csr_matrix:
        return self._shares(self.own[start:stop].copy(), start)

    def _assign(self, start: int, stop: int) -> sparse.csr_matrix:
        """New assignments of a block."""
        here = slice(start, stop)
        logits = votes(self.problem.links[here], self.before, self.numbers[here])
        logits *= np.float32(self.beta)
        logits += self.own[here]
        return self._shares(logits, start)

    def _shares(self, logits: Float32, start: int) -> sparse.csr_matrix:
        """A block's assignments by its logits, without those too small to be handed on."""
        numbers = self.numbers[start : start + len(logits)]
        r = softmax(logits)
        hold(r, numbers, self.labels, start)
        kept = r >= LEAST
        bounds = np.concatenate([[0], np.cumsum(np.count_nonzero(kept, axis=1))])
        return sparse.csr_matrix((r[kept], numbers[kept], bounds), (len(r), self.classes))

    def _moments(self, start: int, stop: int) -> tuple[Values, float]:
        """A block's sum of r_ic z_i, yet to be projected, [C, d]; and how far r has changed."""
        here = slice(start, stop)
        r = self.r[here]
        return (r.T @ self.problem.scaled(here)).astype(np.float64), float(
            abs(r - self.former[here]).sum()
        )

    def _joined(self, blocks: Iterable[sparse.csr_matrix]) -> sparse.csr_matrix:
        parts = list(blocks)
        data, indices = (
            np.concatenate([getattr(p, name) for p in parts]) for name in ("data", "indices")
        )
        counts = np.concatenate([np.diff(part.indptr) for part in parts])
        bounds = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        return sparse.csr_matrix((data, indices, bounds), (self.n, self.classes))


def votes(links: sparse.csr_matrix, r: sparse.csr_matrix, numbers: Numbers) -> Float32:
    """What the neighbours of some rows say of their classes: (W r) at ``numbers``, [b, K]."""
    said = (links @ r).toarray()
    return np.take_along_axis(said, numbers.astype(np.int64), axis=1)


def likeliest(rank: Float32, labels: Labelled, start: int) -> Rows:
    """The classes of largest ``rank`` [b, C], int64 [b, K]; a labelled row's is among them."""
    found = smallest(-rank, LIKELIEST)
    here = labels.between(start, start + len(rank))
    rows, wanted = labels.rows[here] - start, labels.classes[here]
    absent = ~(found[rows] == wanted[:, None]).any(axis=1)
    rows, wanted = rows[absent], wanted[absent]
    worst = np.take_along_axis(rank[rows], found[rows], axis=1).argmin(axis=1)
    found[rows, worst] = wanted
    return found


def hold(r: Float32, numbers: Numbers, labels: Labelled, start: int) -> None:
    """Labelled rows of a block ``r`` [b, K] as they are labelled, as far as they are held."""
    here = labels.between(start, start + len(r))
    rows, held = labels.rows[here] - start, labels.held[here]
    r[rows] *= 1 - held
    r[rows] += held * (numbers[rows] == labels.classes[here][:, None])
