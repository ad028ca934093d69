"""How many rows are in a ball around each candidate, without a graph that could fill the memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32, Rows
from usl.numeric.distances import half_distances, halved
from usl.numeric.pairwise_sums import Kernel
from usl.numeric.table import Table


@dataclass(frozen=True)
class Within(Kernel):
    """1 for two rows nearer than the root of ``radius``, else 0."""

    radius: float

    def right(self, points: Float32) -> Float32:
        """See :func:`usl.numeric.distances.halved`."""
        return halved(points)

    def tile(self, left: Float32, right: Float32) -> NDArray[np.bool_]:
        """Which pairs are near, [r, o]."""
        norms = np.einsum("ij,ij->i", left, left, dtype=np.float64)
        within = (0.5 * (self.radius - norms)).astype(np.float32)[:, None]
        return np.asarray(half_distances(left, right) < within)


def degrees(
    table: Table, candidates: Rows, rows: Rows, radius: float, progress: Progress = silent
) -> Rows:
    """How many of ``rows`` are within squared distance ``radius`` of each candidate; int64 [c]."""
    everything = len(rows) == len(candidates) == len(table)
    pairs = (None, None) if everything else (candidates, rows)
    counts = table.kernel_sums(Within(radius), *pairs, progress=progress, label="coverage")
    return counts.astype(np.int64)
