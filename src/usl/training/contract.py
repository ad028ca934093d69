"""The contract of a training method: what it receives and returns.

A method is one file in this room with one function::

    def fit(features, classes, weights, n_classes, *, seed, progress, <own parameters>) -> Model

- ``features``: float32 [n, d], rows of unit length; labelled and unlabelled items together.
- ``classes``: int64 [n], class number of each labelled item, -1 for the others.
- ``weights``: float64 [n], weight of each label (ignored where unlabelled).
- ``n_classes``: C >= 2; every class has at least one label.

A method with a parameter ``augmented`` gets a function there: ``augmented(v)`` gives the features
of v random views of every item, float16 [v, n, d], encoded when first asked for, cached from then
on. It is None where nobody has images to make views of.

The model is one of those in :mod:`usl.training.models`.

Bounds of a method's own parameters stand in the signature, ``k: Annotated[int, Positive] = 10``
(:mod:`usl.core.parameters`): values out of bounds are refused before it is called. Its module may
say ``NAME``, how people write it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from usl.core.methods import Methods

DEFAULT = "accord"  # the method of whoever names none; docs/learner.md says why
AUGMENTED = "augmented"
SHARED = ("seed", "progress", AUGMENTED)
FROZEN = Methods("usl.training.frozen", "fit", SHARED, group="usl.training")
NETWORKS = Methods("usl.training.networks", "build", ("seed",), group="usl.training.networks")
Augmented = Callable[[int], NDArray[Any]] | None
