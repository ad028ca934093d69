"""Neighbour graphs and whitening by their definition, dense, in float64."""

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


def dense_whitened(features):
    """Rows centred, eigenvalues to the power -1/4 after a share of their mean, unit length."""
    x = features.astype(np.float64)
    n, d = x.shape
    x = x - x.mean(axis=0)
    values, vectors = np.linalg.eigh(x.T @ x / n)
    values = values + values.mean() * (0.05 + d / n)
    z = x @ vectors @ np.diag(values**-0.25)
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    return z
