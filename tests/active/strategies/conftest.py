"""A small pool: features of unit length, some labels, probabilities of an arbitrary model."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from support import unit


@pytest.fixture(scope="session")
def pool():
    """60 rows in 5 dimensions, 4 classes, 8 labels; candidates are some of the other rows."""
    rng = np.random.default_rng(7)
    truth = rng.integers(0, 4, 60)
    features = unit(rng.normal(size=(4, 5))[truth] + 0.6 * rng.normal(size=(60, 5)))
    labeled = np.sort(np.concatenate([np.flatnonzero(truth == one)[:2] for one in range(4)]))
    logits = 2 * rng.normal(size=(60, 4)) + 2 * np.eye(4)[truth]
    predictions = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    candidates = np.setdiff1d(np.arange(0, 60, 1), labeled)[3:]
    return SimpleNamespace(
        features=features,
        labeled=labeled,
        classes=truth[labeled],
        predictions=predictions,
        candidates=candidates,
        truth=truth,
    )
