"""Partial whitening: directions in which features vary much are shrunk, others stretched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from usl.numeric.arrays import TINY, Float32
from usl.numeric.blocks import map_blocks
from usl.numeric.pca import mean_and_constant, principal_directions, second_moments

LEAST = 0.05  # of the mean variance, added to that of every direction; more where items are few
WIDEST = 512  # directions that are kept
IN_MEMORY = 100_000  # rows up to which the whitened points are kept
SHORTEST = 1e-6  # length by which a row is divided at least
BLOCK = 4096


def whitened(features: Float32, power: float) -> tuple[Float32, Float32, Float32]:
    """Unit rows z = unit((x - center) P), float32 [n, e], with center [d] and P [d, e]."""
    center, projection = whitening(features, power)

    def block(start: int, stop: int) -> Float32:
        return mapped(features[start:stop], center, projection)

    return np.concatenate(list(map_blocks(block, len(features), BLOCK))), center, projection


def whitening(features: Any, power: float) -> tuple[Float32, Float32]:
    """The center [d] and P [d, e] of a table [n, d] of any float type.

    P = V (L + s)^(-power / 2) of the leading eigenvectors V and eigenvalues L of the covariance,
    where s is a share of the mean eigenvalue: ``LEAST`` and d / n, for those of few items are
    noise.
    """
    center, _ = mean_and_constant(features)
    moments = second_moments(features, center, None)
    directions = principal_directions(moments, min(WIDEST, len(moments)))
    values = np.einsum("pd,pd->p", directions @ moments, directions)
    values = np.maximum(values, 0.0)
    values += max(float(values.mean()) * (LEAST + len(values) / len(features)), TINY)
    projection = (directions.T * (values / values.mean()) ** (-power / 2)).astype(np.float32)
    return center.astype(np.float32), projection


@dataclass(frozen=True)
class Whitened:
    """A table's whitened space: ``center`` [d] and ``projection`` [d, e].

    ``points`` [n, e] are the rows in it; of a large table None, and the ``lengths`` [n] before they
    are made 1.
    """

    center: Float32
    projection: Float32
    points: Float32 | None
    lengths: Float32

    @classmethod
    def of(cls, features: Any, power: float) -> Whitened:
        """Of a table [n, d] of any float type, read in blocks."""
        if len(features) <= IN_MEMORY:
            points, center, projection = whitened(features, power)
            return cls(center, projection, points, np.empty(0, np.float32))
        center, projection = whitening(features, power)

        def block(start: int, stop: int) -> Float32:
            points = (np.asarray(features[start:stop], dtype=np.float32) - center) @ projection
            found: Float32 = np.maximum(np.linalg.norm(points, axis=1), np.float32(SHORTEST))
            return found

        lengths = np.concatenate(list(map_blocks(block, len(features), BLOCK)))
        return cls(center, projection, None, lengths)


def mapped(features: Float32, center: Float32, projection: Float32) -> Float32:
    """Rows mapped to z; one that lies at the center stays at the origin."""
    points = (features - center) @ projection
    points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), np.float32(SHORTEST))
    return np.asarray(points)
