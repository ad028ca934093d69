"""``usl train`` with a method that trains a network on the images themselves.

What comes out is what every other method leaves: the trained network is an encoder
(``trained.safetensors``) and its last layer a linear model on the encoder's features
(``model.npz``), so that evaluation, report and prediction need to know nothing of networks.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UsageError, UslWarning
from usl.core.hashing import json_digest
from usl.core.methods import Methods
from usl.core.progress import Progress, expect
from usl.data.collection import Collection
from usl.features.contract import Encoder
from usl.features.preprocessing import Preprocessing
from usl.features.space import open_space
from usl.features.start_backbone import start_backbone
from usl.learning.backbone import save_backbone
from usl.learning.loop import run_loop
from usl.learning.loop_options import LoopOptions
from usl.learning.pictures import Pictures, open_pictures
from usl.learning.recipe import Recipe, recipe_of
from usl.run.folder import Run
from usl.run.identity import check_identity
from usl.run.models import NETWORK
from usl.run.split import Split
from usl.training.contract import DEFAULT, NETWORKS
from usl.training.labels import Labels, given_labels, labels_of
from usl.training.last_epochs import EPOCH, LastEpochs, epochs_to_keep
from usl.training.models import LinearModel
from usl.training.open_run import Opened, run_encoder
from usl.training.shared.streams import Streams
from usl.training.shared.student import Classifier, Student
from usl.training.stages import network_stages

FOLDER = "training"
PRESET, RANDOM = "cpu", "random"  # of whoever names none; a start without an encoder


@dataclass(frozen=True)
class Examples:
    """What a network is trained on: the train images of a run, in the collection's order.

    ``pictures`` of all; ``classes`` int64 [n], -1 without a label; ``weights`` float64 [n].
    """

    images: Any
    ids: NDArray[np.str_]
    classes: NDArray[np.int64]
    weights: NDArray[np.float64]
    name: str

    def take(self, rows: NDArray[np.int64]) -> Examples:
        """Those of some rows, such as the ones whose pictures can be read."""
        images, ids = self.images.take(rows), self.ids[rows]
        return Examples(images, ids, self.classes[rows], self.weights[rows], self.name)


def fit_network(
    module: ModuleType,
    method: str,
    run: Run,
    working: Path,
    collection: Collection,
    split: Split,
    model: str | None,
    seed: int,
    progress: Progress,
    given: Mapping[str, Any],
) -> tuple[Opened, Labels, LinearModel, dict[str, Any]]:
    """Train on a run's images and open the run again in the space of the trained network.

    The network is written into the ``working`` folder of the new model. It begins with the run's
    encoder, unless a start, a network or a preset is named.
    """
    if collection.images is None:
        raise DataError(
            f"{collection.source}: {method} trains on images, but these are features alone. Use a "
            f"method on frozen features, such as {DEFAULT}."
        )
    begin = start_of(run, model, given)
    position = np.empty(len(collection), dtype=np.int64)
    position[split.positions(collection.ids)] = np.arange(len(split))
    train = collection.rows_in("train")
    labels = labels_of(run, split, position[train], np.ones(len(train), dtype=bool))
    examples = Examples(
        collection.images.take(train),
        collection.ids[train],
        labels.classes,
        labels.weights,
        collection.source,
    )
    done = train_network(
        module,
        method,
        examples,
        labels.names,
        Place(
            run.path / FOLDER,
            working / NETWORK,
            lambda: check_identity(run.path, run.identity),
        ),
        seed=seed,
        progress=progress,
        **{**given, "start": begin if isinstance(begin, str) else None},
        begin=None if isinstance(begin, str) else begin,
    )
    pictures, network = collection.pictures_alone(), str(done.encoder)
    space = open_space(pictures, network, preprocessing=done.preprocessing, progress=progress)
    opened = Opened(run, collection, split, space)
    # The model numbers the classes of all labels, those of pictures that nobody can read, too.
    return opened, given_labels(opened).among(labels.names), done.model, done.parameters


def start_of(run: Run, model: str | None, given: Mapping[str, Any]) -> str | Encoder | None:
    """What a training begins with: an encoder, or None for random weights.

    ``given`` are a person's options. ``model`` is another word for a start.
    """
    start = given.get("start")
    if start is not None and model is not None and start != model:
        raise UsageError(f"start: {start!r} given, and the model {model!r}. Leave one of them out.")
    start = start if start is not None else model
    if start == RANDOM:
        return None
    if start is not None:
        if given.get("network") is not None:
            raise UsageError(
                f"network: {given['network']!r} has random weights, but the start {start!r} brings "
                "its own network. Leave one of them out."
            )
        return str(start)
    if given.get("network") is not None or given.get("preset") is not None:
        return None
    encoder = run_encoder(run)
    if encoder is None or not hasattr(encoder, "backbone"):
        warnings.warn(
            f"{run.path}: the run's encoder, {run.info['encoder']['name']}, is no network that can "
            "be trained further; this training begins with random weights. Name a start: --start "
            "efficientnet_lite1.",
            UslWarning,
            stacklevel=4,
        )
        return None
    return encoder


@dataclass(frozen=True)
class Trained:
    """A trained network as an encoder file and a linear model on its features.

    ``seen`` : what a look at the finished task gave, where there was one.
    """

    encoder: Path
    preprocessing: Preprocessing
    model: LinearModel
    parameters: dict[str, Any]
    history: list[dict[str, Any]]
    seen: Any = None


@dataclass(frozen=True)
class Place:
    """Where a training writes: the ``folder`` of its checkpoints, and the trained ``encoder``.

    ``check`` is called before anything is written into the folder; it raises where that must not
    be.
    """

    folder: Path
    encoder: Path
    check: Callable[[], None]


def train_network(
    module: ModuleType,
    method: str,
    examples: Examples,
    class_names: list[str],
    place: Place,
    *,
    start: str | None = None,
    begin: Encoder | None = None,
    seed: int = 0,
    preset: str | None = None,
    network: str | None = None,
    size: int | None = None,
    frozen: bool = False,
    steps: int | None = None,
    batch_size: int | None = None,
    ratio: int | None = None,
    lr: float | None = None,
    weight_decay: float | None = None,
    labeled_in_unlabeled: bool | None = None,
    last_epochs: int | None = None,
    progress: Progress,
    kind: Methods = NETWORKS,
    look: Callable[[Student, Pictures], Any] = lambda task, pictures: None,
    **params: Any,
) -> Trained:
    """Train a network by one method of this room, or of another ``kind`` of the same shape.

    ``look`` is called once the trained network is written, with the task and the pictures that it
    was trained on, before they go.

    Parameters
    ----------
    start : encoder whose network and weights to begin with, or random. By default usl train
        begins with the run's encoder; with a preset or a network, with random weights.
    begin : the same encoder, opened.
    seed : of every random draw.
    preset : recipe of the method: cpu (the default), or one of the literature's (cifar, imagenet).
    network : of random weights: compact (made for CPUs), resnet18, wrn28_2, wrn28_8, resnet50; the
        default is the recipe's (cpu: compact).
    size : side of the pictures in pixels; the default is the network's.
    frozen : train the last layer alone.
    steps : of the optimiser; the default is the recipe's.
    batch_size : labelled images per step; few labels are repeated.
    ratio : unlabelled images per labelled one (mu).
    lr : peak learning rate.
    weight_decay : of weights; of biases and batch normalisation where the recipe says so.
    labeled_in_unlabeled : the unlabelled stream holds the labelled images too; the default is the
        recipe's (FixMatch: yes, CoMatch: no).
    last_epochs : keep the averages of so many of the last epochs, of 1,024 steps each, too: usl
        evaluate then tells their mean accuracy (MixMatch, cifar and imagenet: 20).
    **params : :class:`usl.learning.loop_options.LoopOptions`, and the method's own parameters.

    Raises
    ------
    DataError : no picture of a label can be read.
    TrainingFailedError : a loss that is not finite; the last checkpoint is kept.
    """
    options, method_params = LoopOptions.taken_from(params)
    kind.check(method, module, method_params)
    changed = {"lr": lr, "weight_decay": weight_decay}
    recipe = recipe_of(module, method, preset or PRESET, method_params, **changed)
    mu = _ratio(method, recipe, ratio)
    network = network or recipe.network_for(len(class_names))
    optimizer = recipe.optimizer_for(len(class_names))
    init = begin if start is None else None if start == RANDOM else start
    backbone, supervision = start_backbone(network, init, size, seed)
    batch, total = batch_size or recipe.batch_size, steps or recipe.steps
    expect(progress, *network_stages(method, len(examples.images), total, batch * (1 + 2 * mu)))
    pictures = open_pictures(
        examples.images, backbone.size, whole=recipe.whole, name=examples.name, progress=progress
    )
    read = examples.take(pictures.rows)
    inside = recipe.labeled_in_unlabeled if labeled_in_unlabeled is None else labeled_in_unlabeled
    streams = _streams(pictures, read, recipe.ratio, batch, mu, inside, seed)
    task: Student = module.build(backbone, len(class_names), seed=seed, **recipe.parameters)
    if frozen:
        task.freeze()
    told = "labels of this collection" if supervision == "none" else supervision
    last = epochs_to_keep(last_epochs, recipe.last_epochs, total)
    keeper = LastEpochs(place.folder, last, total, class_names, told, resume=options.resume)
    task.prepare(images=len(pictures), unlabeled=len(streams.unlabeled), steps=total)
    settings = {
        "method": method,
        "preset": preset or PRESET,
        "parameters": recipe.parameters,
        "network": backbone.name,
        "start": RANDOM if init is None else getattr(init, "name", init),
        "size": backbone.size,
        "frozen": frozen,
        "batch_size": streams.batch_size,
        "ratio": streams.ratio,
        "labeled_in_unlabeled": inside,
        **({"last_epochs": last} if last else {}),
        "images": json_digest(read.ids.tolist()),
        "labels": json_digest([class_names, read.classes.tolist(), read.weights.tolist()]),
    }
    history = run_loop(
        task,
        streams,
        steps=total,
        optimizer=optimizer,
        seed=seed,
        settings=settings,
        folder=place.folder,
        check=place.check,
        options=options,
        monitor=keeper if last else None,
        monitor_every=EPOCH,
        ids=read.ids,
        label=method,
        progress=progress,
    )
    place.check()
    if last:
        keeper.copy_to(place.encoder.parent)
    done = {**settings, "steps": total, "optimizer": repr(optimizer)}
    about = {"labels": len(streams.labeled), "seed": seed}
    trained = _written(task.kept, place, told, about, done, history)
    return replace(trained, seen=look(task, pictures))  # it may move the task to a GPU


def _ratio(method: str, recipe: Recipe, given: int | None) -> int:
    """Unlabelled images per labelled one; UsageError for none where a method learns from them."""
    if recipe.ratio and given == 0:
        raise UsageError(f"ratio: {method} learns from unlabelled images, too; use at least 1.")
    return recipe.ratio if given is None else given


def _written(
    kept: Classifier,
    place: Place,
    told: str,
    about: Mapping[str, Any],
    settings: dict[str, Any],
    history: list[dict[str, Any]],
) -> Trained:
    """Write the trained network; with its last layer, what the training leaves."""
    trained_by = {key: settings[key] for key in ("method", "preset")}
    save_backbone(place.encoder, kept.backbone, told, **trained_by, **about)
    return Trained(
        place.encoder,
        Preprocessing(kept.backbone.dim, unit=False),
        LinearModel(*(value.detach().double().numpy() for value in kept.head.parameters())),
        settings,
        history,
    )


def _streams(
    pictures: Pictures,
    read: Examples,
    needed: int,
    batch_size: int,
    ratio: int,
    labeled_in_unlabeled: bool,
    seed: int,
) -> Streams:
    """The batches of pictures that could be read; ``needed`` is the ratio of the recipe."""
    labeled, unlabeled = divided(read.classes, labeled_in_unlabeled, read.name, needed)
    classes, weights = read.classes[labeled], read.weights[labeled]
    return Streams(pictures, labeled, classes, weights, unlabeled, batch_size, ratio, seed)


def divided(
    classes: NDArray[np.int64], labeled_in_unlabeled: bool, name: str, ratio: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows of the labelled and of the unlabelled stream.

    :class:`DataError` without a label, or where all have one and the ``ratio`` asks for others.
    """
    labeled = np.flatnonzero(classes >= 0)
    if len(labeled) == 0:
        raise DataError(f"{name}: none of the labelled images can be read.")
    every = np.arange(len(classes))
    unlabeled = every if labeled_in_unlabeled else np.flatnonzero(classes < 0)
    if ratio and not len(unlabeled):
        raise DataError(f"{name}: every image has a label; use supervised.")
    return labeled, unlabeled
