"""A second engine: the verbs of a table by their definitions, in float64 and without blocks."""

from __future__ import annotations

import numpy as np

from usl.numeric.lloyd import KMeans


class DenseTable:
    """Satisfies :class:`usl.numeric.table.Table`; every distance is held at once."""

    def __init__(self, features):
        self.points = np.asarray(features, dtype=np.float64)
        self.shape = self.points.shape

    def __len__(self):
        return len(self.points)

    def take(self, rows=None):
        return (self.points if rows is None else self.points[rows]).astype(np.float32)

    def distances(self, points=None):
        points = self.points if points is None else np.asarray(points, dtype=np.float64)
        return np.sqrt(((points[:, None] - self.points) ** 2).sum(axis=2))

    def others(self):
        away = self.distances()
        np.fill_diagonal(away, np.inf)
        return away

    def nearest(self, k, points=None, *, progress=None):
        away = self.others() if points is None else self.distances(points)
        found = np.argsort(away, axis=1, kind="stable")[:, :k]
        return found, np.take_along_axis(away, found, axis=1)

    def mean_distance(
        self, k, *, exact=None, clusters=None, squared=False, count_self=False, progress=None
    ):
        away = np.sort(self.distances() if count_self else self.others(), axis=1)[:, :k]
        return (away**2 if squared else away).mean(axis=1), None

    def neighborhood(self, k, wide, *, squared=False, progress=None):
        return self.nearest(k), self.mean_distance(wide, squared=squared)

    def kmeans(self, count, *, rng, iterations=200, exact=None, start=None, progress=None):
        _, first = np.unique(self.points, axis=0, return_index=True)
        order = rng.permutation(len(self))
        centroids = self.points[order[np.isin(order, first)][:count]] if start is None else start
        clusters = None
        for done in range(1, iterations + 1):  # noqa: B007
            before, clusters = clusters, self.assign(centroids)
            if np.array_equal(before, clusters):
                break
            centroids = self.sums(clusters, count) / np.bincount(clusters, minlength=count)[:, None]
        inertia = ((self.points - centroids[clusters]) ** 2).sum()
        return KMeans(clusters.astype(np.int32), centroids, inertia, done)

    def assign(self, centers):
        return ((self.points[:, None] - centers) ** 2).sum(axis=2).argmin(axis=1)

    def sums(self, groups, count):
        return np.stack([self.points[groups == group].sum(axis=0) for group in range(count)])

    def farthest(self, anchors):
        return Farthest(self, anchors)

    def kernel_sums(
        self,
        kernel,
        rows=None,
        others=None,
        *,
        low=None,
        span=None,
        weights=None,
        progress=None,
        label="",
    ):
        left = self.points if rows is None else self.points[rows]
        right = self.points if others is None else self.points[others]
        values = kernel.tile(kernel.left(left), kernel.right(right)).astype(np.float64)
        if low is not None:
            values = np.clip(values - low, 0, None if span is None else span)
        return values.sum(axis=1) if weights is None else values @ weights

    def map(self, function, *columns, block, rows=None, progress=None, label=""):
        yield function(self.take(rows), *columns)


class Farthest:
    """Squared distance of every row to the nearest anchor."""

    def __init__(self, table, anchors):
        self.table, self.squared = table, np.full(len(table), np.inf)
        for row in anchors:
            self.add(row)

    def add(self, row):
        away = self.table.distances(self.table.points[row : row + 1])[0]
        self.squared = np.minimum(self.squared, away**2)
