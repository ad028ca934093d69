"""Rows with their lengths: what the heads of USL-T's released code see on frozen features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32, Rows
from usl.numeric.table import Table

T = TypeVar("T")


class Points(Protocol):
    """What heads ask of a table (:class:`usl.numeric.table.Table`), and no more."""

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d)."""

    def __len__(self) -> int:
        """Number of rows."""

    def take(self, rows: Rows | None = None) -> Float32:
        """See :meth:`usl.numeric.table.Table.take`."""

    def map(
        self,
        function: Callable[..., T],
        *columns: NDArray[Any],
        block: int,
        progress: Progress = silent,
        label: str = "",
    ) -> Iterator[T]:
        """See :meth:`usl.numeric.table.Table.map`."""


@dataclass(frozen=True)
class WithLengths:
    """The rows of a table, each times its length: ``lengths`` float32 [n]."""

    table: Table
    lengths: Float32

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d)."""
        return self.table.shape

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.table)

    def take(self, rows: Rows | None = None) -> Float32:
        """See :class:`Points`."""
        chosen = self.lengths if rows is None else self.lengths[rows]
        return np.asarray(self.table.take(rows) * chosen[:, None])

    def map(
        self,
        function: Callable[..., T],
        *columns: NDArray[Any],
        block: int,
        progress: Progress = silent,
        label: str = "",
    ) -> Iterator[T]:
        """See :class:`Points`."""

        def stretched(points: Float32, lengths: Float32, *parts: NDArray[Any]) -> T:
            return function(points * lengths[:, None], *parts)

        columns = (self.lengths, *columns)
        return self.table.map(stretched, *columns, block=block, progress=progress, label=label)
