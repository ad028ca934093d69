"""``usl train``: learn from the labels of a run, and label every image."""

from __future__ import annotations

import inspect
import os
import time
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.methods import Methods, find_method
from usl.core.progress import Progress, silent
from usl.core.seeds import seed_number
from usl.data.collection import Collection
from usl.features.contract import require_torch
from usl.features.space import restrict
from usl.labeling.answers.sync import checked_split
from usl.run.folder import Run
from usl.run.models import EVALUATION, MODEL, SPACE
from usl.run.predictions import prediction_table, write_predictions
from usl.run.propagate import propagate
from usl.run.split_csv import rewrite, write_mirror
from usl.training.contract import AUGMENTED, FROZEN, NETWORKS
from usl.training.labels import Labels, given_labels, missing_classes
from usl.training.models import Model, save_model
from usl.training.open_run import Opened, open_run
from usl.training.predict import predict_points


def training_method(method: str) -> tuple[Methods, ModuleType]:
    """A training method and its kind, by name or by the path of a ``.py`` file."""
    if method in NETWORKS.names():
        require_torch(f"The method {method}")
    return find_method([FROZEN, NETWORKS], method)


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
    run : run folder, with labels filled in.
    method : how to learn.
    seed : of every random draw.
    collection : the images, where they live in memory.
    source : where the images are now, if they have moved.
    model : another encoder than the one the selection used.
    **method_params : the method's own parameters, and of one that trains a network those of
        :func:`usl.training.train_network.train_network`.

    Raises
    ------
    DataError : no labels yet, a single class, images that changed since the selection.
    """
    began = time.perf_counter()
    seed = seed_number(seed)
    kind, module = training_method(method)
    if kind is FROZEN:
        kind.check(method, module, method_params)
    run = run if isinstance(run, Run) else Run.open(run)
    found = collection if collection is not None else run.collection(source)
    split = propagate(run, checked := checked_split(run, found))
    if split is checked:
        write_mirror(split, run.path)  # the CSV stays as the person left it
    else:
        rewrite(split)
    if kind is NETWORKS:
        from usl.training.train_network import fit_network

        opened, labels, fitted, settings = fit_network(
            module, method, run, found, split, model, seed, progress, method_params
        )
    else:
        opened = open_run(run, collection=found, split=split, model=model, progress=progress)
        labels = given_labels(opened)
        train_points = opened.subsets == "train"
        fitted = module.fit(
            opened.space.features[train_points],
            labels.classes[train_points],
            labels.weights[train_points],
            len(labels.names),
            **handed(module, opened, train_points, seed, progress),
            **method_params,
        )
        settings = method_params
    keep(opened, fitted, labels)
    return run.update(
        training={
            "method": method,
            "seed": seed,
            "parameters": settings,
            "labels": int(((labels.classes >= 0) & labels.human).sum()),
            "propagated": int(((labels.classes >= 0) & ~labels.human).sum()),
            "classes": labels.names,
            "single": labels.single(),
            "missing": missing_classes(run, labels.names),
            "images": int((opened.subsets == "train").sum()),
            "encoder": {**opened.space.record(), **opened.kept_in_run()},
            "seconds": round(time.perf_counter() - began, 3),
        }
    )


def handed(
    module: ModuleType,
    opened: Opened,
    train_points: NDArray[np.bool_],
    seed: int,
    progress: Progress,
) -> dict[str, Any]:
    """What a method on frozen features gets beside its own parameters."""
    shared: dict[str, Any] = {"seed": seed, "progress": progress}
    if AUGMENTED in inspect.signature(module.fit).parameters:
        from usl.features.views import view_features

        train_space = restrict(opened.space, train_points)
        shared[AUGMENTED] = partial(
            view_features, opened.collection, train_space, progress=progress
        )
    return shared


def keep(opened: Opened, fitted: Model, labels: Labels) -> None:
    """Write the model, its space and a label for every image."""
    run = opened.run
    probabilities = predict_points(fitted, opened.space, opened.subsets == "train")
    # A person's answer stands, whatever the model thinks of it.
    given = np.flatnonzero((labels.classes >= 0) & labels.human)
    probabilities[given] = np.eye(len(labels.names))[labels.classes[given]]
    (run.path / EVALUATION).unlink(missing_ok=True)  # it was of the former model
    save_model(run.path / MODEL, fitted, labels.names)
    if opened.space.embedding.encoder.key != run.info["encoder"]["key"]:
        opened.space.preprocessing.save(run.path / SPACE)
    table = prediction_table(opened.ids, opened.subsets, probabilities, labels.names, labels.human)
    write_predictions(run.path, table)
