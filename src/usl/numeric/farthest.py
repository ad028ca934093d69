"""How far rows are from the nearest of some anchors, and from a growing set: farthest first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from usl.numeric.arrays import Float32, Rows
from usl.numeric.blocks import map_blocks, rows_per_block
from usl.numeric.distances import (
    COINCIDENT,
    half_distances,
    halved,
    nearest,
    squared_from_half,
)

BLOCK = 8192  # rows; fixed, because products are rounded block by block


class Farthest:
    """Squared distance of every row to the nearest anchor so far.

    ``squared`` is float32 [n], infinite while there is no anchor; one more anchor costs n d.
    """

    def __init__(self, features: Float32, anchors: NDArray[np.int64]) -> None:
        """Start from the rows ``anchors`` (int64 [a], may be empty) of ``features`` [n, d]."""
        self.features = features
        self.norms = np.einsum("ij,ij->i", features, features, dtype=np.float64).astype(np.float32)
        self.squared = np.full(len(features), np.inf, dtype=np.float32)
        if len(anchors):
            self.squared = nearest(features, features[anchors], 1)[1][:, 0] ** 2

    def add(self, row: int) -> None:
        """Make ``row`` an anchor."""
        point, norm = self.features[row], self.norms[row]

        def block(start: int, stop: int) -> Float32:
            squared = self.norms[start:stop] + norm - 2.0 * (self.features[start:stop] @ point)
            squared[squared < COINCIDENT] = 0.0
            return np.asarray(np.minimum(squared, self.squared[start:stop]))

        self.squared = np.concatenate(list(map_blocks(block, len(self.features), BLOCK)))


def squared_to_points(features: Float32, rows: Rows, anchors: Float32) -> Float32:
    """Squared distance of each of ``rows`` to the nearest of ``anchors`` [a, d], float32 [r].

    Infinite without anchors.
    """
    if not len(anchors):
        return np.full(len(rows), np.inf, dtype=np.float32)
    base = halved(anchors)

    def block(start: int, stop: int) -> Float32:
        queries = features[rows[start:stop]]
        half = half_distances(queries, base)
        return squared_from_half(half.min(axis=1, keepdims=True), queries)[:, 0]

    size = rows_per_block(4 * (len(anchors) + 2 * features.shape[1]))
    parts = list(map_blocks(block, len(rows), size))
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.float32)
