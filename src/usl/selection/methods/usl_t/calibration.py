"""The scale of USL-T's logits, found from the features by k-means and bisection."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from usl.numeric.arrays import softmax
from usl.numeric.blocks import one_blas_thread
from usl.numeric.kmeans import kmeans
from usl.numeric.table import Table
from usl.selection.methods.usl_t.step import Training

CALIBRATION_ROWS, CALIBRATION_ITERATIONS = 20_000, 15


def calibrated(training: Training, table: Table, n_clusters: int, seed: int) -> Training:
    """The training with a scale: the one it has, or the :func:`natural_scale`."""
    if training.scale is not None:
        return training
    rng = np.random.default_rng([seed, 1 << 20])  # apart from the heads' own streams
    return replace(training, scale=natural_scale(table, n_clusters, rng))


def natural_scale(table: Table, n_clusters: int, rng: np.random.Generator) -> float:
    """The scale at which k-means clusters would be assigned with a mean confidence of 0.45.

    The logits are scale times cosine. Too small a scale leaves every assignment flat, too large a
    one freezes the start; what is right depends on how the cosines spread, that is on the space
    and on the number of clusters. On CIFAR-10 (ImageNet-supervised features) accuracy peaks at 5
    for 10 clusters and is flat around 10 for 40 and 100; a confidence of 0.45 gives 5.4, 10, 13.
    """
    rows = rng.permutation(len(table))[:CALIBRATION_ROWS]
    sample = table.take(np.sort(rows))
    found = kmeans(sample, min(n_clusters, len(sample)), rng=rng, iterations=CALIBRATION_ITERATIONS)
    lengths = np.linalg.norm(found.centroids, axis=1, keepdims=True)
    centroids = found.centroids / np.where(lengths == 0, 1, lengths)
    with one_blas_thread():
        cosines = sample[: min(len(sample), 4096)] @ centroids.T
    low, high = 0.5, 200.0
    for _ in range(30):
        middle = np.sqrt(low * high)
        if softmax(np.asarray(middle * cosines, np.float32)).max(axis=1).mean() < 0.45:
            low = middle
        else:
            high = middle
    return float(round(middle, 3))
