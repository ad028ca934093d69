"""What tasks of a selection tell of a cell: the best row of each cluster, and no more."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from usl.engine.cells import Cells
from usl.engine.densities import utilities
from usl.numeric.arrays import Float32, Rows, Values
from usl.numeric.distances import density
from usl.numeric.inverted_lists import stable_order
from usl.selection.constraints.spacing import squared_to_points
from usl.selection.methods.usl import Preset

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

    ``number`` from 1; ``settings`` of the preset.
    """

    number: int
    settings: Preset

    @property
    def name(self) -> str:
        """The file: ``points``, ``homes`` and ``served`` clusters, and which picks are near."""
        return f"exchange/{self.number}"


@dataclass(frozen=True)
class Apart:
    """Rows beside picks that are kept, at a ``distance`` from them, of clusters that are open.

    ``name`` of the file with the ``rows`` and ``points`` kept and which clusters are ``open``.
    """

    name: str
    distance: float = 0.0


def central(cells: Cells, cell: int, most: int, apart: Apart | None = None) -> Bests:
    """The rows of a cell nearest to the means of their clusters."""
    rows, _, clusters = cells.about(cell)
    points, known = cells.features(cell), cells.store.load("means")
    means = known["sums"] / np.maximum(known["counts"], 1)[:, None]
    away = np.empty(len(rows))
    for first in range(0, len(rows), BLOCK):
        part = slice(first, first + BLOCK)
        away[part] = np.linalg.norm(points[part] - means[clusters[part]], axis=1)
    may = allowed(cells, cell, points, apart)
    return _highest(may, rows, clusters, points, -away, np.zeros(len(rows)), most)


def dense(cells: Cells, cell: int, most: int, flat: bool, apart: Apart | None = None) -> Bests:
    """The densest rows of a cell in each cluster; ``flat`` counts all as equally dense."""
    rows, _, clusters = cells.about(cell)
    score = np.zeros(len(rows)) if flat else density(utilities(cells, cell))
    points = cells.features(cell)
    may = allowed(cells, cell, points, apart)
    return _highest(may, rows, clusters, points, score, np.zeros(len(rows)), most)


def exchanged(
    cells: Cells, cell: int, turn: Turn, most: int = 1, apart: Apart | None = None
) -> Bests:
    """The best rows of a cell in each cluster under the repulsion of a turn, Eq. 5-7."""
    settings, state = turn.settings, cells.store.load(turn.name)
    rows, _, clusters = cells.about(cell)
    points = cells.features(cell)
    order = stable_order(clusters, len(state["served"]))
    order = order[state["served"][clusters[order]]]
    felt = np.zeros(len(rows))
    near = state.get("near")
    for first in range(0, len(order), BLOCK):
        some = order[first : first + BLOCK]
        about = points[some], clusters[some], state["points"], state["homes"]
        exchange = settings.repulsion
        felt[some] = exchange.from_all(*about) if near is None else exchange.from_near(*about, near)
    before = np.zeros(len(rows))
    if settings.momentum and turn.number > 1:
        before = cells.store.rows(f"average/{cell}-{turn.number - 1}")[0]
    average = settings.momentum * before + (1 - settings.momentum) * felt
    if settings.momentum:
        cells.store.save_rows(f"average/{cell}-{turn.number}", average)
    utility = np.zeros(len(rows)) if not settings.k else density(utilities(cells, cell))
    may = allowed(cells, cell, points, apart)
    may = may[state["served"][clusters[may]]]
    return _highest(may, rows, clusters, points, utility, average, most, settings.lam)


def allowed(cells: Cells, cell: int, points: Float32 | None, apart: Apart | None) -> Rows:
    """Positions of the rows of a cell that may be picked, ascending.

    Its ``points`` [r, d] are read where they are needed and not given.
    """
    store = cells.store
    rows, _, clusters = cells.about(cell)
    may = ~np.isin(rows, store.rows("excluded")[0])
    if store.has("collapsed"):
        may &= store.rows(f"alike/{cell}")[0]
    if store.has("blocked"):
        points = cells.features(cell) if points is None else points
        blocked, left = store.load("blocked"), np.flatnonzero(may)
        away = squared_to_points(points, left, blocked["points"])
        may[left[away < blocked["distance"] ** 2]] = False
    if apart is None:
        return np.flatnonzero(may)
    state = store.load(apart.name)
    left = np.flatnonzero(may & state["open"][clusters] & ~np.isin(rows, state["rows"]))
    if not apart.distance:
        return left
    points = cells.features(cell) if points is None else points
    away = squared_to_points(points, left, state["points"])
    return np.asarray(left[away >= apart.distance**2])


def _highest(
    may: Rows,
    rows: Rows,
    clusters: Rows,
    points: Float32,
    utility: Values,
    regularizer: Values,
    most: int,
    weight: float = 0.0,
) -> Bests:
    """The best of each cluster, of the positions ``may``."""
    score = utility - weight * regularizer
    order = may[np.lexsort((rows[may], -score[may], clusters[may]))]
    of = clusters[order]
    kept = order[np.arange(len(of)) - np.searchsorted(of, of) < most]
    return Bests(
        clusters[kept], rows[kept], points[kept], score[kept], utility[kept], regularizer[kept]
    )
