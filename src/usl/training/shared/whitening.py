"""Partial whitening: directions in which features vary much are shrunk, others stretched."""

from __future__ import annotations

import numpy as np

from usl.numeric.arrays import TINY, Float32
from usl.numeric.blocks import map_blocks
from usl.numeric.pca import mean_and_constant, principal_directions, second_moments

LEAST = 0.05  # of the mean variance, added to that of every direction; more where items are few
WIDEST = 512  # directions that are kept
BLOCK = 4096


def whitened(features: Float32, power: float) -> tuple[Float32, Float32, Float32]:
    """Unit rows z = unit((x - center) P), float32 [n, e], with center [d] and P [d, e].

    P = V (L + s)^(-power / 2) of the leading eigenvectors V and eigenvalues L of the covariance,
    where s is a share of the mean eigenvalue: ``LEAST`` and d / n, for those of few items are
    noise.
    """
    n = len(features)
    center, _ = mean_and_constant(features)
    moments = second_moments(features, center, None)
    directions = principal_directions(moments, min(WIDEST, len(moments)))
    values = np.einsum("pd,pd->p", directions @ moments, directions)
    values = np.maximum(values, 0.0)
    values += max(float(values.mean()) * (LEAST + len(values) / n), TINY)
    projection = (directions.T * (values / values.mean()) ** (-power / 2)).astype(np.float32)
    origin = center.astype(np.float32)

    def block(start: int, stop: int) -> Float32:
        return mapped(features[start:stop], origin, projection)

    return np.concatenate(list(map_blocks(block, n, BLOCK))), origin, projection


def mapped(features: Float32, center: Float32, projection: Float32) -> Float32:
    """Rows mapped to z; one that lies at the center stays at the origin."""
    points = (features - center) @ projection
    points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), np.float32(1e-6))
    return np.asarray(points)
