"""Which labelled images spoke for the class of an image.

A class's score is a sum over items, and what an item says it has from labels: a labelled item from
itself, any other from the labels of the class, each in the share softmax(kappa z_item . z_label).
So a score is split among the labels of its class, without rest:

- ``accord``: the logit kappa m_c . z + graph * (neighbours' vote), before the temperature.
  ``direction`` is a label's own part in the class's direction m_c, and its shares of the items that
  went into it; ``graph`` is its shares of the neighbours;
- neighbours alone (``label_spreading``, ``poisson``): the neighbours' vote, all of it ``graph``;
- any other method: the class's probability, shared by similarity alone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UsageError
from usl.core.progress import Progress, silent
from usl.data.collection import Collection
from usl.labeling.answers.called_now import predictions_now
from usl.numeric.arrays import TINY, Float32, softmax
from usl.numeric.blocks import map_blocks, one_blas_thread
from usl.run.folder import Run
from usl.training.beyond import points_of
from usl.training.labels import Labels, given_labels
from usl.training.models import MixtureModel, Model, NeighborModel, open_model
from usl.training.open_run import Opened, open_run
from usl.training.predict import predict_point

KAPPA = 10.0  # of a model without its own
BLOCK = 4096

Rows = NDArray[np.int64]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Credit:
    """What a labelled image adds to the score of its class: by direction, and over the graph."""

    image_id: str
    direction: float
    graph: float

    @property
    def total(self) -> float:
        """Both together."""
        return self.direction + self.graph


@dataclass(frozen=True)
class Evidence:
    """The ``score`` of a class for an image: the sum of its ``credits``, the largest first."""

    label: str
    score: float
    credits: tuple[Credit, ...]


@dataclass(frozen=True)
class Explanation:
    """Why an image has its class: the evidence for it, and for the class that comes next.

    ``confidence`` is the model's; ``measure`` says what the scores are, ``logit`` or
    ``probability``.
    """

    image_id: str
    label: str
    confidence: float
    measure: str
    found: Evidence
    other: Evidence


def explain(
    run: Run | str | os.PathLike[str],
    image_id: str,
    *,
    collection: Collection | None = None,
    source: str | None = None,
    progress: Progress = silent,
) -> Explanation:
    """Say which labelled images spoke for the class of an image of a trained run.

    Parameters
    ----------
    run : run folder, trained.
    image_id : an image of the run, as predictions.csv names it.
    collection : the images, where they live in memory.
    source : where the images are now, if they have moved.

    Raises
    ------
    DataError : the run is not trained, or its labels have changed since.
    UsageError : the run has no such image.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    trained, model, names = open_model(run.path)
    opened = open_run(run, collection=collection, source=source, trained=trained, progress=progress)
    place = np.flatnonzero(opened.ids == image_id)
    if not len(place):
        raise UsageError(
            f"image_id: {run.path} has no image {image_id!r} that can be read. predictions.csv "
            "names all of them."
        )
    row, labels = int(place[0]), given_labels(opened)
    if labels.names != names or given_now(opened, labels) != given_then(run):
        raise DataError(
            f"{run.path}: the labels have changed since the training. Train again: usl train "
            f"{run.path}"
        )
    train = opened.subsets == "train"
    chances = predict_point(model, opened.space, train, row)
    first, second = np.argsort(-chances, kind="stable")[:2].tolist()
    points = points_of(model, opened.space.features)
    found = []
    for number in (first, second):
        rows, direction, graph = contributions(
            model, opened.space.features, points, train, labels, row, number
        )
        order = np.argsort(-(direction + graph), kind="stable").tolist()
        credits = tuple(
            Credit(str(opened.ids[rows[i]]), float(direction[i]), float(graph[i])) for i in order
        )
        found.append(Evidence(names[number], sum(one.total for one in credits), credits))
    measure = "logit" if has_directions(model) else "probability"
    return Explanation(image_id, names[first], float(chances[first]), measure, *found)


def given_now(opened: Opened, labels: Labels) -> dict[str, str]:
    """The labels of people by image id, as the split file says."""
    rows = np.flatnonzero((labels.classes >= 0) & labels.human).tolist()
    return {str(opened.ids[row]): labels.names[labels.classes[row]] for row in rows}


def given_then(run: Run) -> dict[str, str]:
    """The labels of people that the model learned from."""
    found = predictions_now(run.path)
    assert found is not None  # there is a model
    rows = np.flatnonzero(~found.own & (found.subsets == "train")).tolist()
    return {str(found.ids[row]): str(found.labels[row]) for row in rows}


def contributions(
    model: Model,
    features: Float32,
    points: Float32,
    train: NDArray[np.bool_],
    labels: Labels,
    row: int,
    number: int,
) -> tuple[Rows, Values, Values]:
    """Split the score of class ``number`` for an item among the labels of that class.

    Parameters
    ----------
    features : float32 [r, d]; ``points`` [r, e], as :func:`usl.training.beyond.points_of` has them.
    train : bool [r], the items that the model learned from.
    row : of the item.

    Returns
    -------
    Rows of the labels int64 [m], what each adds by direction and over the graph, float64 [m].
    """
    mine = (labels.classes == number) & (labels.weights > 0)
    rows = np.flatnonzero(mine)
    nothing = np.zeros(len(rows))
    if not isinstance(model, NeighborModel) or (
        isinstance(model, MixtureModel) and not has_directions(model)
    ):
        score = float(model.probabilities(features[row : row + 1])[0, number])
        similar = softmax(KAPPA * (points[row] @ points[rows].T)[None].astype(np.float64))[0]
        return rows, score * similar, nothing
    items = np.flatnonzero(train)
    itself = int(np.searchsorted(items, row)) if train[row] else -1
    near, shares = neighbours(model, features[row : row + 1], itself)
    strength, kappa = 1.0, KAPPA
    if isinstance(model, MixtureModel):
        strength, kappa = model.graph, float(np.linalg.norm(model.weight[number]))
    said = strength * shares * model.belonging(number)[near]
    graph = said @ shares_of(points, items[near], rows, kappa)
    if not isinstance(model, MixtureModel):
        return rows, nothing, graph
    direction = _by_direction(model, points, items, rows, labels.weights[rows], row, number, kappa)
    return rows, direction, graph


def has_directions(model: Model) -> bool:
    """Whether the model's classes are directions in a space of its own, as accord's are."""
    return isinstance(model, MixtureModel) and len(model.center) > 0


def neighbours(model: NeighborModel, item: Float32, itself: int) -> tuple[Rows, Values]:
    """The neighbours [k] of an item [1, d] and their weights; not ``itself``, if it is trained."""
    if itself < 0:
        near, shares = model.links(item)
        return near[0], shares[0]
    near, shares = replace(model, k=model.k + 1).links(item)
    kept = near[0] != itself
    if kept.all():  # among more copies of it than there are neighbours
        kept[-1] = False
    weights = shares[0][kept]
    return near[0][kept], weights / max(float(weights.sum()), TINY)


def shares_of(points: Float32, items: Rows, rows: Rows, kappa: float) -> Values:
    """What each item has from each label of a class, float64 [q, m]; rows sum to 1."""
    logits = kappa * (points[items] @ points[rows].T)
    shares = softmax(logits.astype(np.float64))
    where = np.searchsorted(rows, items)
    known = (where < len(rows)) & (rows[np.minimum(where, len(rows) - 1)] == items)
    shares[known] = 0.0
    shares[np.flatnonzero(known), where[known]] = 1.0
    return np.asarray(shares)


def _by_direction(
    model: MixtureModel,
    points: Float32,
    items: Rows,
    rows: Rows,
    weights: Values,
    row: int,
    number: int,
    kappa: float,
) -> Values:
    """Parts of kappa m . z, float64 [m], where m is the unit vector of the sum that accord takes.

    That is sum_j r_j z_j + mass / sqrt(n) * sum_l w_l z_l, over items j and labels l.
    """
    belongs, item = model.belonging(number).astype(np.float64), points[row]

    def block(start: int, stop: int) -> tuple[Values, Values]:
        there = items[start:stop]
        strength = belongs[start:stop] * (points[there] @ item)
        through = strength @ shares_of(points, there, rows, kappa)
        return belongs[start:stop] @ points[there].astype(np.float64), through

    parts = list(map_blocks(block, len(items), BLOCK))
    moment, through = (sum(part, start=0.0) for part in zip(*parts, strict=True))
    with one_blas_thread():
        pull = float(belongs.sum()) / np.sqrt(weights.sum()) * weights
        length = np.linalg.norm(moment + pull @ points[rows].astype(np.float64))
        own = pull * (points[rows] @ item)
    return np.asarray(kappa / max(float(length), TINY) * (own + through))
