"""``usl add``: more images for a run that has picks and labels already.

Only what is new is encoded, in the space of the run; picks, labels, rounds and models stay. What
the run was made from and what was added are one collection from then on (:mod:`usl.run.sources`).
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UsageError, UslWarning
from usl.core.files import read_record, write_json
from usl.core.progress import Progress, silent
from usl.core.words import counted, verb_for
from usl.data.collection import Collection
from usl.data.open import open_collection, tell
from usl.data.readers.embeddings import KIND
from usl.features.embed import GIVEN
from usl.features.space import NothingReadableError
from usl.labeling.answers.patience import patiently
from usl.labeling.answers.sync import sync
from usl.run.folder import INFO, Run
from usl.run.identity import writing
from usl.run.images import append_images
from usl.run.sources import ADDED, LISTED, added_sources, gone_places, source_record
from usl.run.split import Split
from usl.run.split_csv import rewrite
from usl.training.open_run import check_encoder, recorded_space

MOST_NAMED = 3


@dataclass(frozen=True)
class Added:
    """What was added to a run.

    ``ids`` of the new images, in order; ``there``, how many of the source the run had already;
    ``computed``, how many had to be encoded; ``skipped``: ``(image_id, reason)`` of those that
    could not be read; ``replaces``, places that are gone whose images this source has now.
    """

    run: Run
    ids: list[str]
    there: int
    computed: int
    skipped: tuple[tuple[str, str], ...]
    replaces: tuple[str, ...] = ()


def add_images(
    run: Run | str | os.PathLike[str],
    source: str | os.PathLike[str],
    *,
    as_: str | None = None,
    max_pixels: int | None = None,
    progress: Progress = silent,
) -> Added:
    """Add the images of another source to a run, or those that are new in its own folder.

    Picks, labels, rounds and models stay as they are. The new images are unlabelled rows at the end
    of ``split.csv``; ``usl next`` may ask for them, and the next training labels them. Killed at
    any moment, the same command goes on.

    Parameters
    ----------
    run : run folder.
    source : folder, glob, manifest, embeddings or other files, as a selection can begin with. An
        image whose id the run has already is passed over if it is the same.
    as_ : what a table with both paths and numbers is: embeddings or manifest.
    max_pixels : most pixels of an image that is still decoded; the default is Pillow's limit.

    Raises
    ------
    DataError : an id that is another image in the run, features of another width, a source that
        cannot be opened, an encoder that is not here any more.
    UsageError : a source in memory, which no later command could open again.
    """
    run = run if isinstance(run, Run) else Run.open(run)
    if not isinstance(source, str | os.PathLike):
        raise UsageError("source: name a folder or a file, so that later commands find the images.")
    new = open_collection(source, as_=as_, max_pixels=max_pixels)
    tell(new)
    check_kind(run, new)
    recorded = run.recorded_digests()
    fresh = new_rows(run, new, recorded)
    there = len(new) - len(fresh)
    gone = tuple(gone_places(read_record(run.path / INFO))) if there else ()
    part, skipped, computed = new.take(fresh), new.skipped, 0
    if len(fresh):
        try:
            space = recorded_space(run, run.info["encoder"], part, progress)
        except NothingReadableError as error:
            part, skipped = part.take([]), (*skipped, *error.skipped)
        else:
            check_encoder(run, run.info["encoder"], space.embedding.encoder.key)
            part, computed = part.take(space.rows), space.embedding.computed
            skipped = (*skipped, *space.embedding.skipped)
    if not len(part) and not gone:
        return Added(run, [], there, 0, skipped)
    tell_copies(run, part, recorded)
    sync(run)
    record = {
        **source_record(source, new),
        "there": there,
        "new": len(part),
        "added": datetime.now(UTC).isoformat(timespec="seconds"),
        **({"replaces": list(gone)} if gone else {}),
    }
    with writing(run.path, run.identity):  # the first write counts: by it the images are found
        info = read_record(run.path / INFO)
        info[ADDED] = [*finished(added_sources(info), record), record]
        write_json(run.path / INFO, info)
        append_images(run.path, part)
    done = Run(run.path, info)
    patiently(run.path, partial(_append_rows, done, part))
    return Added(done, part.ids.tolist(), there, computed, skipped, gone)


def finished(former: list[dict[str, Any]], record: dict[str, Any]) -> list[dict[str, Any]]:
    """The records of before; without the last if this one does once more what was stopped then."""
    same = ("path", "there")
    unfinished = former and all(former[-1].get(name) == record[name] for name in same)
    return former[:-1] if unfinished else former


def check_kind(run: Run, new: Collection) -> None:
    """DataError for a source that cannot be one collection with what the run has."""
    path, record = run.info["source"].get("path"), run.info["encoder"]
    if path is None and not (run.path / LISTED).is_file():
        raise DataError(
            f"{run.path}: the run was made from data in memory, which nothing can be added to. "
            "Select anew from files."
        )
    of_features = record["name"] == GIVEN or run.info["source"].get("kind") == KIND
    if of_features != (new.features is not None):
        kinds = ("images", "features") if new.features is None else ("features", "images")
        raise DataError(
            f"{new.source}: holds {kinds[0]}, but the run {run.path} was made from {kinds[1]}. "
            f"Name {kinds[1]}."
        )
    if new.features is not None and new.features.shape[1] != record["width"]:
        raise DataError(
            f"{new.source}: features of width {new.features.shape[1]:,}, but those of the run "
            f"{run.path} have {record['width']:,}. Make them in the same way."
        )
    made_by = {"name": GIVEN, "key": GIVEN} if new.made_by is None else new.made_by
    if new.features is not None and made_by["key"] != record["key"]:
        raise DataError(
            f"{new.source}: {made_by['name']} features, but those of the run {run.path} are "
            f"{record['name']} features, or by other weights. Make them in the same way."
        )


def new_rows(run: Run, new: Collection, recorded: dict[str, str]) -> NDArray[np.int64]:
    """The rows of a source that the run has not, or has no row for in its split, int64 [k].

    Raises :class:`DataError` naming an image that is another one in the run.
    """
    known = [row for row, name in enumerate(new.ids.tolist()) if name in recorded]
    others = [str(new.ids[row]) for row in known if new.digest(row) != recorded[str(new.ids[row])]]
    if others:
        named = ", ".join(map(repr, others[:MOST_NAMED]))
        raise DataError(
            f"{new.source}: {counted(len(others), 'image')} {verb_for(len(others), 'is', 'are')} "
            f"not what the run {run.path} has under the same id ({named}"
            f"{', ...' if len(others) > MOST_NAMED else ''}). If a file has changed, restore it; "
            "if it is another image, rename it, or list it in a table with the columns image_id "
            "and path. Nothing was added."
        )
    fresh = ~np.isin(new.ids, run.split().ids)
    fresh |= ~np.isin(np.arange(len(new)), known)
    return np.flatnonzero(fresh)


def tell_copies(run: Run, new: Collection, recorded: dict[str, str]) -> None:
    """Say how many new images hold what another image of the run holds."""
    contents = set(recorded.values())
    copies = [
        name
        for name, digest in zip(new.ids.tolist(), new.digests().tolist(), strict=True)
        if digest in contents and name not in recorded
    ]
    if copies:
        n = len(copies)
        warnings.warn(
            f"{new.source}: {counted(n, 'new image')} {verb_for(n, 'is', 'are')} an exact copy of "
            f"one that {Path(run.path)} has under another id ({copies[0]!r} is one).",
            UslWarning,
            stacklevel=3,
        )


def _append_rows(run: Run, new: Collection) -> None:
    """Append the rows of new images to the split file."""
    with writing(run.path, run.identity):
        split = run.split()
        missing = np.flatnonzero(~np.isin(new.ids, split.ids))
        if len(missing):
            rewrite(split.extended(Split.start(new.ids[missing], new.subsets[missing])))
