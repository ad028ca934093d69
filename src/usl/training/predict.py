"""``usl predict``: label images that were not part of the run."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UsageError
from usl.core.progress import Progress, silent
from usl.data.addresses import shown
from usl.data.collection import Collection
from usl.data.open import open_collection, tell
from usl.data.sinks import check_sink, exists
from usl.features.space import Space, restrict
from usl.labeling.answers.called_now import names_now
from usl.numeric.arrays import Float32, Rows, Values
from usl.run.folder import Run
from usl.run.predictions import prediction_table
from usl.run.tables import write_table
from usl.training.models import (
    Model,
    NeighborModel,
    Probabilities,
    fitted_classes,
    most_probable,
    open_model,
)
from usl.training.open_run import recorded_space
from usl.training.unlike import unlikeness_of_new

JUDGED_ROWS = 8192  # that are judged at once, or as many as make
JUDGED = 32 << 20  # probabilities


@dataclass(frozen=True)
class Predicted:
    """Predictions of new images.

    ``ids`` str [r] and ``probabilities`` float64 [r, C] in the collection's order, ``class_names``
    of the C columns, ``skipped`` what could not be read, ``path`` the file written, if one was.
    ``unlike`` float64 [r] says how little each is like any class: 0 is usual, from 1 on it is like
    none, NaN where the method does not know.
    """

    ids: NDArray[np.str_]
    probabilities: Probabilities
    class_names: list[str]
    skipped: tuple[tuple[str, str], ...]
    path: Path | None
    unlike: NDArray[np.float64]

    @property
    def labels(self) -> list[str]:
        """The most probable class of each image."""
        return [self.class_names[number] for number in self.probabilities.argmax(axis=1)]


def predict(
    run: Run | str | os.PathLike[str],
    source: str | os.PathLike[str] | Collection,
    *,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Predicted:
    """Label every image of another source with the model of a run.

    Parameters
    ----------
    run : run folder, trained.
    source : the new images: anything that a selection can begin with.
    out : file to write, .csv or .parquet, also at an address: a label and its probability for every
        image, the surest first; columns as in predictions.csv.
    overwrite : replace that file.

    Raises
    ------
    DataError
        the run is not trained, features of another width, or its encoder has other weights now.
    UsageError
        the file exists, or has another ending.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    target = None if out is None else Path(out)
    if target is not None:
        if target.suffix not in (".csv", ".parquet"):
            raise UsageError(f"out: {shown(target)} should end in .csv or .parquet.")
        check_sink(target)
        if exists(target) and not overwrite:
            raise UsageError(f"out: {shown(target)} exists. Name another file, or --overwrite it.")
    trained, model, class_names = open_model(run.path)
    collection = open_collection(source)
    tell(collection)
    record: dict[str, Any] = trained.info["encoder"]
    space = recorded_space(run, record, collection, progress, trained)
    if space.embedding.encoder.key != record["key"]:
        raise DataError(
            f"{run.path}: was trained on {record['name']} features; {collection.source} gives "
            f"others ({space.embedding.encoder.name}, or the same with other weights)."
        )
    probabilities, unlike = judge(model, space.features)
    ids = collection.ids[space.rows]
    if target is not None:
        nobody = np.zeros(len(ids), dtype=bool)
        subsets = collection.subsets[space.rows]
        called = [names_now(run.path).present(name) for name in class_names]  # some merged, perhaps
        said = most_probable(probabilities)
        table = prediction_table(ids, subsets, *said, called, nobody, unlike)
        write_table(target, table)
    skipped = (*collection.skipped, *space.embedding.skipped)
    return Predicted(ids, probabilities, class_names, skipped, target, unlike)


def predict_point(
    model: Model, space: Space, train_points: NDArray[np.bool_], row: int
) -> NDArray[np.float64]:
    """Probabilities of one point, float64 [C]: the method's own for train, else the model's."""
    place = int(train_points[:row].sum())
    if train_points[row] and isinstance(model, NeighborModel):
        check_size(len(model.scores), train_points)
        return np.asarray(model.fitted(slice(place, place + 1))[0])
    if train_points[row] and (own := model.fitted()) is not None:
        check_size(len(own), train_points)
        return np.asarray(own[place])
    return np.asarray(judge(model, space.features[row : row + 1])[0][0])


@dataclass(frozen=True)
class Verdict:
    """What a model says of r points, and no more of their probabilities than is told.

    ``classes`` int64 [r], the most probable one of each, and its probability, ``confidence``
    float64 [r]; ``unlike`` float64 [r], how little each is like any class, NaN where not known.
    """

    classes: Rows
    confidence: Values
    unlike: Values


def judge_points(model: Model, space: Space, train_points: NDArray[np.bool_]) -> Verdict:
    """The method's own word of the train points, the model's of all others.

    The memory that it takes does not grow with the classes. Raises :class:`DataError` where the
    train subset has another size than the training had.
    """
    own = fitted_classes(model)
    count = len(space.features)
    verdict = Verdict(np.empty(count, np.int64), np.empty(count), np.full(count, np.nan))
    if own is None:
        _judge_rows(model, space.features, np.arange(count), verdict)
        return verdict
    check_size(len(own[0]), train_points)
    verdict.classes[train_points], verdict.confidence[train_points] = own
    if len(known := getattr(model, "unlike", ())):
        verdict.unlike[train_points] = known
    others = restrict(space, ~train_points)
    _judge_rows(model, others.features, np.flatnonzero(~train_points), verdict)
    return verdict


def _judge_rows(model: Model, features: Float32, rows: Rows, verdict: Verdict) -> None:
    """Judge ``features`` [q, d], those of the ``rows`` [q] of a verdict, and write it there."""
    start, step = 0, JUDGED_ROWS
    while start < len(rows):
        own = rows[start : start + step]
        chances, verdict.unlike[own] = judge(model, features[start : start + step])
        verdict.classes[own], verdict.confidence[own] = most_probable(chances)
        start += len(own)
        step = max(JUDGED_ROWS, JUDGED // chances.shape[1])


def check_size(size: int, train_points: NDArray[np.bool_]) -> None:
    """Refuse a train subset of another size than that of the training."""
    if size != train_points.sum():
        raise DataError(
            f"The model was trained on {size:,} images, but there are now "
            f"{int(train_points.sum()):,} in the train subset. Train again: usl train RUN."
        )


def judge(model: Model, features: Float32) -> tuple[Probabilities, NDArray[np.float64]]:
    """Probabilities of new items, and how little each is like any class (NaN if not known)."""
    if not isinstance(model, NeighborModel):
        return model.probabilities(features), np.full(len(features), np.nan)
    links = model.links(features)
    return model.linked(features, *links), unlikeness_of_new(model, features, *links)
