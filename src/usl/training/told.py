"""What a model tells of items, of those that it was trained on or others, and what is likeliest.

Class probabilities are an array, or, of a model that knows a few classes of each item, a table of
these, which does not grow with the classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from usl.numeric.arrays import Float32, Rows, Values
from usl.numeric.lazy_table import of_rows
from usl.training.models import EVERY, MixtureModel, Model, NeighborModel, Probabilities
from usl.training.shared.few_classes import FewClasses


def fitted_probabilities(model: Model) -> Probabilities | FewClasses | None:
    """What the method says itself of the items of the training (:meth:`Model.fitted`), [n, C]."""
    if isinstance(model, MixtureModel) and model.numbers is not None:
        return FewClasses(model.numbers, model.told(), len(model.bias))
    return model.fitted()


def train_probabilities(model: Model, features: Float32) -> Probabilities | FewClasses:
    """Of the items that a model was trained on: :func:`fitted_probabilities`, or as of any others.

    ``features`` float32 [n, d] are those of the training.
    """
    own = fitted_probabilities(model)
    return model.probabilities(features) if own is None else own


def linked(model: NeighborModel, features: Float32, found: Rows, weights: Values) -> Any:
    """:meth:`NeighborModel.linked`, of the few classes of each item that the model knows."""
    if isinstance(model, MixtureModel) and model.numbers is not None:
        return model.few_linked(features, found, weights)
    return model.linked(features, found, weights)


def joined(parts: Sequence[Any]) -> Any:
    """Probabilities of items, one part after another; at least one."""
    if isinstance(parts[0], FewClasses):
        return FewClasses.joined(parts)
    return np.concatenate(parts)


def most_probable(
    probabilities: Probabilities | FewClasses, rows: Rows | None = None
) -> tuple[Rows, Values]:
    """The class of each row of a table [n, C], or of some, int64 [r], and its probability, [r]."""
    if isinstance(probabilities, FewClasses):
        return probabilities.likeliest(EVERY if rows is None else rows)

    def block(some: Probabilities) -> tuple[Rows, Values]:
        classes = some.argmax(axis=1)
        return classes, some[np.arange(len(classes)), classes]

    classes, sure = of_rows(block, probabilities, rows=rows)
    return classes, sure


def fitted_classes(model: Model) -> tuple[Rows, Values] | None:
    """:func:`most_probable` of :func:`fitted_probabilities`, None where that is None."""
    own = fitted_probabilities(model)
    return None if own is None else most_probable(own)
