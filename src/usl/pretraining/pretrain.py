"""``usl pretrain``: from unlabelled images to an encoder of one's own."""

from __future__ import annotations

import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UsageError, UslWarning
from usl.core.files import beside, read_json, remove_rests, write_json
from usl.core.hashing import json_digest
from usl.core.progress import Progress, silent
from usl.core.seeds import seed_number
from usl.data.addresses import check_on_disk
from usl.data.collection import Collection
from usl.data.open import open_collection, tell
from usl.learning.loop_options import CHECKPOINT, LoopOptions
from usl.learning.recipe import Recipe, recipe_of
from usl.pretraining.contract import METHODS
from usl.run.folder import environment
from usl.run.sources import source_record

if TYPE_CHECKING:
    from usl.learning.pictures import Pictures
    from usl.pretraining.monitor import Probe

INFO, ENCODER = "pretraining.json", "encoder.safetensors"
LEAST_RANK = 2.0  # effective rank below which a representation is called collapsed

# From the collection and its readable train pictures to figures; see usl.evaluation.probe.
ProbeMaker = Callable[[Collection, NDArray[np.int64], "Pictures"], "Probe"]


@dataclass(frozen=True)
class Pretrained:
    """A finished pre-training: its folder, the encoder in it, and the record."""

    path: Path
    info: dict[str, Any]

    @property
    def encoder(self) -> Path:
        """The file that ``--model`` takes."""
        return self.path / ENCODER


def pretrain(
    source: str | os.PathLike[str] | Collection,
    out: str | os.PathLike[str],
    *,
    method: str = "cld",
    preset: str = "cpu",
    network: str | None = None,
    init: str | None = None,
    size: int | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    weight_decay: float | None = None,
    seed: int = 0,
    monitor_epochs: int = 5,
    probe: ProbeMaker | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
    **params: Any,
) -> Pretrained:
    """Train a network on the train subset of a source, without labels.

    The folder ``out`` receives ``encoder.safetensors`` (what ``--model`` takes),
    ``checkpoint.safetensors``, ``metrics.jsonl`` and ``pretraining.json``. Stopped at any time, it
    goes on with ``resume`` as if nothing had happened.

    Parameters
    ----------
    source : as for a selection; only the subset train is trained on.
    out : folder for the encoder, its checkpoint and its record.
    method : how to learn without labels.
    preset : recipe of the method: ``cpu``, or one of the literature's (``cifar``, ``imagenet``).
    network : compact (for CPUs), resnet18, wrn28_2, wrn28_8, resnet50; the default is the recipe's.
    init : begin with the weights of this encoder; the default is random weights.
    size : side of the pictures in pixels; the default is the network's.
    epochs : passes over the images; the default is the recipe's.
    batch_size : images per step; the default is the recipe's, but at most half the images.
    lr : peak learning rate; the default is the recipe's.
    weight_decay : of weights, and of biases where the recipe says so; the default is the recipe's.
    seed : of every random draw.
    monitor_epochs : epochs between looks at the representation.
    probe : makes the labelled probe of the monitor; labels are read for nothing else.
    overwrite : replace an earlier training.
    **params : how to run it (:class:`usl.learning.loop_options.LoopOptions`: ``device``,
        ``accumulate``, ``resume`` and more), and the method's own parameters.

    Raises
    ------
    UsageError, DataError : a parameter out of range, a single image, a folder that is in use, a
        checkpoint of another training.
    TrainingFailedError : a loss that is not finite; the last checkpoint is kept.
    """
    from usl.features.start_backbone import start_backbone
    from usl.learning.backbone import save_backbone
    from usl.learning.batches import Shuffled, part_of
    from usl.learning.loop import run_loop
    from usl.pretraining.monitor import Monitor

    began = time.perf_counter()
    seed = seed_number(seed)
    options, method_params = LoopOptions.taken_from(params)
    module = METHODS.load(method)
    METHODS.check(method, module, method_params)
    recipe = recipe_of(module, method, preset, method_params, lr=lr, weight_decay=weight_decay)
    folder, rank = Path(out), int(os.environ.get("RANK", "0"))
    if leader := rank == 0:  # under torchrun the others write nothing
        check_folder(folder, resume=options.resume, overwrite=overwrite)
    options = replace(options, resume=options.resume and (folder / CHECKPOINT).is_file())
    collection = open_collection(source)
    tell(collection)
    backbone, supervision = start_backbone(network or recipe.network, init, size, seed)
    train, pictures = train_pictures(collection, backbone.size, progress, whole=recipe.whole)
    n = len(pictures)
    batch = batch_size or min(recipe.batch_size, max(2, n // 2))
    rows, epochs = Shuffled(n, batch, seed), epochs or recipe.epochs
    parameters = with_fitting_queue(module, recipe, method_params, batch // options.accumulate, n)
    task = module.build(backbone, seed=seed, **parameters)
    ids = collection.ids[train][pictures.rows]
    settings = {
        "images": json_digest(ids.tolist()),
        "method": method,
        "preset": preset,
        "parameters": parameters,
        "network": backbone.name,
        "init": init,
        "size": backbone.size,
        "epochs": epochs,
        "batch_size": batch,
    }
    info: dict[str, Any] = {
        **images_record(source, collection, train, pictures),
        "settings": {**settings, "seed": seed, "optimizer": repr(recipe.optimizer)},
        "supervision": supervision,
    }
    labelled = None if probe is None else probe(collection, train[pictures.rows], pictures)
    with kept_if_begun(folder, info) if leader else nullcontext():
        history = run_loop(
            task,
            lambda step, rank, ranks: load(pictures, part_of(rows.rows(step), rank, ranks)),
            steps=epochs * rows.per_epoch,
            optimizer=recipe.optimizer,
            seed=seed,
            settings=settings,
            folder=folder,
            options=options,
            log_every=min(50, rows.per_epoch),
            monitor=Monitor(pictures, backbone.size, seed, labelled),
            monitor_every=monitor_epochs * rows.per_epoch,
            ids=ids,
            label=method,
            progress=progress,
        )
    warn_of_collapse(folder, last := history[-1])
    info["result"] = {name: value for name, value in last.items() if name != "lr"}
    info["seconds"] = round(time.perf_counter() - began, 1)
    if leader:
        about = {"method": method, "preset": preset, "epochs": epochs, "images": n, "seed": seed}
        save_backbone(folder / ENCODER, task.backbone, supervision, **about)
        write_json(folder / INFO, info)
    return Pretrained(folder, info)


@contextmanager
def kept_if_begun(folder: Path, info: Mapping[str, Any]) -> Iterator[None]:
    """The folder of a training with its record; it goes if there is nothing to go on from."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / INFO, info)
    try:
        yield
    except BaseException:
        if not (folder / CHECKPOINT).is_file():
            shutil.rmtree(folder, ignore_errors=True)
        raise


def with_fitting_queue(
    module: ModuleType, recipe: Recipe, given: Mapping[str, Any], batch: int, images: int
) -> Mapping[str, Any]:
    """The parameters; a queue of keys that nobody asked for fits the batch and the collection."""
    accepted = METHODS.parameters(module)
    if "queue" not in accepted or "queue" in given:
        return recipe.parameters
    from usl.pretraining.momentum import fitting_queue

    wanted = recipe.parameters.get("queue", accepted["queue"].default)
    return {**recipe.parameters, "queue": fitting_queue(wanted, batch, images)}


def warn_of_collapse(folder: Path, last: Mapping[str, Any]) -> None:
    """Warn where nearly all images have the same features in the end."""
    if last["effective_rank"] < LEAST_RANK:
        warnings.warn(
            f"{folder}: the representation has collapsed (effective rank "
            f"{last['effective_rank']}): nearly all images look the same to it. Lower lr, or raise "
            "batch_size or epochs.",
            UslWarning,
            stacklevel=3,
        )


def check_folder(folder: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse a folder that holds something else, or clear one that may go."""
    check_on_disk(folder, "a pre-training")
    if resume and overwrite:
        raise UsageError("resume and overwrite exclude each other: choose one.")
    remove_rests(folder.parent, folder.name)
    remove_rests(folder)
    if resume:
        if (folder / CHECKPOINT).is_file():
            return
        if not (folder / INFO).is_file():
            raise DataError(
                f"{folder}: no pre-training to resume; it holds no {CHECKPOINT}. Leave out "
                "--resume."
            )
        warnings.warn(
            f"{folder}: that pre-training was stopped before its first checkpoint; it begins anew.",
            UslWarning,
            stacklevel=3,
        )
        return
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not (folder / INFO).is_file():
        raise UsageError(f"out: {folder} exists and is no pre-training. Name another folder.")
    if not overwrite:
        raise UsageError(
            f"out: {folder} holds a pre-training already. Go on with it (--resume), replace it "
            "(--overwrite), or name another folder."
        )
    read_json(folder / INFO)
    rest = beside(folder)  # killed here, it is known for what it is
    os.rename(folder, rest)
    shutil.rmtree(rest)


def images_record(
    source: Any, collection: Collection, train: NDArray[np.int64], pictures: Pictures
) -> dict[str, Any]:
    """What is recorded about the images, and what could not be read."""
    return {
        **environment(),
        "source": source_record(source, collection),
        "images": len(pictures),
        "unreadable": [[str(collection.ids[train[row]]), why] for row, why in pictures.skipped],
    }


def train_pictures(
    collection: Collection, size: int, progress: Progress, *, whole: bool
) -> tuple[NDArray[np.int64], Pictures]:
    """The rows of the train subset, and their pictures: two or more."""
    rows = collection.rows_in("train")
    if collection.images is None:
        raise DataError(f"{collection.source}: holds features, no images to train on.")
    if len(rows) == 0:
        raise DataError(f"{collection.source}: the train subset is empty.")
    from usl.learning.pictures import open_pictures

    taken = collection.images.take(rows)
    how: dict[str, Any] = {"whole": whole, "name": collection.source, "progress": progress}
    pictures = open_pictures(taken, size, **how)
    if (n := len(pictures)) < 2:
        raise DataError(f"{collection.source}: {n} readable image; training needs at least 2.")
    return rows, pictures


def load(pictures: Pictures, rows: NDArray[np.int64]) -> Mapping[str, Any]:
    """One raw batch."""
    import torch

    return {**pictures.named("images", rows), "rows": torch.from_numpy(rows)}
