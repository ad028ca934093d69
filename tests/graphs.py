"""Neighbour graphs by their definition, dense, in float64."""

from __future__ import annotations

import numpy as np


def dense_weights(features, k, power):
    """W of the symmetric k-nearest-neighbour graph."""
    x = features.astype(np.float64)
    cosine = x @ x.T
    np.fill_diagonal(cosine, -np.inf)
    near = np.zeros_like(cosine)
    for i, row in enumerate(cosine):
        kept = np.argsort(-row)[:k]
        near[i, kept] = np.maximum(row[kept], 0) ** power
    return np.maximum(near, near.T)


def dense_normalized(features, k, power):
    """S = D^-1/2 W D^-1/2 of the same graph."""
    w = dense_weights(features, k, power)
    d = np.maximum(w.sum(axis=1), 1e-12) ** -0.5
    return d[:, None] * w * d[None]
