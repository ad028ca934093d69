"""Three small sets, and the picks of every selection method on them."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from support import clumps, unit
from usl.selection.known_methods import is_oracle, list_methods
from usl.selection.select import select

# Shorter than the defaults where a method trains; else as a user got it then.
GIVEN = {
    "activeft": {"iterations": 60},
    "cold_paws": {"steps": 250, "sample": 300},
    "usl_t": {"steps": 150, "preset": "threshold"},
}
SETS = ("digits", "clumps", "tail")
CASES = [(method, name) for method in list_methods() for name in SETS]


def points(name):
    """The features of a set, float32 [n, d] on the unit sphere, and its classes, int [n]."""
    if name == "digits":
        data = load_digits()
        pixels = data.data[:1200]
        return unit(pixels - pixels.mean(axis=0)), data.target[:1200]
    if name == "clumps":
        features = clumps(7, 16, 0.5, n=700, seed=4)
        return features, features[:, :7].argmax(axis=1)
    rng = np.random.default_rng(3)
    classes = np.repeat(np.arange(6), [400, 200, 100, 50, 25, 12])
    centres = rng.normal(size=(6, 24))
    return unit(centres[classes] + rng.normal(scale=0.6, size=(len(classes), 24))), classes


def picks_of(method, name):
    """Rows that a method picks of a set, int64 [20], best first; in ``tail`` some are labelled."""
    features, classes = points(name)
    own = dict(GIVEN.get(method, {}))
    if is_oracle(method):
        own["labels"] = classes.astype(str).astype(object)
    rows = {}
    if name == "tail":
        rows = {"labeled": np.arange(0, 787, 100), "candidates": np.arange(0, 787, 2)}
    return select(features, 20, method=method, seed=1, **own, **rows).indices
