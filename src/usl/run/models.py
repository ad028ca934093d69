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

``usl train`` makes a model aside, in a hidden folder, and puts it in the place of the active one by
writing ``run.json``, which takes effect at once or not at all. All of it bears one stamp, which
whoever reads it compares. A model that shall outlive the next training is kept under a name:
:func:`keep_model` makes it ``models/NAME/``, and :func:`activate_model` brings it back.

What people open lies at the top of the run as well: ``predictions.csv``, ``evaluation.json`` and
``trained.safetensors`` are copies, which no command reads. In a run of an older version the
active model itself lies there; it moves with the next training.
"""

from __future__ import annotations

import filecmp
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from usl.core.errors import DataError, UsageError
from usl.core.files import (
    atomic_write,
    new_folder,
    read_record,
    release,
    remove_rests,
    remove_unless_held,
    sync_folder,
    take,
    unwritable,
    why_unwritable,
    write_json,
)
from usl.run.identity import identity, writing

if TYPE_CHECKING:
    from usl.run.folder import Run

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
    """A model of a run: its ``name`` ("" if it has none yet), the folder ``path`` of its files.

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
    return _active(folder, read_record(folder / "run.json").get("training"))


def trained_model(folder: Path) -> TrainedModel:
    """The active model of a run folder; DataError where there is none."""
    found = active_model(folder)
    if found is None:
        raise DataError(f"{folder}: not trained yet; train the run first (usl train RUN).")
    return found


def _active(folder: Path, training: dict[str, Any] | None) -> TrainedModel | None:
    if training is None:
        return None
    place = training.get(PLACE)
    if place is not None and not re.fullmatch(rf"{MODELS}/({NAME}|{UNNAMED})", str(place)):
        raise DataError(
            f"{folder / 'run.json'}: {place!r} is not a place of a model. Train again: usl train "
            f"{folder}"
        )
    path = folder / str(place) if place is not None else folder
    return TrainedModel(training.get("name", ""), path, training, active=True)


def list_models(folder: Path, training: dict[str, Any] | None) -> list[TrainedModel]:
    """The models of a run folder: the active one, of record ``training``, then others by name.

    Raises :class:`DataError` naming the record of a model that cannot be read.
    """
    active = _active(folder, training)
    found = [] if active is None else [active]
    for name, path in _kept(folder).items():
        if not any(model.name == name for model in found):
            found.append(TrainedModel(name, path, read_record(path / RECORD), active=False))
    return found


@contextmanager
def new_model(run: Run) -> Iterator[Path]:
    """Yield an empty folder for a new model; :func:`put_in_place` makes it the active one.

    If that is not done by the end of the block, Ctrl-C included, the folder is removed.
    """
    with writing(run.path, run.identity):
        working = run.path / MODELS / f".{secrets.token_hex(6)}"
        try:
            working.mkdir(parents=True)
        except OSError as error:
            raise unwritable(working, error) from error
        lock = take(working)
    try:
        yield working
    finally:
        release(lock)
        with suppress(DataError, OSError):  # it would hide the error
            settle_models(run.path)


def put_in_place(run: Run, working: Path, training: dict[str, Any]) -> Run:
    """Make a model that was written whole the active one; the run with its new record."""
    with writing(run.path, run.identity):
        write_json(working / RECORD, training)
        sync_folder(working.parent)
    return _activate(run, working, training)


def keep_model(run: Run, name: str) -> Run:
    """Keep the active model as ``models/NAME/``; the run with its new record.

    Raises
    ------
    UsageError : a name that no folder can have everywhere, or that another model has.
    DataError : the run is not trained.
    """
    active = active_model(run.path)
    if active is None:
        raise DataError(f"{run.path} has no model to keep. Train it first: usl train {run.path}")
    if not re.fullmatch(NAME, name) or re.fullmatch(RESERVED, name):
        raise UsageError(
            f"name: {name!r} cannot be the name of a model. Take up to 64 letters, digits, - and _."
        )
    place = run.path / MODELS / name
    if place.exists() and active.path != place and not _is_copy(place, active):
        raise UsageError(f"name: {place} exists. Take another name for this model.")
    training = {key: value for key, value in active.info.items() if key != PLACE} | {"name": name}
    if not place.exists():
        with writing(run.path, run.identity), new_folder(place) as temporary:
            for file in FILES:
                if (active.path / file).is_file():
                    shutil.copy2(active.path / file, temporary / file)
                    _flush(temporary / file)
            if (active.path / EPOCHS).is_dir():
                shutil.copytree(active.path / EPOCHS, temporary / EPOCHS)
            write_json(temporary / RECORD, training)
    elif active.path != place:
        with writing(run.path, run.identity):
            _copy(active.path / EVALUATION, place / EVALUATION)  # which may have come later
    return _activate(run, place, training)


def activate_model(run: Run, name: str) -> Run:
    """Make a kept model the active one; the run with its record.

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
    active = active_model(run.path)
    if active is not None and active.name not in kept:
        raise UsageError(f"{run.path}: the active model has no name and would be lost. Keep it.")
    return _activate(run, kept[name], {**read_record(kept[name] / RECORD), "name": name})


def _activate(run: Run, place: Path, training: dict[str, Any]) -> Run:
    """Name the active model in ``run.json``; that is the moment from which it counts."""
    done = run.update(training={**training, PLACE: f"{MODELS}/{place.name}"})
    try:
        settle_models(run.path)
    except (DataError, OSError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        why = why_unwritable(cause) if isinstance(cause, OSError) else str(error)
        raise DataError(
            f"{run.path}: the model is in its place, but not all of its copies at the top of the "
            f"run could be written: {why}. The next command that opens the run writes them."
        ) from error
    return done


def _is_copy(place: Path, active: TrainedModel) -> bool:
    """Whether a folder holds the active model, as a stopped :func:`keep_model` leaves it."""
    mine, other = active.path / MODEL, place / MODEL
    if not other.is_file() or not filecmp.cmp(mine, other, shallow=False):
        return False
    return read_record(place / RECORD).get(STAMP) == active.info.get(STAMP)


# The copies at the top of the run, and what stopped commands leave


def settle_models(folder: Path) -> None:
    """Finish what a stopped training has left: copies of a former model, models that none names."""
    info = read_record(folder / "run.json")
    active = _active(folder, info.get("training"))
    home = folder / MODELS
    remove_rests(home)
    names = os.listdir(home) if home.is_dir() else []
    for name in names:
        remove_rests(home / name)
    others = [home / name for name in names if active is None or home / name != active.path]
    left = [place for place in others if re.fullmatch(UNNAMED, place.name)]
    older: list[Path] = []  # the files of the former model, in a run of an older version
    stale: list[str] = []
    if active is not None and active.path != folder:
        older = [folder / file for file in FILES if file not in COPIES and (folder / file).exists()]
        stale = [name for name in COPIES if not _same(active.path / name, folder / name)]
        if not older and _changed(folder / TABLE, others):
            stale = [name for name in stale if name != TABLE]
    if not (left or older or stale):
        return
    with writing(folder, identity(info)):
        for name in stale:
            _copy(active.path / name if active else folder, folder / name)
        for path in [*left, *reversed(older)]:  # the model itself last: by it the move is known
            remove_unless_held(path)


def _changed(table: Path, others: list[Path]) -> bool:
    """Whether a person has changed the table of predictions: it is of no former model."""
    if not table.is_file() or any(
        (place / RECORD).is_file() for place in others if place.name[0] == "."
    ):
        return False
    return not any(_same(place / TABLE, table) for place in others if (place / TABLE).is_file())


def _same(source: Path, copy: Path) -> bool:
    """Whether a copy is as its source is; by size and time of change, as it was copied with them.

    Neither of them there is the same, too.
    """
    if not source.is_file() or not copy.is_file():
        return source.is_file() == copy.is_file()
    return filecmp.cmp(source, copy)


def _copy(source: Path, copy: Path) -> None:
    """Write a copy with its source's time of change; without a source remove it."""
    if not source.is_file():
        copy.unlink(missing_ok=True)
        return
    with open(source, "rb") as content, atomic_write(copy) as target:
        shutil.copyfileobj(content, target)
    shutil.copystat(source, copy)


def _flush(path: Path) -> None:
    with open(path, "rb") as handle:
        os.fsync(handle.fileno())


def _kept(folder: Path) -> dict[str, Path]:
    """The folders of the kept models by name."""
    places = sorted(folder.glob(f"{MODELS}/*"))
    return {p.name: p for p in places if p.is_dir() and not p.name.startswith(".")}
