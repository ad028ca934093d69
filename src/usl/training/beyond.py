"""What a training says beyond a class: images like no class, and what labels say of each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from usl.core.progress import Progress, silent
from usl.numeric.arrays import Float32
from usl.numeric.blocks import map_blocks
from usl.numeric.neighbor_graph import neighbor_weights
from usl.training.models import MixtureModel, Model, NeighborModel
from usl.training.second_opinions import SecondOpinions, second_opinions
from usl.training.shared.prototypes import label_votes
from usl.training.shared.whitening import mapped, whitened
from usl.training.unlike import with_unlikeness

WHITEN = 0.5  # as accord does
BLOCK = 4096
NEIGHBORS, POWER = 10, 4.0  # of a graph of our own: fewer neighbours leave it in pieces


@dataclass(frozen=True)
class Beyond:
    """A ``model`` that knows what is like no class, and second opinions of its labels.

    ``rows`` int64 [m] are the labelled items, to which ``opinions`` belong.
    """

    model: Model
    rows: NDArray[np.int64]
    opinions: SecondOpinions


def look_beyond(
    model: Model,
    features: Float32,
    classes: NDArray[np.int64],
    weights: NDArray[np.float64],
    n_classes: int,
    graph: sparse.csr_matrix | None = None,
    progress: Progress = silent,
) -> Beyond:
    """Judge items and labels, after the training and without any part in it.

    A model that goes by neighbours says what is like no class; one that does not keeps no items to
    compare with, so it does not.

    Parameters
    ----------
    features, classes, weights : as the method got them.
    graph : its neighbour graph, if that is at hand; else, or if it is too thin, one is made.
    """
    rows, votes = label_votes(classes, weights, n_classes)
    points = points_of(model, features)
    if not isinstance(model, NeighborModel):
        return Beyond(model, rows, second_opinions(points, None, rows, votes))
    if graph is None or model.k < NEIGHBORS:
        graph = neighbor_weights(features, max(model.k, NEIGHBORS), POWER, progress)
    known = with_unlikeness(model, points, graph, rows, votes)
    return Beyond(known, rows, second_opinions(points, graph, rows, votes))


def points_of(model: Model, features: Float32) -> Float32:
    """Unit rows, centred and partly whitened, in the model's own space if it has one."""
    if isinstance(model, MixtureModel) and len(model.center):
        center, projection = model.center, model.projection

        def block(start: int, stop: int) -> Float32:
            return mapped(features[start:stop], center, projection)

        return np.concatenate(list(map_blocks(block, len(features), BLOCK)))
    return whitened(features, WHITEN)[0]


def told_of_labels(
    found: Beyond, place: NDArray[np.int64], names: list[str]
) -> dict[int, tuple[str, float]]:
    """Class and support by the other labels, by row; ``place`` int64 [n] is that of the items."""
    rows, told = place[found.rows].tolist(), found.opinions
    pairs = zip(rows, told.classes.tolist(), told.support.tolist(), strict=True)
    return {row: (names[number], round(share, 4)) for row, number, share in pairs if number >= 0}
