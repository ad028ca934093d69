"""``usl select``: from a source to a run folder that asks for labels."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from usl.core.errors import DataError, TrainingFailedError, UsageError
from usl.core.files import cache_dir, write_json, write_json_lines
from usl.core.hashing import array_digest, json_digest
from usl.core.progress import Progress, silent
from usl.core.seeds import seed_number
from usl.data.collection import Collection
from usl.data.open import open_collection
from usl.features.space import Space, open_space
from usl.numeric.workspace import Workspace
from usl.run import folder as runs
from usl.run.folder import Run
from usl.run.split import Split
from usl.selection.constraints.files import read_constraints
from usl.selection.constraints.result import Constrained
from usl.selection.constraints.select_within import (
    Constraints,
    check_budget,
    check_constraints,
    check_end_to_end,
    select_within,
)
from usl.selection.contract import DEFAULT, METHODS
from usl.selection.memory_bound import bound_run
from usl.selection.result import Selection
from usl.selection.select import select

RESUMABLE = 100_000  # images; the stages of a selection from more are kept


def start_run(
    source: str | os.PathLike[str] | Collection,
    budget: int,
    out: str | os.PathLike[str],
    *,
    method: str = DEFAULT,
    model: str = "auto",
    seed: int = 0,
    overwrite: bool = False,
    on_corrupt: str = "skip",
    center: bool | None = None,
    standardize: bool | None = None,
    pca: int | None = None,
    constraints: Constraints | None = None,
    memory: int | str | None = None,
    scratch: str | os.PathLike[str] | None = None,
    resume: bool | None = None,
    progress: Progress = silent,
    **method_params: Any,
) -> Run:
    """Embed the train subset of a source, pick ``budget`` of it, and write the run folder.

    Parameters
    ----------
    source : whatever :func:`usl.data.open_collection` understands.
    budget : how many images to request labels for.
    out : the run folder to create.
    method, seed, method_params : as in :func:`usl.select`.
    model : encoder; ``auto`` is the best that is installed.
    overwrite : replace an existing run. One with a person's labels in it is kept beside.
    on_corrupt : ``skip`` or ``fail`` at an image that cannot be read.
    center, standardize, pca : preprocessing before the unit sphere; None for the encoder's own.
    constraints : what to keep to (:class:`usl.Constraints`), with items by id or listed in files.
    memory, scratch : as in :func:`usl.select`; the bound is for the whole run but the encoder.
    resume : keep finished stages in the user's cache, and go on from those that the same selection
        left when it was stopped; None does so above 100,000 images.
    """
    # Whatever can be refused is refused before any image is read.
    began = time.perf_counter()
    runs.check_free(out, overwrite=overwrite)
    seed = seed_number(seed)
    module = METHODS.load(method)
    oracle = bool(getattr(module, "ORACLE", False))
    given = {**method_params, "labels": None} if oracle else method_params
    METHODS.check(method, module, given)
    collection = open_collection(source)
    train = collection.rows_in("train")
    if not len(train):
        raise DataError(f"{collection.source}: the train subset is empty; nothing to pick from.")
    check_budget(budget, len(train))
    if oracle and collection.labels is None:
        raise DataError(
            f"{method} is an oracle and needs the label of every image, but {collection.source} "
            "holds none. Choose another method."
        )
    wanted, files = read_constraints(constraints or Constraints(), collection, train)
    wanted = wanted.restricted(train, len(collection), collection.ids)
    check_constraints(wanted, len(train), budget, collection.ids[train])
    if method_params.get("end_to_end"):
        check_trainable(collection, model)
        check_end_to_end(wanted)
    workspace = Workspace(memory, scratch)
    encoder = bound_run(workspace, collection, model, method, budget, pca, method_params)
    space = open_space(
        collection,
        encoder,
        rows=train,
        settings={"center": center, "standardize": standardize, "pca": pca},
        on_corrupt=on_corrupt,
        workspace=workspace,
        progress=progress,
    )
    embedded = time.perf_counter()

    if oracle and collection.labels is not None:
        method_params = {"labels": collection.labels[space.rows], **method_params}
    training = None
    if method_params.get("end_to_end"):
        training = trainable(collection, space, method_params, seed)
        method_params = {"trainable": training, **method_params}
    settings = {
        "method": method,
        "seed": seed,
        "memory": workspace,
        "resume": len(space.rows) > RESUMABLE if resume is None else resume,
        "progress": progress,
        **method_params,
    }
    picks: Selection
    try:
        if constraints is None:
            picks = select(space.features, budget, **settings)
        else:
            readable_rows = np.searchsorted(train, space.rows)
            wanted = wanted.restricted(readable_rows, len(train), collection.ids[train])
            ids = collection.ids[space.rows]
            picks = select_within(space.features, budget, wanted, ids=ids, **settings)
    except TrainingFailedError as error:
        left = Path(out).with_name(f"{Path(out).name}.failed.jsonl")
        write_json_lines(left, error.history)
        raise TrainingFailedError(f"{error} The record is in {left}.", error.history) from error
    selected = time.perf_counter()

    readable = np.ones(len(collection), dtype=bool)
    readable[np.setdiff1d(train, space.rows)] = False
    with runs.new_run(out, overwrite=overwrite) as folder:
        picks.save(folder, collection.ids[space.rows])
        kept = collection.take(np.flatnonzero(readable))
        position = np.cumsum(readable) - 1
        split = Split.start(kept.ids, kept.subsets, picks=position[space.rows[picks.indices]])
        split.write(folder)
        runs.write_images(folder, kept)
        space.preprocessing.save(folder / "preprocessing.npz")
        record = {
            "format": runs.FORMAT,
            **runs.environment(),
            "source": runs.source_record(source, collection),
            "encoder": space.record(),
            "selection": {
                "method": picks.method,
                "budget": len(picks),
                "seed": seed,
                "parameters": picks.parameters,
                "oracle": oracle,
                **constraints_record(picks, files),
                "features": array_digest(space.features),
            },
            "seconds": {
                "embed": round(embedded - began, 3),
                "select": round(selected - embedded, 3),
            },
        }
        write_json(folder / runs.INFO, record)
        if picks.backbone is not None:
            keep_backbone(folder, picks, space)
    if training is not None and training.folder is not None:
        shutil.rmtree(training.folder, ignore_errors=True)
    return Run.open(out)


def constraints_record(picks: Selection, files: dict[str, str]) -> dict[str, Any]:
    """What ``run.json`` says of constraints; nothing where there were none."""
    found = picks.constraints if isinstance(picks, Constrained) else None
    return {"constraints": {**files, **found}} if found else {}


def check_trainable(collection: Collection, model: str) -> None:
    """Refuse end-to-end training without images, or of an encoder that is no network."""
    if collection.images is None:
        raise DataError(f"{collection.source}: end_to_end needs images; it holds features alone.")
    from usl.features.open_encoder import open_encoder

    if not hasattr(open_encoder(model), "backbone"):
        raise UsageError(
            f"end_to_end: the encoder {model!r} cannot be trained. Use cifar-cld-small, the result "
            "of usl pretrain, or a timm model: --model NAME."
        )


def trainable(collection: Collection, space: Space, method_params: Any, seed: int) -> Any:
    """What a method that trains the encoder needs (:mod:`usl.selection.methods.usl_t.network`).

    Checkpoints go to the cache, under a hash of everything that defines the training, so that the
    same command goes on where it was stopped.
    """
    from usl.features.open_encoder import open_encoder
    from usl.learning.pictures import open_pictures
    from usl.selection.methods.usl_t.network import Trainable

    assert collection.images is not None
    taken, fitted = collection.images.take(space.rows), space.preprocessing
    key = json_digest([array_digest(space.features), seed, repr(sorted(method_params.items()))])
    return Trainable(
        open_encoder(space.embedding.encoder.name).backbone,  # type: ignore[attr-defined]
        lambda size, progress: open_pictures(
            taken, size, name=collection.source, progress=progress
        ),
        mean=fitted.mean,
        deviation=fitted.deviation,
        components=fitted.components,
        folder=cache_dir() / "training" / key,
    )


def keep_backbone(folder: Path, picks: Selection, space: Space) -> None:
    """Write the encoder that the selection trained, as ``encoder.safetensors``."""
    from usl.learning.backbone import save_backbone

    save_backbone(
        folder / "encoder.safetensors",
        picks.backbone,
        space.embedding.encoder.supervision,
        method=picks.method,
        start=space.embedding.encoder.name,
        **{name: picks.parameters[name] for name in ("epochs", "network_lr")},
        seed=picks.seed,
    )
