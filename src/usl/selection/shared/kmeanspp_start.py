"""k-means++ (Arthur & Vassilvitskii, 2007): centroids to start from, far from each other."""

from __future__ import annotations

import numpy as np

from usl.numeric.arrays import Float32, Values
from usl.numeric.blocks import one_blas_thread
from usl.numeric.distances import half_distances, halved, squared_from_half

FEW, SEEDED = 256, 2048  # clusters that are started far apart, and rows to draw starts from
ROWS_PER_CLUSTER = 20  # of the sample, at least


def spread_out_start(
    features: Float32, count: int, weights: Values, rng: np.random.Generator
) -> Float32 | None:
    """``count`` rows far from each other, float32 [count, d]; None for more than ``FEW``.

    The greedy kind, out of a sample of the rows: of a few draws, in proportion to weight times
    squared distance, the one that leaves the rows nearest to the centroids (as in the authors'
    code). For many clusters k-means starts from random rows as well.

    Parameters
    ----------
    features : float32 [n, d], in the unit ball; weights : float64 [n], how often a row counts.
    """
    if count > FEW:
        return None
    # Not by kmeanspp.pick, which passes over all rows in blocks: here that would take longer than
    # the k-means that it starts.
    size = min(len(features), max(SEEDED, ROWS_PER_CLUSTER * count))
    rows = rng.choice(len(features), size, replace=False)
    points, shares = features[rows], weights[rows]
    base = halved(points)
    trials = 2 + int(np.log(count))
    away = np.full(size, 4.0)  # squared distance to the nearest centroid: none is farther
    chosen: list[int] = []
    with one_blas_thread():  # which rounds by the number of its threads
        while len(chosen) < count:
            chances = shares * away
            chances[chosen] = 0
            if chances.sum() <= 0:  # all that are left coincide with one that is chosen
                chances = np.ones(size)
                chances[chosen] = 0
            places = rng.random(trials) * chances.sum()
            drawn = np.searchsorted(np.cumsum(chances), places, side="right")
            drawn = np.minimum(drawn, np.flatnonzero(chances)[-1])
            squared = squared_from_half(half_distances(points[drawn], base), points[drawn])
            squared = np.minimum(squared, away)
            best = int((squared @ shares).argmin())
            chosen.append(int(drawn[best]))
            away = squared[best].astype(np.float64)
    return points[chosen]
