"""The models of a run: the active one at the top of the folder, others in ``models/NAME/``.

======================= ==========================================================================
model.npz               the classifier, with its class names
model-preprocessing.npz its feature space, where that is not the selection's
trained.safetensors     the network under it, where one was trained
predictions.csv and     a label for every image, see :mod:`usl.run.predictions`
predictions.parquet
evaluation.json         its figures against known answers, where they were measured
model.json              what made it: method, labels, classes, encoder...; of the active one it is
                        the section ``training`` of ``run.json``
======================= ==========================================================================

``usl train`` replaces the active model. One that shall outlive it is kept under a name:
:func:`keep_model` copies it to ``models/NAME/``, and :func:`activate_model` brings it back.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from usl.core.errors import DataError, UsageError
from usl.core.files import atomic_write, new_folder, read_record, write_json

if TYPE_CHECKING:
    from usl.run.folder import Run

MODEL, SPACE, NETWORK = "model.npz", "model-preprocessing.npz", "trained.safetensors"
EVALUATION = "evaluation.json"
FILES = (MODEL, SPACE, NETWORK, "predictions.parquet", "predictions.csv", EVALUATION)
MODELS, RECORD = "models", "model.json"
NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"  # a folder on every system
RESERVED = r"(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])"  # but not on Windows


@dataclass(frozen=True)
class TrainedModel:
    """A model of a run: its ``name`` ("" if it has none yet), the folder ``path`` of its files.

    ``info`` is what made it; ``active``, whether it is the one that every verb uses.
    """

    name: str
    path: Path
    info: dict[str, Any]
    active: bool


def list_models(folder: Path, training: dict[str, Any] | None) -> list[TrainedModel]:
    """The models of a run folder: the active one, of record ``training``, then others by name.

    Raises :class:`DataError` naming the record of a model that cannot be read.
    """
    found = []
    if training is not None:
        found.append(TrainedModel(training.get("name", ""), folder, training, active=True))
    for name, path in _kept(folder).items():
        if not any(model.name == name for model in found):
            found.append(TrainedModel(name, path, read_record(path / RECORD), active=False))
    return found


def keep_model(run: Run, name: str) -> Run:
    """Copy the active model to ``models/NAME/`` and name it so; the run with its new record.

    Raises
    ------
    UsageError : a name that no folder can have everywhere, or that another model has.
    DataError : the run is not trained.
    """
    training = run.info.get("training")
    if training is None:
        raise DataError(f"{run.path} has no model to keep. Train it first: usl train {run.path}")
    if not re.fullmatch(NAME, name) or re.fullmatch(RESERVED, name):
        raise UsageError(
            f"name: {name!r} cannot be the name of a model. Take up to 64 letters, digits, - and _."
        )
    place = run.path / MODELS / name
    if place.exists() and training.get("name") != name:
        raise UsageError(f"name: {place} exists. Take another name for this model.")
    training = {**training, "name": name}
    with new_folder(place) as temporary:
        for file in FILES:
            if (run.path / file).is_file():
                shutil.copyfile(run.path / file, temporary / file)
        write_json(temporary / RECORD, training)
        if place.exists():
            shutil.rmtree(place)
    return run.update(training=training)


def activate_model(run: Run, name: str) -> Run:
    """Make a kept model the active one; the run with its record.

    Stopped halfway, the same call once more ends it.

    Raises
    ------
    UsageError : no model of this name, or the active one has no name yet and would be lost.
    DataError : the model's record cannot be read.
    """
    kept = _kept(run.path)
    if name not in kept:
        raise UsageError(
            f"name: {run.path} keeps no model {name!r}; those it keeps: "
            f"{', '.join(kept) or 'none'}."
        )
    active = run.info.get("training")
    if active is not None and active.get("name") not in kept:
        raise UsageError(f"{run.path}: the active model has no name and would be lost. Keep it.")
    place = kept[name]
    training = read_record(place / RECORD)
    for file in FILES:
        if not (place / file).is_file():
            (run.path / file).unlink(missing_ok=True)
            continue
        with open(place / file, "rb") as source, atomic_write(run.path / file) as target:
            shutil.copyfileobj(source, target)
    return run.update(training=training)


def _kept(folder: Path) -> dict[str, Path]:
    """The folders of the kept models by name."""
    places = sorted(folder.glob(f"{MODELS}/*"))
    return {p.name: p for p in places if p.is_dir() and not p.name.startswith(".")}
