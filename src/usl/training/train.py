"""``usl train``: from the labels in the split file to a classifier and a label for every image."""

from __future__ import annotations

import os
import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UslWarning
from usl.core.files import atomic_write
from usl.core.methods import check_parameters, load_method, method_names
from usl.core.progress import Progress, silent
from usl.data.collection import Collection
from usl.data.run import EVALUATION, Run
from usl.data.split import Split
from usl.features.preprocessing import Preprocessing
from usl.features.space import Space, open_space, restrict
from usl.training.contract import (
    FUNCTION,
    ROOM,
    SHARED,
    Model,
    Probabilities,
    load_model,
    save_model,
)
from usl.training.propagate import propagate

MODEL = "model.npz"
PREPROCESSING, MODEL_PREPROCESSING = "preprocessing.npz", "model-preprocessing.npz"


def methods() -> list[str]:
    """Names of the training methods that are installed, sorted."""
    return method_names(ROOM, FUNCTION)


@dataclass(frozen=True, eq=False)
class Opened:
    """A run with its collection, its checked split and its features, in the same row order."""

    run: Run
    collection: Collection
    split: Split
    space: Space

    @property
    def ids(self) -> NDArray[np.str_]:
        """Image ids of the points, str [r]."""
        return self.collection.ids[self.space.rows]

    @property
    def subsets(self) -> NDArray[np.str_]:
        """Subsets of the points, str [r]."""
        return self.collection.subsets[self.space.rows]

    def split_rows(self) -> NDArray[np.int64]:
        """For each point its row in the split, int64 [r]."""
        position = np.empty(len(self.collection), dtype=np.int64)
        position[self.split.positions(self.collection.ids)] = np.arange(len(self.split))
        return position[self.space.rows]


def open_run(
    run: Run | str | os.PathLike[str],
    *,
    collection: Collection | None = None,
    source: str | None = None,
    model: str | None = None,
    trained: bool = False,
    progress: Progress = silent,
) -> Opened:
    """Open a run's images again, match the split to them and bring all into the run's space.

    The space is the selection's, or with ``trained`` that of the trained model. With ``model``
    the images are encoded by another encoder and a new space is fitted.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    found = collection if collection is not None else run.collection(source)
    split = run.checked_split(found)
    record = run.info.get("training", run.info)["encoder"] if trained else run.info["encoder"]
    if model is not None and model != record["name"]:
        return Opened(run, found, split, open_space(found, model, progress=progress))
    file = MODEL_PREPROCESSING if record["key"] != run.info["encoder"]["key"] else PREPROCESSING
    space = open_space(
        found,
        "auto" if found.features is not None else record["name"],
        preprocessing=Preprocessing.load(run.path / file),
        progress=progress,
    )
    if space.embedding.encoder.key != record["key"]:
        raise DataError(
            f"{run.path}: the weights of the encoder {record['name']!r} are not those the run was "
            "made with. Install that version again, or name another encoder with --model."
        )
    return Opened(run, found, split, space)


def train(
    run: Run | str | os.PathLike[str],
    *,
    method: str = "label_spreading",
    seed: int = 0,
    collection: Collection | None = None,
    source: str | None = None,
    model: str | None = None,
    progress: Progress = silent,
    **method_params: Any,
) -> Run:
    """Train on the labels of a run and label every other image of its collection.

    Writes ``model.npz``, ``predictions.csv`` and ``.parquet``, and the ``training`` section of
    ``run.json``.

    Parameters
    ----------
    run : the run folder.
    method, method_params : the training method and its own parameters.
    source, collection : where the images are now, if they have moved or live in memory.
    model : another encoder than the one the selection used.

    Raises
    ------
    DataError : no labels yet, a single class, images that changed since the selection.
    """
    began = time.perf_counter()
    module = load_method(ROOM, FUNCTION, method)
    check_parameters(method, module, FUNCTION, method_params, SHARED)
    opened = open_run(run, collection=collection, source=source, model=model, progress=progress)
    run = opened.run
    split = propagate(run, opened.split)
    train_points = opened.subsets == "train"
    rows = opened.split_rows()
    labels = split.labels[rows]
    usable = train_points & (split.states[rows] == "labeled")
    class_names = label_names(run, split, labels[usable].tolist())
    if split is not opened.split:
        split.write(run.path)

    numbers = {name: number for number, name in enumerate(class_names)}
    classes = np.array(
        [numbers[label] if use else -1 for label, use in zip(labels, usable, strict=True)],
        dtype=np.int64,
    )
    fitted: Model = module.fit(
        opened.space.features[train_points],
        classes[train_points],
        split.weights[rows][train_points],
        len(class_names),
        seed=seed,
        progress=progress,
        **method_params,
    )
    probabilities = predict_points(fitted, opened.space, train_points)

    # A person's answer stands, whatever the model thinks of it.
    human = split.sources[rows] == "human"
    given = np.flatnonzero((classes >= 0) & human)
    probabilities[given] = np.eye(len(class_names))[classes[given]]
    split.write_mirror(run.path)  # the CSV stays as the person left it
    (run.path / EVALUATION).unlink(missing_ok=True)  # it was of the former model
    save_model(run.path / MODEL, fitted, class_names)
    if opened.space.embedding.encoder.key != run.info["encoder"]["key"]:
        opened.space.preprocessing.save(run.path / MODEL_PREPROCESSING)
    write_predictions(run, opened, probabilities, class_names, human)
    return run.update(
        training={
            "method": method,
            "seed": seed,
            "parameters": method_params,
            "labels": int((usable & human).sum()),
            "propagated": int((usable & ~human).sum()),
            "classes": class_names,
            "images": int(train_points.sum()),
            "encoder": opened.space.record(),
            "seconds": round(time.perf_counter() - began, 3),
        }
    )


def label_names(run: Run, split: Split, labels: list[str]) -> list[str]:
    """The classes among the ``labels`` of readable train images, sorted; at least two."""
    requested = len(split.requested())
    path = run.path / "split.csv"
    if not labels:
        raise DataError(
            f"{path} holds no labels yet: {requested} images are requested (rows 2 to "
            f"{requested + 1}). Fill in their label column, then train again."
        )
    names = sorted(set(labels))
    if len(names) < 2:
        raise DataError(
            f"{path}: all {len(labels)} labels are {names[0]!r}. Training needs at least two "
            "classes; label more images."
        )
    if requested:
        warnings.warn(
            f"{path}: {requested} requested images have no label yet; training on the "
            f"{len(labels)} labels there are.",
            UslWarning,
            stacklevel=3,
        )
    if unread := len(split.labeled("train")) - len(labels):
        warnings.warn(
            f"{path}: {unread} labelled images cannot be read now and are left out.",
            UslWarning,
            stacklevel=3,
        )
    return names


def predict_points(model: Model, space: Space, train_points: NDArray[np.bool_]) -> Probabilities:
    """Probabilities of every point: the method's own for train, the model's for all others."""
    own = model.fitted()
    if own is None:
        return model.probabilities(space.features)
    if len(own) != train_points.sum():
        raise DataError(
            f"The model was trained on {len(own):,} images, but there are now "
            f"{int(train_points.sum()):,} in the train subset. Train again: usl train RUN."
        )
    others = restrict(space, ~train_points)
    result = np.empty((len(space.features), own.shape[1]))
    result[train_points] = own
    if len(others.features):
        result[~train_points] = model.probabilities(others.features)
    return result


def write_predictions(
    run: Run,
    opened: Opened,
    probabilities: Probabilities,
    class_names: list[str],
    human: NDArray[np.bool_],
) -> None:
    """Write ``predictions.csv`` and ``.parquet``: a person's labels first, then the surest."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    best = probabilities.argmax(axis=1)
    confidence = probabilities[np.arange(len(best)), best]
    order = np.lexsort((np.arange(len(best)), -confidence, ~human))
    table = pa.table(
        {
            "image_id": pa.array(opened.ids[order].tolist(), pa.string()),
            "subset": pa.array(opened.subsets[order].tolist(), pa.string()),
            "label": pa.array([class_names[number] for number in best[order].tolist()]),
            "confidence": confidence[order],
            "source": pa.array(np.where(human, "human", "predicted")[order].tolist()),
        }
    )
    with atomic_write(run.path / "predictions.parquet") as handle:
        pyarrow.parquet.write_table(table, handle)
    with atomic_write(run.path / "predictions.csv") as handle:
        pyarrow.csv.write_csv(table, handle)


def trained_model(run: Run) -> tuple[Model, list[str]]:
    """The model of a run and its class names."""
    return load_model(run.path / MODEL)
