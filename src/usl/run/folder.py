"""The run folder: what is in it, and how runs are made and opened.

======================= ==========================================================================
run.json                what made the run: source, encoder, parameters, hashes, versions, timings
source.jsonl            the files, where the source was a list or a table in memory
images.parquet          image_id, subset and content hash of every image when the run was made
excluded.parquet        images never to be picked            (usl select --exclude)
selection.csv .parquet  the picks, best first, with their figures
split.csv .parquet      what is requested and labelled; ``split.csv`` is yours to edit
labels.sqlite           every answer ever given              (usl label)
preprocessing.npz       centring, standardising and PCA, fitted on the train subset
encoder.safetensors     the encoder a selection trained  (--end-to-end)
models/                 the trained models, one of them active: :mod:`usl.run.models`  (usl train)
training/               the checkpoint of a network that is trained
predictions.csv         a label for every image; a copy of the active model's
trained.safetensors     its network, where one was trained; a copy, too
evaluation.json         its figures against known answers, a copy, too  (usl evaluate)
rounds/NN/              later selections, each with its picks: :mod:`usl.run.rounds`
columns.parquet         the run's own columns about images: :mod:`usl.run.columns`
comparison.json         the same over methods and seeds  (usl demo)
map.npz                 the report's map, kept for reuse (usl report)
report.html             all of it on one page            (usl report)
exports/                for other tools                  (usl export)
======================= ==========================================================================

A run is a list of rounds, models and columns. Round 0 lies at the top of the folder; in a run of
the first version the only model does, too.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Self

from usl.core.errors import DataError, UsageError, UslWarning
from usl.core.files import (
    REST,
    beside,
    put_back,
    read_json,
    read_record,
    release,
    remove_rests,
    remove_unless_held,
    rests,
    sync_folder,
    take,
    temporary_beside,
    write_json,
)
from usl.data.addresses import check_on_disk
from usl.data.collection import Collection
from usl.numeric.kernel import kernel
from usl.run.by_hand import EXPORTS, changed_by_hand
from usl.run.columns import Columns, read_columns
from usl.run.identity import hold, identity, writing
from usl.run.images import recorded_digests
from usl.run.last_good import read_whole
from usl.run.model_changes import settle_models
from usl.run.models import TrainedModel, list_models
from usl.run.record import checked_record
from usl.run.repr import run_html, run_line
from usl.run.rounds import SelectionRound, list_rounds
from usl.run.sources import open_sources
from usl.run.split import Split

FORMAT = 1
INFO = "run.json"
ANSWERS = "labels.sqlite"
PACKAGES = ("usl", "numpy", "scipy", "scikit-learn", "pyarrow", "pillow", "torch")


@dataclass(frozen=True, repr=False)
class Run:
    """An existing run folder: ``path`` and the content of its ``run.json``."""

    path: Path
    info: dict[str, Any]

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Open a run folder. Raises :class:`DataError` when it is none, or of a newer format."""
        check_on_disk(path, "a run")
        folder = Path(path)
        restore(folder)
        if not folder.is_dir():
            raise DataError(f"{folder}: no such run folder. Make one: usl select SOURCE --out RUN.")
        if not (folder / INFO).is_file():
            raise DataError(f"{folder} is not a run folder: it holds no {INFO}.")
        info = read_json(folder / INFO)
        if not isinstance(info, dict) or not isinstance(info.get("format"), int):
            raise DataError(f"{folder / INFO}: not the record of a run (no format number).")
        if info["format"] > FORMAT:
            raise DataError(
                f"{folder}: made by a newer version of usl (format {info['format']}; this one "
                f"reads up to {FORMAT}). Upgrade: pip install --upgrade usl."
            )
        info = checked_record(info, folder / INFO)
        tidy(folder)
        return cls(folder, info)

    @property
    def identity(self) -> str:
        """What tells this run from one that takes its place later."""
        return identity(self.info)

    def __repr__(self) -> str:
        """What was picked of what, and the active model, in a line; nothing is read."""
        return run_line(self.path, self.info)

    def _repr_html_(self) -> str:
        """The same with the picks as they are now, for notebooks."""
        return run_html(self)

    def update(self, **sections: Any) -> Self:
        """Replace sections of ``run.json`` on disk; the run with the new content.

        Raises :class:`usl.run.identity.RunReplacedError` where another run has its place.
        """
        with writing(self.path, self.identity):
            info = {**read_record(self.path / INFO), **sections}
            write_json(self.path / INFO, info)
        return type(self)(self.path, info)

    def rounds(self) -> list[SelectionRound]:
        """Its selections in order; the first is the one that made the run."""
        return list_rounds(self.path, self.info.get("selection", {}))

    def models(self) -> list[TrainedModel]:
        """Its trained models, the active one first; none before a training."""
        return list_models(self.path, self.info.get("training"))

    def columns(self) -> Columns:
        """Its own columns about images."""
        return read_columns(self.path)

    def split(self) -> Split:
        """Read the split file as it is now, labels that were filled in included.

        Raises :class:`usl.run.last_good.HalfSavedError` where rows are missing that were there.
        """
        return read_whole(self.path, Split.read)

    def collection(self, source: str | None = None) -> Collection:
        """Open the run's sources again; ``source`` is where the one it was made from is now."""
        return open_sources(self.path, self.info, source)

    def recorded_digests(self) -> dict[str, str]:
        """Content hash of every image when the run was made, by image id."""
        return recorded_digests(self.path)

    def checked_split(self, collection: Collection) -> Split:
        """The split matched to the collection by id and content; new images appended."""
        return self.split().check(
            collection.ids,
            collection.subsets,
            digests=collection.digests(),
            recorded=self.recorded_digests(),
        )


@contextmanager
def new_run(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; when the block succeeds it becomes ``path``.

    On an exception, Ctrl-C included, it is removed and ``path`` is left as it was. With
    ``overwrite`` an existing run is replaced; if a person has changed anything in it, it is kept
    under a new name beside. Anything that is not a run folder is never replaced, nor a run that
    another command has made meanwhile: that is a :class:`UsageError`.
    """
    target = Path(path)
    check_free(target, overwrite=overwrite)
    before = _identity(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with temporary_beside(target, folder=True) as temporary:
        yield temporary
        lock = hold(target)  # nobody writes into the former run, or puts it back, meanwhile
        try:
            old = None if before is None else _moved_away(target, before)
            try:
                os.rename(temporary, target)  # fails where a folder is in the way with files in it
            except BaseException as error:
                taken = target.exists()
                if old is not None and not taken:
                    os.rename(old, target)
                if taken and isinstance(error, OSError):
                    raise _taken(target) from error
                raise
            sync_folder(target.parent)
            if old is not None:
                _keep_or_remove(old, target)
        finally:
            release(lock)


def restore(path: Path) -> None:
    """Put a run back that a killed command had moved aside, and say so."""
    target = Path(os.path.abspath(path))
    if put_back(target) and (target / INFO).is_file():
        warnings.warn(
            f"{path} is there again as it was: a command that was to replace it was stopped.",
            UslWarning,
            stacklevel=3,
        )


def tidy(path: Path) -> None:
    """Finish and remove what killed commands have left in a run and beside it.

    Nothing that a process still works on; and a run that cannot be written to stays as it is.
    """
    folder = Path(os.path.abspath(path))
    for old in rests(folder.parent, folder.name, "old"):
        lock = take(old, wait=False)
        if lock is not None:
            try:
                with suppress(OSError):
                    _keep_or_remove(old, folder)
            finally:
                release(lock)
    remove_rests(folder.parent, folder.name)
    for place in (folder, folder / "rounds", folder / "training", folder / EXPORTS):
        remove_rests(place)
    for aside in rests(folder / EXPORTS, kind="old"):
        if rest := REST.fullmatch(aside.name):
            put_back(aside.with_name(rest["name"]))
            remove_unless_held(aside)
    with suppress(DataError, OSError):
        settle_models(folder)


def check_free(path: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Refuse a place for a new run before any work is done for it."""
    check_on_disk(path, "a run")
    target = Path(path)
    restore(target)
    if (target / INFO).is_file():
        tidy(target)
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    if not (target / INFO).is_file():
        raise UsageError(f"--out: {target} exists and is not a run folder; choose another place.")
    if not overwrite:
        raise UsageError(
            f"--out: {target} exists. Choose another folder, or replace it with --overwrite."
        )


def _identity(target: Path) -> tuple[int, int, str] | None:
    """What tells a folder from another that takes its name; None if there is none."""
    try:
        here = os.stat(target)
        info = "" if not (target / INFO).is_file() else identity(read_record(target / INFO))
    except FileNotFoundError:
        return None
    except DataError:
        info = "unreadable"
    return here.st_dev, here.st_ino, info


def _taken(target: Path) -> UsageError:
    return UsageError(
        f"--out: {target} has been made by another command meanwhile, which has won; what this one "
        "found is dropped. Choose another folder, or replace that one with --overwrite."
    )


def _moved_away(target: Path, before: tuple[int, int, str]) -> Path | None:
    """Where the former folder is now; only one of several commands can move it.

    Refuses what is not the folder that was there ``before``.
    """
    moved = beside(target, "old")
    try:
        os.rename(target, moved)
    except FileNotFoundError:
        return None  # somebody has removed it
    empty = not before[-1] and not any(moved.iterdir())
    if _identity(moved) != before or not (empty or (moved / INFO).is_file()):
        if not target.exists():
            os.rename(moved, target)
        raise _taken(target)
    return moved


def _keep_or_remove(old: Path, target: Path) -> None:
    """Remove a former run; keep it under a new name if a person has changed anything in it."""
    if not (old / INFO).is_file() or not changed_by_hand(old):
        rest = beside(target)  # killed here, it is not taken for a run
        os.rename(old, rest)
        shutil.rmtree(rest, ignore_errors=True)
        return
    number = 1
    while (backup := target.with_name(f"{target.name}.labeled-{number}")).exists():
        number += 1
    os.rename(old, backup)


def environment() -> dict[str, Any]:
    """When, by which versions and on what machine something was made."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions,
        "machine": {
            "platform": sys.platform,
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "kernel": kernel(),
        },
    }
