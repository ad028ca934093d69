"""What methods ask of a large table of features, and the answers of an array on this machine.

A method calls the verbs of a :class:`Table` (neighbours, clusters, sums), and need not know where
the rows lie. :class:`LocalTable` answers in blocks, on all cores; shards on many machines answer by
the same verbs (:mod:`usl.engine.shard_table`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from usl.core.progress import Progress, silent
from usl.numeric import distances, kmeans, neighbor_search, pairwise_sums
from usl.numeric.arrays import Float32, Rows, Values
from usl.numeric.blocks import map_blocks
from usl.numeric.farthest import Farthest
from usl.numeric.inverted_lists import Lists, list_sums
from usl.numeric.inverted_search import Probing
from usl.numeric.lloyd import KMeans
from usl.numeric.pairwise_sums import Kernel

T = TypeVar("T")
# What Table.nearest and Table.mean_distance return.
Neighborhoods = tuple[tuple[Rows, Float32], tuple[Values, Probing | None]]


class Anchored(Protocol):
    """How far every row is from the nearest of a growing set: ``squared`` float32 [n].

    Infinite while the set is empty.
    """

    squared: Float32

    def add(self, row: int) -> None:
        """Let ``row`` join the set."""


class Table(Protocol):
    """A table of n rows of width d, float32, inside the unit ball.

    On shards (:class:`usl.engine.shard_table.CellTable`) the verbs ``take``, ``nearest``,
    ``mean_distance``, ``kmeans``, ``assign``, ``sums`` and ``farthest`` mean the same, but what has
    an entry per row never comes to one process. There

    - ``kmeans`` gives centroids alone, and ``assign`` the table with its rows dealt out by them,
      whose ``sums`` are those of its clusters;
    - ``mean_distance`` gives a :class:`usl.engine.columns.Column`, in files beside the rows;
    - ``farthest`` takes points, for picks keep away from rows of other tables, too, and gives a
      :class:`usl.engine.columns.Reach`, which tasks ask for the distances of the rows in hand.
    """

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d)."""

    def __len__(self) -> int:
        """Number of rows."""

    def take(self, rows: Rows | None = None) -> Float32:
        """The ``rows`` int64 [r], or all, in memory: float32 [r, d]."""

    def nearest(
        self, k: int, points: Float32 | None = None, *, progress: Progress = silent
    ) -> tuple[Rows, Float32]:
        """The k nearest others of every row, or the k rows nearest to each of ``points`` [q, d].

        Row numbers int64 [n or q, k] and distances float32, by distance, then by number.
        """

    def mean_distance(
        self,
        k: int,
        *,
        exact: bool | None = None,
        clusters: Rows | None = None,
        squared: bool = False,
        count_self: bool = False,
        progress: Progress = silent,
    ) -> tuple[Values, Probing | None]:
        """Mean distance of every row to its k nearest others (Eq. 3), float64 [n].

        And how lists were searched, None for an exact search. Arguments as of
        :func:`usl.numeric.neighbor_search.typical_distance`.
        """

    def neighborhood(
        self, k: int, wide: int, *, squared: bool = False, progress: Progress = silent
    ) -> Neighborhoods:
        """:meth:`nearest` of ``k`` and :meth:`mean_distance` of ``wide``, in one search."""

    def kmeans(
        self,
        count: int,
        *,
        rng: np.random.Generator,
        iterations: int = 200,
        exact: bool | None = None,
        start: Float32 | None = None,
        progress: Progress = silent,
    ) -> KMeans:
        """A partition into ``count`` clusters. Arguments as of :func:`usl.numeric.kmeans.kmeans`.

        The start is drawn as there: in the order of ``rng.permutation(n)``, distinct rows first.
        """

    def assign(self, centers: Float32) -> Rows:
        """The nearest of ``centers`` float32 [m, d] for every row, int64 [n]; ties: the lower."""

    def sums(self, groups: Rows, count: int) -> Values:
        """The sum of the rows of each of ``count`` groups, float64 [count, d]; ``groups`` [n]."""

    def farthest(self, anchors: Rows) -> Anchored:
        """Squared distance of every row to the nearest of ``anchors`` [a] and those added later."""

    def kernel_sums(
        self,
        kernel: Kernel,
        rows: Rows | None = None,
        others: Rows | None = None,
        *,
        low: Float32 | None = None,
        span: Float32 | None = None,
        weights: Float32 | None = None,
        progress: Progress = silent,
        label: str = "",
    ) -> Values:
        """For each of ``rows`` the sum over ``others`` of a kernel of both, float64 [r].

        Arguments as of :func:`usl.numeric.pairwise_sums.kernel_sums`.
        """

    def map(
        self,
        function: Callable[..., T],
        *columns: NDArray[Any],
        block: int,
        rows: Rows | None = None,
        progress: Progress = silent,
        label: str = "",
    ) -> Iterator[T]:
        """``function(points, *parts)`` for blocks of rows, in order.

        Parameters
        ----------
        function : of the rows of a block, float32 [b, d], and its parts of the columns.
        columns : arrays with one entry per row.
        block : rows in each; a result that sums over rows depends on it.
        rows : int64 [r], only these, in this order; None for all.
        """


@dataclass(frozen=True)
class LocalTable:
    """A :class:`Table` in memory or in a mapped file: ``features`` float32 [n, d]."""

    features: Float32

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d)."""
        return len(self.features), self.features.shape[1]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.features)

    def take(self, rows: Rows | None = None) -> Float32:
        """See :meth:`Table.take`; all of them without a copy."""
        return self.features if rows is None else self.features[rows]

    def nearest(
        self, k: int, points: Float32 | None = None, *, progress: Progress = silent
    ) -> tuple[Rows, Float32]:
        """See :meth:`Table.nearest`."""
        if points is None:
            return neighbor_search.nearest_others(self.features, k, progress=progress)
        return distances.nearest(points, self.features, k, progress=progress)

    def mean_distance(self, k: int, **how: Any) -> tuple[Values, Probing | None]:
        """See :meth:`Table.mean_distance`."""
        return neighbor_search.typical_distance(self.features, k, **how)

    def neighborhood(self, k: int, wide: int, **how: Any) -> Neighborhoods:
        """See :meth:`Table.neighborhood`."""
        return neighbor_search.neighborhood(self.features, k, wide, **how)

    def kmeans(self, count: int, **how: Any) -> KMeans:
        """See :meth:`Table.kmeans`."""
        return kmeans.kmeans(self.features, count, **how)

    def assign(self, centers: Float32) -> Rows:
        """See :meth:`Table.assign`."""
        return distances.nearest_center(self.features, centers)

    def sums(self, groups: Rows, count: int) -> Values:
        """See :meth:`Table.sums`."""
        return list_sums(self.features, Lists.of(groups, count))

    def farthest(self, anchors: Rows) -> Farthest:
        """See :meth:`Table.farthest`."""
        return Farthest(self.features, anchors)

    def kernel_sums(
        self, kernel: Kernel, rows: Rows | None = None, others: Rows | None = None, **how: Any
    ) -> Values:
        """See :meth:`Table.kernel_sums`."""
        return pairwise_sums.kernel_sums(self.features, kernel, rows, others, **how)

    def map(
        self,
        function: Callable[..., T],
        *columns: NDArray[Any],
        block: int,
        rows: Rows | None = None,
        progress: Progress = silent,
        label: str = "",
    ) -> Iterator[T]:
        """See :meth:`Table.map`."""

        def one_block(start: int, stop: int) -> T:
            points = self.features[start:stop] if rows is None else self.features[rows[start:stop]]
            return function(points, *(column[start:stop] for column in columns))

        n = len(self) if rows is None else len(rows)
        return map_blocks(one_block, n, block, progress=progress, label=label)


def as_table(features: Float32 | Table) -> Table:
    """An array float32 [n, d] as a table of this machine; a table as it is."""
    return LocalTable(features) if isinstance(features, np.ndarray) else features


def group_means(table: Table, groups: Rows, count: int) -> Float32:
    """The mean of each group's rows, float32 [count, d]; zero for one without rows."""
    sizes = np.maximum(np.bincount(groups, minlength=count), 1)
    return (table.sums(groups, count) / sizes[:, None]).astype(np.float32)
