"""Random views of rows where there are no pictures to draw them from: features drop out.

A third of a row's features drop out, as DropQuery (Gupte et al., TMLR 2024) looks at rows of frozen
encoders, and the rest is scaled to unit length, as all rows are. DropQuery drops three quarters. A
third leaves a view as near to its row, at a cosine of 0.82, as the features of a CIFAR-10 picture
are on average after the views that MixMatch takes, mirrored or not and shifted by up to 4 of 32
pixels (400 pictures, EfficientNet-lite1, standardised).

A model that lets neighbours vote finds those of a view among the row and its own neighbours: a
search of the whole table for every view would take minutes where this takes a second.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from usl.active.contract import Views
from usl.numeric.arrays import TINY, Float32, Rows
from usl.numeric.neighbor_graph import SEARCHED, kept_nearest
from usl.numeric.stage_cache import Keep
from usl.numeric.table import as_table
from usl.training.models import Model, NeighborModel
from usl.training.told import joined, linked

DROPOUT = 0.33  # of the features of a view
BLOCK = 512  # rows; fixed, because what drops out is drawn block by block


def feature_views(features: Float32, model: Model, seed: int, keep: Keep) -> Views:
    """What ``model``, trained on these rows, says of views of them.

    Parameters
    ----------
    features : float32 [n, d], unit rows.
    keep : where the neighbours of all rows are found, or are kept from now on.
    """
    table, every = as_table(features), np.arange(len(features))
    known: list[Rows] = []  # the row and its neighbours, [n, m], once they are needed

    def views(count: int) -> Iterator[Any]:
        if isinstance(model, NeighborModel) and not known:
            wide = min(SEARCHED, len(table) - 1)
            found, _ = kept_nearest(table, wide, keep=keep.of(features))
            known.append(np.column_stack([every, found]))
        for number in range(count):

            def block(points: Float32, rows: Rows, number: int = number) -> Any:
                seen = dropped(points, np.random.default_rng([seed, number, int(rows[0])]))
                if isinstance(model, NeighborModel):
                    return linked(model, seen, *model.links_among(seen, known[0][rows]))
                return model.probabilities(seen)

            yield joined(list(table.map(block, every, block=BLOCK)))

    return views


def dropped(points: Float32, rng: np.random.Generator) -> Float32:
    """A view of each of ``points`` [b, d]: rows of unit length; one that loses all stays 0."""
    seen = points * (rng.random(points.shape, dtype=np.float32) >= DROPOUT)
    seen /= np.maximum(np.linalg.norm(seen, axis=1, keepdims=True), TINY)
    return np.asarray(seen)
