"""The models of a run, a folder each in ``models/``; ``run.json`` names the active one.

======================= ==========================================================================
model.npz               the classifier, with its class names
model-preprocessing.npz its feature space, where that is not the selection's
trained.safetensors     the network under it, where one was trained
predictions.csv and     a label for every image, see :mod:`usl.run.predictions`
predictions.parquet
evaluation.json         its figures against known answers, where they were measured
epochs/                 its averages at the end of the last epochs (usl train --last-epochs)
model.json              what made it: method, labels, classes, encoder...; of the active one it is
                        the section ``training`` of ``run.json``
======================= ==========================================================================

The first model is active; a later one takes the place of the model that was made with the same
settings, active or not, and else is kept beside the active one, as ``models/NAME/``. All of a model
bears one stamp, which whoever reads it compares. :mod:`usl.run.model_changes` writes them.

What people open lies at the top of the run as well: ``predictions.csv``, ``evaluation.json`` and
``trained.safetensors`` are copies, which no command reads. In a run of an older version the
active model itself lies there; it moves with the next training.
"""

from __future__ import annotations

import filecmp
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from usl.core.errors import DataError
from usl.core.files import read_record
from usl.core.words import quoted

MODEL, SPACE, NETWORK = "model.npz", "model-preprocessing.npz", "trained.safetensors"
EVALUATION = "evaluation.json"
FILES = (MODEL, SPACE, NETWORK, "predictions.parquet", "predictions.csv", EVALUATION)
TABLE = "predictions.csv"
COPIES = (TABLE, EVALUATION, NETWORK)  # at the top of the run
EPOCHS = "epochs"
MODELS, RECORD = "models", "model.json"
STAMP, PLACE = "stamp", "folder"  # in the record of a model: what all of it bears, where it is
NAME = r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}"  # a folder on every system
RESERVED = r"(?i:con|prn|aux|nul|com[0-9]|lpt[0-9])"  # but not on Windows
UNNAMED = r"\.[0-9a-f]{12}"  # the folder of a model that has no name yet


@dataclass(frozen=True)
class TrainedModel:
    """A model of a run: its ``name``, that of its method, and the folder ``path`` of its files.

    ``info`` is what made it; ``active``, whether it is the one that every verb uses.
    """

    name: str
    path: Path
    info: dict[str, Any]
    active: bool

    def check_stamp(self, file: Path, found: object) -> None:
        """DataError if a ``file`` of the model bears another stamp than the model's record."""
        if found != self.info.get(STAMP):
            raise DataError(
                f"{file} is of another training than the record of the model. Train again: usl "
                "train RUN."
            )


def active_model(folder: Path) -> TrainedModel | None:
    """The active model of a run folder as ``run.json`` says now; None before a training.

    Raises :class:`DataError` for a ``run.json`` that cannot be read, or names another place.
    """
    if not (folder / "run.json").is_file():
        return None
    return read_active(folder, read_record(folder / "run.json").get("training"))


def trained_model(folder: Path) -> TrainedModel:
    """The active model of a run folder; DataError where there is none."""
    found = active_model(folder)
    if found is None:
        raise DataError(f"{folder}: not trained yet; train the run first (usl train RUN).")
    return found


def read_active(folder: Path, training: dict[str, Any] | None) -> TrainedModel | None:
    """The active model by the section ``training`` of ``run.json``; see :func:`active_model`."""
    if training is None:
        return None
    place = training.get(PLACE)
    if place is not None and not re.fullmatch(rf"{MODELS}/({NAME}|{UNNAMED})", str(place)):
        raise DataError(
            f"{folder / 'run.json'}: {place!r} is not a place of a model. Train again: usl train "
            f"{quoted(folder)}"
        )
    path = folder / str(place) if place is not None else folder
    name = str(training.get("name", ""))
    if not re.fullmatch(NAME, name):  # of an older version; and anybody may have written the record
        name = _free_name(folder, training, path)
    return TrainedModel(name, path, training, active=True)


def list_models(folder: Path, training: dict[str, Any] | None) -> list[TrainedModel]:
    """The models of a run folder: the active one, of record ``training``, then others by name.

    Raises :class:`DataError` naming the record of a model that cannot be read.
    """
    active = read_active(folder, training)
    found = [] if active is None else [active]
    for name, path in kept_models(folder).items():
        if not any(model.name == name for model in found):
            found.append(TrainedModel(name, path, read_record(path / RECORD), active=False))
    return found


def names_of(method: str) -> Iterator[str]:
    """Names for models of a method: its own, then with a number behind."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(method).stem).strip("-_")[:56] or "model"
    plain = f"{plain}-model" if re.fullmatch(RESERVED, plain) else plain
    yield plain
    yield from (f"{plain}-{number}" for number in count(2))


def _free_name(folder: Path, training: Mapping[str, Any], path: Path) -> str:
    """A name for the only model of an older version, which has none."""
    for name in names_of(str(training.get("method", "model"))):
        place = folder / MODELS / name
        if not place.exists() or _is_copy(place, path, training):
            return name
    raise AssertionError("names never end")


def _is_copy(place: Path, path: Path, training: Mapping[str, Any]) -> bool:
    """Whether a folder holds the model of another, as a killed change of the active one leaves."""
    mine, other = path / MODEL, place / MODEL
    if not mine.is_file() or not other.is_file() or not filecmp.cmp(mine, other, shallow=False):
        return False
    with suppress(DataError):
        return read_record(place / RECORD).get(STAMP) == training.get(STAMP)
    return False


def kept_models(folder: Path) -> dict[str, Path]:
    """The folders of the kept models by name."""
    places = sorted(folder.glob(f"{MODELS}/*"))
    return {p.name: p for p in places if p.is_dir() and not p.name.startswith(".")}
