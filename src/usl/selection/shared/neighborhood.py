"""The nearest neighbours of every item: their graph, averages over it, and who agrees with whom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from usl.numeric.arrays import TINY, Float32, Rows, Values
from usl.numeric.neighbor_graph import normalized, similarity, symmetric_weights

EDGES = 10  # neighbours that an item is linked to in the graph
POWER = 4.0  # of the cosine, for the weight of a link, as in label spreading


@dataclass(frozen=True)
class Neighborhood:
    """The nearest other items of each item, [n, k]: ``rows`` int64, ``distances`` float32."""

    rows: Rows
    distances: Float32

    def graph(self) -> sparse.csr_matrix:
        """The symmetric neighbour graph, normalised, sparse float32 [n, n]."""
        weights = similarity(self.distances[:, :EDGES], POWER)
        return normalized(symmetric_weights(self.rows[:, :EDGES], weights)).astype(np.float32)

    def averaged(self, points: Float32, rows: Rows | None = None) -> Float32:
        """Each item, or those of ``rows``, half itself and half the mean of its links; unit rows.

        ``points`` are those of all items, float32 [n, d].
        """
        links = self.rows[:, :EDGES]
        linked = symmetric_weights(links, np.ones(links.shape))
        own = points
        if rows is not None:
            linked, own = linked[rows], points[rows]
        degree = np.asarray(linked.sum(axis=1))
        mixed = own + np.asarray(linked @ points) / np.maximum(degree, 1)
        lengths = np.linalg.norm(mixed, axis=1, keepdims=True)
        return np.asarray(mixed / np.maximum(lengths, TINY), dtype=np.float32)

    def width(self, k: int) -> Values:
        """Mean distance of every item to its k nearest, of which the mean is 1; [n]."""
        away = np.maximum(self.distances[:, :k].mean(axis=1, dtype=np.float64), TINY)
        return np.asarray(away / away.mean())

    def consensus(self, clusters: Rows, k: int) -> Values:
        """The share of every item's k nearest in its own cluster, [n]."""
        return np.asarray((clusters[self.rows[:, :k]] == clusters[:, None]).mean(axis=1))
