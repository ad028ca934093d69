"""``usl pretrain``: from unlabelled images to an encoder of one's own."""

from __future__ import annotations

import os
import shutil
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UsageError, UslWarning
from usl.core.files import read_json, write_json
from usl.core.hashing import json_digest
from usl.core.progress import Progress, silent
from usl.data.collection import Collection
from usl.data.open import open_collection
from usl.features.start_backbone import start_backbone
from usl.learning.backbone import save_backbone
from usl.learning.batches import Shuffled, part_of
from usl.learning.hardware import Hardware
from usl.learning.loop import CHECKPOINT, run_loop
from usl.learning.pictures import Pictures, open_pictures
from usl.pretraining.contract import METHODS, recipe_of
from usl.pretraining.momentum import fitting_queue
from usl.pretraining.monitor import Monitor, Probe
from usl.run.folder import environment, source_record

INFO, ENCODER = "pretraining.json", "encoder.safetensors"
LEAST_RANK = 2.0  # effective rank below which a representation is called collapsed

# From the collection and its readable train pictures to figures; see usl.evaluation.probe.
ProbeMaker = Callable[[Collection, NDArray[np.int64], Pictures], Probe]


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
    hardware: Hardware | None = None,
    accumulate: int = 1,
    clip: float | None = None,
    checkpoint_minutes: float = 5.0,
    monitor_epochs: int = 5,
    probe: ProbeMaker | None = None,
    tensorboard: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    progress: Progress = silent,
    **method_params: Any,
) -> Pretrained:
    """Train a network on the train subset of a source, without labels.

    The folder ``out`` receives ``encoder.safetensors`` (what ``--model`` takes),
    ``checkpoint.safetensors``, ``metrics.jsonl`` and ``pretraining.json``. Stopped at any time, it
    goes on with ``resume`` as if nothing had happened.

    Parameters
    ----------
    method, method_params : a file of ``usl.pretraining`` and the parameters of its ``build``.
    preset : recipe of the method: ``cpu``, or the literature's.
    network : a file of ``usl.learning.networks``; default: the recipe's.
    init : begin with the weights of this encoder instead of random ones.
    size : side of the pictures in pixels; default: the network's.
    epochs, batch_size, lr, weight_decay : default: the recipe's; a set smaller than the recipe's
        batch is trained in batches of half its size.
    probe : makes the labelled probe of the monitor; labels are read for nothing else.
    monitor_epochs : epochs between looks at the representation.

    Raises
    ------
    UsageError, DataError
        a parameter out of range, a single image, a folder that is in use, a checkpoint of another
        training.
    TrainingFailedError
        a loss that is not finite; the last checkpoint is kept.
    """
    began = time.perf_counter()
    module = METHODS.load(method)
    METHODS.check(method, module, method_params)
    recipe = recipe_of(module, method, preset)
    folder = Path(out)
    leader = int(os.environ.get("RANK", "0")) == 0  # under torchrun the others write nothing
    if leader:
        check_folder(folder, resume=resume, overwrite=overwrite)
    collection = open_collection(source)
    backbone, supervision = start_backbone(network or recipe.network, init, size, seed)
    train = collection.rows_in("train")
    pictures = train_pictures(collection, train, backbone.size, progress)
    n = len(pictures)
    if n < 2:
        raise DataError(f"{collection.source}: {n} readable image; training needs at least 2.")
    batch = batch_size or min(recipe.batch_size, max(2, n // 2))
    rows = Shuffled(n, batch, seed)
    epochs = epochs or recipe.epochs
    optimizer = recipe.optimizer.changed(lr=lr, weight_decay=weight_decay)
    parameters = {**recipe.parameters, **method_params}
    accepted = METHODS.parameters(module)
    if "queue" in accepted and "queue" not in method_params:
        size_of_queue = parameters.get("queue", accepted["queue"].default)
        parameters["queue"] = fitting_queue(size_of_queue, batch // accumulate, n)
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
        **environment(),
        "source": source_record(source, collection),
        "settings": {**settings, "seed": seed, "optimizer": repr(optimizer)},
        "supervision": supervision,
        "images": n,
        "unreadable": [[str(collection.ids[train[row]]), why] for row, why in pictures.skipped],
    }
    if leader:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / INFO, info)
    labelled = None if probe is None else probe(collection, train[pictures.rows], pictures)
    try:
        history = run_loop(
            task,
            lambda step, rank, ranks: load(pictures, part_of(rows.rows(step), rank, ranks)),
            steps=epochs * rows.per_epoch,
            optimizer=optimizer,
            seed=seed,
            settings=settings,
            folder=folder,
            resume=resume,
            hardware=hardware,
            accumulate=accumulate,
            clip=clip,
            checkpoint_minutes=checkpoint_minutes,
            log_every=min(50, rows.per_epoch),
            monitor=Monitor(pictures, backbone.size, seed, labelled),
            monitor_every=monitor_epochs * rows.per_epoch,
            ids=ids,
            tensorboard=tensorboard,
            label=method,
            progress=progress,
        )
    except BaseException as stopped:
        kept = (folder / CHECKPOINT).is_file()
        if leader and not kept:  # there is nothing to go on from
            shutil.rmtree(folder, ignore_errors=True)
        if kept and isinstance(stopped, KeyboardInterrupt):
            raise KeyboardInterrupt(
                f"{stopped or 'Stopped.'} Go on with the same command and --resume."
            ) from None
        raise
    last = history[-1]
    if last["effective_rank"] < LEAST_RANK:
        warnings.warn(
            f"{folder}: the representation has collapsed (effective rank "
            f"{last['effective_rank']}): nearly all images look the same to it. Lower lr, or raise "
            "batch_size or epochs.",
            UslWarning,
            stacklevel=2,
        )
    info["result"] = {name: value for name, value in last.items() if name != "lr"}
    info["seconds"] = round(time.perf_counter() - began, 1)
    if not leader:
        return Pretrained(folder, info)
    save_backbone(
        folder / ENCODER,
        task.backbone,
        supervision,
        method=method,
        preset=preset,
        epochs=epochs,
        images=n,
        seed=seed,
    )
    write_json(folder / INFO, info)
    return Pretrained(folder, info)


def check_folder(folder: Path, *, resume: bool, overwrite: bool) -> None:
    """Refuse a folder that holds something else, or clear one that may go."""
    if resume and overwrite:
        raise UsageError("resume and overwrite exclude each other: choose one.")
    if resume:
        if not (folder / CHECKPOINT).is_file():
            raise DataError(
                f"{folder}: no pre-training to resume; it holds no {CHECKPOINT}. Leave out "
                "--resume."
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
    shutil.rmtree(folder)


def train_pictures(
    collection: Collection, rows: NDArray[np.int64], size: int, progress: Progress
) -> Pictures:
    """The pictures of the train subset."""
    if collection.images is None:
        raise DataError(f"{collection.source}: holds features, no images to train on.")
    if len(rows) == 0:
        raise DataError(f"{collection.source}: the train subset is empty.")
    return open_pictures(
        collection.images.take(rows), size, name=collection.source, progress=progress
    )


def load(pictures: Pictures, rows: NDArray[np.int64]) -> Mapping[str, Any]:
    """One raw batch."""
    import torch

    return {"images": pictures(rows), "rows": torch.from_numpy(rows)}
