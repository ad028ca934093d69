"""Add models to a run, choose the active one, and finish what a killed command has left.

``usl train`` makes a model aside, in a hidden folder. Which model is active, ``run.json`` alone
says: a change of it takes effect at once or not at all, and the model that was active until then is
kept under its name.
"""

from __future__ import annotations

import filecmp
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from usl.core.errors import DataError, UsageError, did_you_mean
from usl.core.files import (
    REST,
    atomic_write,
    beside,
    new_folder,
    put_back,
    read_record,
    release,
    remove_rests,
    remove_unless_held,
    rests,
    sync_folder,
    take,
    unwritable,
    why_unwritable,
    write_json,
)
from usl.core.hashing import json_digest
from usl.run.identity import identity, writing
from usl.run.models import (
    COPIES,
    EPOCHS,
    FILES,
    MODEL,
    MODELS,
    PLACE,
    RECORD,
    TABLE,
    UNNAMED,
    TrainedModel,
    active_model,
    kept_models,
    names_of,
    read_active,
)

if TYPE_CHECKING:
    from usl.run.folder import Run


@contextmanager
def new_model(run: Run) -> Iterator[Path]:
    """Yield an empty folder for a new model; :func:`add_model` takes it into the run.

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


def add_model(
    run: Run, working: Path, training: dict[str, Any], *, use: bool = False
) -> tuple[Run, TrainedModel]:
    """Take a model that was written whole into the run; the run with its record, and the model.

    It takes the place of the model of :func:`name_for`, and is active if that was, if there is no
    other that is whole, or to be used. Another active one is kept under its name then.
    """
    with writing(run.path, run.identity):
        name = name_for(run, training)
        training = {**training, "name": name}
        write_json(working / RECORD, training)
        sync_folder(working.parent)
        active = _whole(run.path)
        use = use or active is None or active.name == name
        if use:
            if active is not None and active.name != name:
                _keep(run.path, active)
            done = _write_active(run, working, training)
            made = TrainedModel(name, working, done.info["training"], active=True)
        else:
            made = TrainedModel(name, run.path / MODELS / name, training, active=False)
            _replace(working, made.path)
            done = type(run)(run.path, read_record(run.path / "run.json"))
    _settle_or_say(run.path)
    return done, made


def activate_model(run: Run, name: str) -> Run:
    """Make a kept model the active one, and keep that which was; the run with its record.

    Raises
    ------
    UsageError : no model of this name.
    DataError : the model's record cannot be read.
    """
    with writing(run.path, run.identity):
        kept, active = kept_models(run.path), _whole(run.path)
        if active is not None and active.name == name:
            return type(run)(run.path, read_record(run.path / "run.json"))
        if name not in kept:
            names = sorted({*kept, *([] if active is None else [active.name])})
            raise UsageError(
                f"use: {run.path} has no model {name!r}.{did_you_mean(name, names)} It has: "
                f"{', '.join(names) or 'none; train it first'}."
            )
        training = read_record(kept[name] / RECORD)
        if active is not None:
            _keep(run.path, active)
        done = _write_active(run, kept[name], {**training, "name": name})
    _settle_or_say(run.path)
    return done


def name_for(run: Run, training: Mapping[str, Any]) -> str:
    """The name that a model of record ``training`` has in the run.

    That of the model that was made with the same settings, whose place it takes; else a new one
    after its method. What counts are its keys ``method``, ``seed`` and ``asked``.
    """
    own = run.info["encoder"]["name"]
    mine = _settings(training, own)
    active = None
    with suppress(DataError):  # of a place that is none
        active = active_model(run.path)
    if active is not None and mine == _settings(active.info, own):
        return active.name
    kept = kept_models(run.path)
    for name, path in kept.items():
        with suppress(DataError):
            if mine == _settings(read_record(path / RECORD), own):
                return name
    taken = {*kept, *([] if active is None else [active.name])}
    return next(name for name in names_of(str(training["method"])) if name not in taken)


def _settings(training: Mapping[str, Any], own: object) -> str | None:
    """A digest of what a person has chosen for a training; None where it is not known.

    The record of an older version's only model tells it too; ``own`` is the run's encoder.
    """
    asked = training.get("asked")
    if asked is None:
        if training.get("name"):
            return None
        encoder = training["encoder"]["name"]
        asked = {"model": None if encoder == own else encoder, **training["parameters"]}
    return json_digest([training["method"], training["seed"], asked])


def _whole(folder: Path) -> TrainedModel | None:
    """The active model; None where there is none, or its place or file is gone."""
    with suppress(DataError):
        found = active_model(folder)
        if found is not None and (found.path / MODEL).is_file():
            return found
    return None


# The run's lock is held while these are called


def _write_active(run: Run, place: Path, training: dict[str, Any]) -> Run:
    """Name the active model in ``run.json``; that is the moment from which it counts."""
    training = {**training, PLACE: f"{MODELS}/{place.name}"}
    info = {**read_record(run.path / "run.json"), "training": training}
    write_json(run.path / "run.json", info)
    return type(run)(run.path, info)


def _keep(folder: Path, active: TrainedModel) -> None:
    """See that the active model lies in ``models/NAME/`` too, so that another can be active."""
    place = folder / MODELS / active.name
    if active.path == place:
        return
    if place.exists():  # of a change that was killed
        shutil.rmtree(place)
    training = {key: value for key, value in active.info.items() if key != PLACE}
    with new_folder(place) as temporary:
        for file in FILES:
            if (active.path / file).is_file():
                _linked(active.path / file, temporary / file)
        if (active.path / EPOCHS).is_dir():
            shutil.copytree(active.path / EPOCHS, temporary / EPOCHS, copy_function=_linked)
        write_json(temporary / RECORD, {**training, "name": active.name})


def _linked(source: str | Path, copy: str | Path) -> None:
    """Give a file a second name, as none of a model is ever written into; or copy and flush it."""
    try:
        os.link(source, copy)
    except OSError:
        shutil.copy2(source, copy)
        with open(copy, "rb") as handle:
            os.fsync(handle.fileno())


def _replace(working: Path, place: Path) -> None:
    """Move a folder to a place; killed in between, the former one is put back."""
    aside = beside(place, "old")
    if place.exists():
        os.rename(place, aside)
    os.rename(working, place)
    sync_folder(place.parent)
    shutil.rmtree(aside, ignore_errors=True)


# The copies at the top of the run, and what stopped commands leave


def settle_models(folder: Path) -> None:
    """Finish what a stopped training has left: copies of a former model, models that none names."""
    home = folder / MODELS
    remove_rests(home)
    for name in os.listdir(home) if home.is_dir() else []:
        remove_rests(home / name)
    if not any(_unsettled(folder)[1:]):
        return
    with writing(folder, identity(read_record(folder / "run.json"))):
        for aside in rests(home, kind="old"):
            if rest := REST.fullmatch(aside.name):
                put_back(aside.with_name(rest["name"]))
                remove_unless_held(aside)
        active, stale, left = _unsettled(folder)  # others may have been here before
        for name in stale:
            _copy(active.path / name if active else folder, folder / name)
        for path in left:
            remove_unless_held(path)


def _unsettled(folder: Path) -> tuple[TrainedModel | None, list[str], list[Path]]:
    """The active model, which copies at the top are not its own, and what is to be removed."""
    active = read_active(folder, read_record(folder / "run.json").get("training"))
    home = folder / MODELS
    names = os.listdir(home) if home.is_dir() else []
    others = [home / name for name in names if active is None or home / name != active.path]
    left = [place for place in others if re.fullmatch(UNNAMED, place.name)]
    left += rests(home, kind="old")
    older: list[Path] = []  # the files of the former model, in a run of an older version
    stale: list[str] = []
    if active is not None and active.path != folder:
        left += [place for place in others if place.name == active.info.get("name")]
        older = [folder / file for file in FILES if file not in COPIES and (folder / file).exists()]
        stale = [name for name in COPIES if not _same(active.path / name, folder / name)]
        if not older and _changed(folder / TABLE, others):
            stale = [name for name in stale if name != TABLE]
    return active, stale, [*left, *reversed(older)]  # the model last: by it the move is known


def _settle_or_say(folder: Path) -> None:
    """Settle the models after a change that counts already."""
    try:
        settle_models(folder)
    except (DataError, OSError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        why = why_unwritable(cause) if isinstance(cause, OSError) else str(error)
        raise DataError(
            f"{folder}: the model is in its place, but not all of its copies at the top of the "
            f"run could be written: {why}. The next command that opens the run writes them."
        ) from error


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
