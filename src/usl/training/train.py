"""``usl train``: learn from the labels of a run, and label every image."""

from __future__ import annotations

import inspect
import os
import shutil
import time
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.files import atomic_write
from usl.core.hashing import array_digest, json_digest
from usl.core.methods import Methods, find_method
from usl.core.progress import Progress, expect, silent
from usl.core.seeds import seed_number
from usl.data.collection import Collection
from usl.features.contract import require_torch
from usl.features.space import restrict
from usl.labeling.answers.sync import checked_split
from usl.run.folder import Run
from usl.run.identity import writing
from usl.run.models import MODEL, NETWORK, SPACE, STAMP, new_model, put_in_place
from usl.run.predictions import prediction_table, write_predictions
from usl.run.propagate import propagate
from usl.run.split_csv import rewrite, write_mirror
from usl.training.contract import AUGMENTED, FROZEN, NETWORKS
from usl.training.doubts import doubts_of
from usl.training.labels import Labels, given_labels, missing_classes
from usl.training.models import Model, Probabilities, kind_of, save_model
from usl.training.open_run import Opened, open_run
from usl.training.predict import predict_points
from usl.training.stages import frozen_stages


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

    Writes a model (:mod:`usl.run.models`), ``predictions.csv``, and the ``training`` section of
    ``run.json``, which puts the model in the place of the former one.

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
    with writing(run.path, run.identity):
        if split is checked:
            write_mirror(split, run.path)  # the CSV stays as the person left it
        else:
            rewrite(split)
    with new_model(run) as working:
        if kind is NETWORKS:
            from usl.training.train_network import fit_network

            opened, labels, fitted, settings = fit_network(
                module, method, run, working, found, split, model, seed, progress, method_params
            )
        else:
            opened = open_run(run, collection=found, split=split, model=model, progress=progress)
            labels = given_labels(opened)
            train_points = opened.subsets == "train"
            n, width = int(train_points.sum()), opened.space.features.shape[1]
            sizes = n, len(train_points) - n, width, len(labels.names)
            expect(progress, *frozen_stages(module, method, *sizes))
            fitted = module.fit(
                opened.space.features[train_points],
                labels.classes[train_points],
                labels.weights[train_points],
                len(labels.names),
                **handed(module, opened, train_points, seed, progress),
                **method_params,
            )
            settings = method_params
        record = {
            "method": method,
            "seed": seed,
            "parameters": settings,
            "labels": int(((labels.classes >= 0) & labels.human).sum()),
            "propagated": int(((labels.classes >= 0) & ~labels.human).sum()),
            "classes": labels.names,
            "single": labels.single(),
            "missing": missing_classes(run, labels.names),
            "images": int((opened.subsets == "train").sum()),
            "encoder": opened.space.record(),
        }
        probabilities = label_every_image(opened, fitted, labels)
        record |= judged(opened, fitted, labels, probabilities)
        with writing(run.path, run.identity):
            record["encoder"] = {**opened.space.record(), **own_encoder(opened, working)}
            stamp = write_model(working, opened, fitted, labels, probabilities, record)
        seconds = round(time.perf_counter() - began, 3)
        return put_in_place(run, working, {**record, "seconds": seconds, STAMP: stamp})


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


def own_encoder(opened: Opened, working: Path) -> dict[str, str]:
    """Of an encoder that is a file of the run, its name there; one of a model goes with the new.

    The former model is removed with the network that it has.
    """
    path = Path(opened.space.embedding.encoder.name)
    path = path / "encoder.safetensors" if path.is_dir() else path
    home = opened.run.path.resolve()
    if not path.is_file() or not path.resolve().is_relative_to(home):
        return {}
    if path.resolve() == home / "encoder.safetensors":  # of the selection
        return {"file": path.name}
    if path.resolve().parent != working.resolve():
        with open(path, "rb") as source, atomic_write(working / NETWORK) as target:
            shutil.copyfileobj(source, target)
    return {"name": str(opened.run.path / NETWORK), "file": NETWORK}


def judged(
    opened: Opened, fitted: Model, labels: Labels, probabilities: Probabilities
) -> dict[str, Any]:
    """The method's own estimate of its accuracy, None without one, and doubts about the model."""
    estimate = getattr(fitted, "estimate", 0.0) or None
    train = opened.subsets == "train"
    given = np.where(labels.human, labels.classes, -1)[train]
    guess = probabilities[train].argmax(axis=1)
    doubts = doubts_of(guess, given, labels.names, estimate)
    return {"estimate": None if estimate is None else round(estimate, 4), "doubts": doubts}


def label_every_image(opened: Opened, fitted: Model, labels: Labels) -> Probabilities:
    """Class probabilities of every point; a person's answer stands, whatever the model thinks."""
    probabilities = predict_points(fitted, opened.space, opened.subsets == "train")
    given = np.flatnonzero((labels.classes >= 0) & labels.human)
    probabilities[given] = np.eye(len(labels.names))[labels.classes[given]]
    return probabilities


def write_model(
    working: Path,
    opened: Opened,
    fitted: Model,
    labels: Labels,
    probabilities: Probabilities,
    record: dict[str, Any],
) -> str:
    """Write the model, its space and a label for every image; the stamp that all of it bears.

    The same training gives the same stamp.
    """
    arrays = {name: array_digest(np.asarray(one)) for name, one in fitted.arrays().items()}
    made_by = [record[name] for name in ("method", "seed", "classes")]
    space = [record["encoder"][name] for name in ("key", "preprocessing")]
    found = [opened.ids.tolist(), array_digest(probabilities), labels.human.tolist()]
    stamp = json_digest([made_by, space, kind_of(fitted), arrays, found])
    save_model(working / MODEL, fitted, labels.names, stamp)
    if opened.space.embedding.encoder.key != opened.run.info["encoder"]["key"]:
        opened.space.preprocessing.save(working / SPACE)
    table = prediction_table(opened.ids, opened.subsets, probabilities, labels.names, labels.human)
    write_predictions(working, table, stamp)
    return stamp
