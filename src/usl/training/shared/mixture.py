"""Accord's alternation, exact: every item's share of every class, for several fits at once.

Fits that differ in their labels alone (:func:`usl.training.frozen.accord.held_out`) stand side by
side, in columns, so that points and links are read once for all of them. All sums run over fixed
blocks in order: the number of threads changes nothing. :mod:`usl.training.shared.mixture_large` is
for collections too large for n x C numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from usl.numeric.arrays import TINY, Float32, Rows, Values
from usl.numeric.blocks import map_blocks

INNER = 3  # assignments in a row
SETTLED = 5e-4  # mean change of r that ends the alternation
BARRED = -1e4  # logit of a class whose labels have no weight
SAFE = 80.0  # logits up to here need no shift before their exponential
BLOCK = 4096  # rows; sums over rows depend on it
TOGETHER = 128 << 20  # bytes of one table of all fits that stand side by side


@dataclass(frozen=True)
class Labelled:
    """The labels of a fit.

    ``rows`` int64 [m], ascending, and their ``classes`` int64 [m]; ``held`` float32 [m, 1], how far
    a row is held to its label; ``sums`` float64 [C, e] of the labels' points and ``counts``
    float64 [C] of the labels, both by weight.
    """

    rows: Rows
    classes: Rows
    held: Float32
    sums: Values
    counts: Values

    @classmethod
    def of(cls, rows: Rows, votes: Values, points: Float32) -> Labelled:
        """From ``votes`` [m, C] of ``rows``, whose ``points`` are [m, e]."""
        held = votes.sum(axis=1, keepdims=True)
        held = held / max(float(held.max(initial=0.0)), TINY)  # no weight holds nothing
        sums = votes.T @ points.astype(np.float64)
        return cls(rows, votes.argmax(axis=1), held.astype(np.float32), sums, votes.sum(axis=0))

    @property
    def barred(self) -> Float32:
        """What is added to the logits, [C]: a class whose labels have no weight gets no item."""
        return np.where(self.counts <= TINY, BARRED, 0.0).astype(np.float32)

    def between(self, start: int, stop: int) -> slice:
        """The labels of the rows of a block."""
        return slice(*np.searchsorted(self.rows, [start, stop]).tolist())

    def hold(self, r: Float32, start: int) -> None:
        """Labelled rows of a block ``r`` [b, C] as they are labelled, as far as they are held."""
        here = self.between(start, start + len(r))
        rows, held = self.rows[here] - start, self.held[here]
        r[rows] *= 1 - held
        r[rows, self.classes[here]] += held[:, 0]

    def directions(self, moments: Values, mass: Values) -> Float32:
        """m_c = unit(sum_i r_ic z_i + mass_c sqrt(n_c) mean of its labels), [C, e]."""
        weight = mass / np.sqrt(np.maximum(self.counts, TINY))
        return unit(moments + weight[:, None] * self.sums)


class Solved(Protocol):
    """What a fit has found: assignments ``r`` [n, K] to the ``numbers`` [n, K], or to all classes.

    ``directions`` [C, e], ``barred`` [C], kappa and beta are the model's.
    """

    @property
    def r(self) -> Float32:
        """Assignments."""

    @property
    def numbers(self) -> NDArray[np.integer[Any]] | None:
        """The classes that they are to."""

    @property
    def directions(self) -> Float32:
        """m_c."""

    @property
    def barred(self) -> Float32:
        """What is added to the logits."""

    @property
    def kappa(self) -> float:
        """The scale of the cosines."""

    @property
    def beta(self) -> float:
        """The weight of the graph."""

    def logits(self, rows: Rows) -> tuple[Float32, NDArray[np.integer[Any]] | None]:
        """Logits of rows, [q, K], and the classes that they are of; None for all C in order."""


@dataclass(frozen=True)
class Dense:
    """What a fit has found (:class:`Solved`), with assignments ``r`` to all classes, [n, C].

    ``own`` [n, C] are the logits without neighbours, ``before`` the assignments that r is made of.
    """

    r: Float32
    own: Float32
    before: Float32
    links: sparse.csr_matrix
    directions: Float32
    barred: Float32
    kappa: float
    beta: float
    numbers: None = None

    def logits(self, rows: Rows) -> tuple[Float32, None]:
        """See :meth:`Solved.logits`."""
        voted = self.links[rows] @ np.ascontiguousarray(self.before)
        return self.own[rows] + np.float32(self.beta) * voted, None


@dataclass(frozen=True)
class Problem:
    """What all fits share: ``points`` z float32 [n, e], ``links`` W, and both parameters."""

    points: Float32
    links: sparse.csr_matrix
    scale: float
    graph_weight: float

    def solve(self, rows: Rows, votes: Values, steps: int) -> Dense:
        """Alternate from the labelled means; ``votes`` [m, C] of the labelled ``rows`` [m]."""
        return self._side_by_side([Labelled.of(rows, votes, self.points[rows])], steps)[0]

    def solve_each(self, given: Sequence[tuple[Rows, Values]], steps: int) -> Iterator[Dense]:
        """As :meth:`solve` for several sets of labels, in order."""
        if not given:
            return
        labels = [Labelled.of(rows, votes, self.points[rows]) for rows, votes in given]
        size = 4 * len(self.points) * given[0][1].shape[1]
        together = max(1, TOGETHER // size)
        for first in range(0, len(labels), together):
            yield from self._side_by_side(labels[first : first + together], steps)

    def rows(self, rows: Rows) -> Float32:
        """Z of some items, float32 [r, e]."""
        return self.points[rows]

    def _side_by_side(self, labels: list[Labelled], steps: int) -> list[Dense]:
        work = _Work(self, labels)
        for step in range(steps):
            if work.step(step == 0) < SETTLED and step:
                break
        return work.found()


class _Work:
    """Tables of fits side by side, [n, F * C], and one alternation of all of them."""

    def __init__(self, problem: Problem, labels: list[Labelled]) -> None:
        self.problem, self.labels = problem, labels
        n, self.fits, self.classes = len(problem.points), len(labels), len(labels[0].counts)
        shape = n, self.fits * self.classes
        self.own, *self.tables = (np.empty(shape, dtype=np.float32) for _ in range(4))
        self.nearest = np.empty(
            (n, self.fits), dtype=np.int16 if self.classes < 2**15 else np.int32
        )
        self.directions = np.concatenate([unit(one.sums) for one in labels])
        self.barred = np.concatenate([one.barred for one in labels])
        self.kappa = self.beta = np.zeros(self.fits)
        starts = range(0, n, BLOCK)
        self.links = [problem.links[start : start + BLOCK] for start in starts]

    def step(self, first: bool) -> float:
        """Assignments, then directions; the largest mean change of r over the fits."""
        problem, n = self.problem, len(self.own)
        spread = np.sqrt(sum(map_blocks(self._cosines, n, BLOCK)) / (n * self.classes))
        self.kappa = problem.scale * np.log(self.classes) / np.maximum(spread, TINY)
        self.first = first
        same = sum(map_blocks(self._agreement, n, BLOCK)) / n
        chance = 1.0 / self.classes
        self.beta = problem.graph_weight * np.maximum(0.0, (same - chance) / (1 - chance))
        before, *free = self.tables
        self.former, source = before, before
        for turn in range(INNER):
            self.source, self.target, self.last = source, free[turn % 2], turn == INNER - 1
            parts = list(map_blocks(self._assign, n, BLOCK))
            source = self.target
        self.tables = [self.target, self.source, before]
        moments, mass, change = (sum(column) for column in zip(*parts, strict=True))
        self.directions = np.concatenate(
            [
                one.directions(moments[columns], mass[columns])
                for one, columns in zip(self.labels, self._columns(), strict=True)
            ]
        )
        return float(np.max(change)) / n

    def found(self) -> list[Dense]:
        """Each fit with its columns of the tables."""
        r, before, _ = self.tables
        links = self.problem.links
        return [
            Dense(
                r[:, own],
                self.own[:, own],
                before[:, own],
                links,
                self.directions[own],
                self.barred[own],
                float(kappa),
                float(beta),
            )
            for own, kappa, beta in zip(self._columns(), self.kappa, self.beta, strict=True)
        ]

    def _columns(self) -> list[slice]:
        c = self.classes
        return [slice(fit * c, (fit + 1) * c) for fit in range(self.fits)]

    def _by_fit(self, table: Float32) -> Float32:
        return table.reshape(len(table), self.fits, self.classes)

    def _cosines(self, start: int, stop: int) -> Values:
        """Cosines of a block's rows, and the nearest directions; squares about the mean, [F]."""
        own = self.own[start:stop]
        np.matmul(self.problem.points[start:stop], self.directions.T, out=own)
        self.nearest[start:stop] = self._by_fit(own + self.barred).argmax(axis=2)
        by_fit = self._by_fit(own)
        about = by_fit - row_sums(by_fit) / np.float32(self.classes)
        np.square(about, out=about)
        return np.asarray(row_sums(about)[:, :, 0].sum(axis=0, dtype=np.float64))

    def _agreement(self, start: int, stop: int) -> Values:
        """Cosines become logits; the sum of links whose ends have one nearest direction, [F]."""
        own = self.own[start:stop]
        own *= np.repeat(self.kappa, self.classes).astype(np.float32)
        own += self.barred
        if self.first:
            self._softmax(own.copy(), self.tables[0], start)
        links = self.links[start // BLOCK]
        mine = np.repeat(self.nearest[start:stop], np.diff(links.indptr), axis=0)
        same = np.equal(mine, self.nearest[links.indices]).astype(np.float32)
        return np.asarray(links.data @ same, dtype=np.float64)

    def _assign(self, start: int, stop: int) -> tuple[Any, ...]:
        """New assignments of a block; after the last, what directions and the end go by."""
        logits = self.links[start // BLOCK] @ self.source
        logits *= np.repeat(self.beta, self.classes).astype(np.float32)
        logits += self.own[start:stop]
        self._softmax(logits, self.target, start)
        if not self.last:
            return ()
        r, before = self.target[start:stop], self.former[start:stop]
        moments = (r.T @ self.problem.points[start:stop]).astype(np.float64)
        change = row_sums(self._by_fit(np.abs(r - before)))[:, :, 0].sum(axis=0, dtype=np.float64)
        return moments, r.sum(axis=0, dtype=np.float64), change

    def _softmax(self, logits: Float32, target: Float32, start: int) -> None:
        """Write a block's assignments by its logits, which are overwritten."""
        by_fit = self._by_fit(logits)
        if np.max(self.kappa + self.beta) > SAFE:
            by_fit -= by_fit.max(axis=2, keepdims=True)
        np.exp(by_fit, out=by_fit)
        by_fit /= row_sums(by_fit)
        for fit, one in enumerate(self.labels):
            one.hold(by_fit[:, fit], start)
        target[start : start + len(logits)] = logits


def row_sums(table: Float32) -> Float32:
    """Sums over the last axis of [b, F, C], which stays; a product is far quicker than a sum."""
    ones = np.ones(table.shape[2], dtype=np.float32)
    return np.asarray((table.reshape(-1, len(ones)) @ ones).reshape(*table.shape[:2], 1))


def unit(rows: Values) -> Float32:
    """Rows scaled to unit length; one without length stays at the origin."""
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), TINY)
    return np.asarray(rows / lengths, dtype=np.float32)
