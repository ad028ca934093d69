"""What tasks of a selection tell of a cell: the best row of each cluster, and no more."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self

import numpy as np

from usl.engine.cells import Cell, Cells
from usl.engine.columns import Column
from usl.engine.store import Store
from usl.numeric.arrays import Float32, Rows, Values
from usl.numeric.distances import density
from usl.numeric.inverted_lists import stable_order
from usl.selection.methods.usl import Preset
from usl.selection.sharded.limits import Limits

BLOCK = 8192  # rows


@dataclass(frozen=True)
class Bests:
    """Rows that may be picked: ``clusters``, numbers of ``rows``, ``points`` [r, d].

    ``scores``, and of what they are made: ``utility`` and ``regularizer``; float64 [r].
    """

    clusters: Rows
    rows: Rows
    points: Float32
    scores: Values
    utility: Values
    regularizer: Values

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.rows)

    def take(self, places: Rows) -> Self:
        """Some of them, in this order."""
        return type(self)(*(getattr(self, one.name)[places] for one in fields(self)))

    def ranked(self) -> Self:
        """The highest score first; ties: the lower row."""
        return self.take(np.lexsort((self.rows, -self.scores)))

    def best(self, most: int = 1) -> Self:
        """The ``most`` highest scores of each cluster; ties: the lower row."""
        order = np.lexsort((self.rows, -self.scores, self.clusters))
        of = self.clusters[order]
        first = np.searchsorted(of, of)
        return self.take(order[np.arange(len(of)) - first < most])

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """Those of several cells."""
        columns = zip(*([getattr(p, f.name) for f in fields(cls)] for p in parts), strict=True)
        return cls(*(np.concatenate(column) for column in columns))


@dataclass(frozen=True)
class Turn:
    """One pass of the exchange (Algorithm 1): the file with its picks, and how they repel.

    ``number`` from 1; ``settings`` of the preset; ``mean_distance`` as of :func:`dense`.
    """

    number: int
    settings: Preset
    mean_distance: Column | None

    @property
    def name(self) -> str:
        """The file: ``points``, ``homes`` and ``served`` clusters, and which picks are near."""
        return f"exchange/{self.number}"

    def average(self, store: Store) -> Column:
        """The moving average of the repulsion after this pass."""
        return Column(store, f"average-{self.number}")


def central(cells: Cells, number: int, limits: Limits, most: int) -> Bests:
    """The rows of a cell nearest to the means of their clusters."""
    cell, known = Cell(cells, number), cells.store.load("means")
    means = known["sums"] / np.maximum(known["counts"], 1)[:, None]
    points, clusters = cell.features, cell.clusters
    away = np.empty(len(points))
    for first in range(0, len(points), BLOCK):
        part = slice(first, first + BLOCK)
        away[part] = np.linalg.norm(points[part] - means[clusters[part]], axis=1)
    return _highest(cell, limits.allowed(cell), -away, np.zeros(len(away)), most)


def dense(
    cells: Cells, number: int, limits: Limits, most: int, mean_distance: Column | None
) -> Bests:
    """The densest rows of a cell in each cluster.

    ``mean_distance`` : to the nearest rows (Eq. 3); None counts all as equally dense.
    """
    cell = Cell(cells, number)
    score = _density(cell, mean_distance)
    return _highest(cell, limits.allowed(cell), score, np.zeros(len(score)), most)


def exchanged(cells: Cells, number: int, limits: Limits, most: int, turn: Turn) -> Bests:
    """The best rows of a cell in each cluster under the repulsion of a turn, Eq. 5-7."""
    settings, state = turn.settings, cells.store.load(turn.name)
    cell = Cell(cells, number)
    points, clusters = cell.features, cell.clusters
    order = stable_order(clusters, len(state["served"]))
    order = order[state["served"][clusters[order]]]
    felt = np.zeros(len(points))
    near = state.get("near")
    for first in range(0, len(order), BLOCK):
        some = order[first : first + BLOCK]
        about = points[some], clusters[some], state["points"], state["homes"]
        exchange = settings.repulsion
        felt[some] = exchange.from_all(*about) if near is None else exchange.from_near(*about, near)
    before = np.zeros(len(points))
    if settings.momentum and turn.number > 1:
        before = replace(turn, number=turn.number - 1).average(cells.store).of(cell)
    average = settings.momentum * before + (1 - settings.momentum) * felt
    if settings.momentum:
        turn.average(cells.store).save(cell, average)
    may = limits.allowed(cell)
    may = may[state["served"][clusters[may]]]
    return _highest(cell, may, _density(cell, turn.mean_distance), average, most, settings.lam)


def _density(cell: Cell, mean_distance: Column | None) -> Values:
    return np.zeros(len(cell.rows)) if mean_distance is None else density(mean_distance.of(cell))


def _highest(
    cell: Cell, may: Rows, utility: Values, regularizer: Values, most: int, weight: float = 0.0
) -> Bests:
    """The best of each cluster, of the positions ``may``."""
    rows, clusters, score = cell.rows, cell.clusters, utility - weight * regularizer
    order = may[np.lexsort((rows[may], -score[may], clusters[may]))]
    of = clusters[order]
    kept = order[np.arange(len(of)) - np.searchsorted(of, of) < most]
    about = clusters[kept], rows[kept], cell.features[kept]
    return Bests(*about, score[kept], utility[kept], regularizer[kept])
