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

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UsageError, UslWarning
from usl.core.files import read_record, write_json
from usl.core.progress import Progress, silent
from usl.core.words import counted, verb_for
from usl.data.collection import Collection
from usl.data.joined import check_alike
from usl.data.open import open_collection, tell
from usl.labeling.answers.patience import patiently
from usl.labeling.answers.sync import sync
from usl.run.folder import INFO, Run
from usl.run.identity import writing
from usl.run.images import append_images
from usl.run.sources import ADDED, added_sources, source_record
from usl.run.split import Split
from usl.run.split_csv import rewrite
from usl.training.open_run import recorded_space

MOST_NAMED = 3


@dataclass(frozen=True)
class Added:
    """What was added to a run.

    ``ids`` of the new images, in order; ``there``, how many of the source the run had already;
    ``computed``, how many had to be encoded; ``skipped``: ``(image_id, reason)`` of those that
    could not be read.
    """

    run: Run
    ids: list[str]
    there: int
    computed: int
    skipped: tuple[tuple[str, str], ...]


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
    recorded = run.recorded_digests()
    fresh = check_new(run, new, recorded)
    there = len(new) - len(fresh)
    if not len(fresh):
        return Added(run, [], there, 0, new.skipped)
    part = new.take(fresh)
    record = run.info["encoder"]
    space = recorded_space(run, record, part, progress)
    if space.embedding.encoder.key != record["key"]:
        raise DataError(
            f"{run.path}: the weights of the encoder {record['name']!r} are not those the run was "
            "made with. Install that version again."
        )
    kept = part.take(space.rows)
    tell_copies(run, kept, set(recorded.values()))
    sync(run)
    record = {
        **source_record(source, new),
        "new": len(kept),
        "added": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with writing(run.path, run.identity):  # the first write counts: by it the images are found
        info = read_record(run.path / INFO)
        info[ADDED] = [*added_sources(info), record]
        write_json(run.path / INFO, info)
        append_images(run.path, kept)
    done = Run(run.path, info)
    patiently(run.path, partial(_append_rows, done, kept))
    skipped = (*new.skipped, *space.embedding.skipped)
    return Added(done, kept.ids.tolist(), there, space.embedding.computed, skipped)


def check_new(run: Run, new: Collection, recorded: dict[str, str]) -> NDArray[np.int64]:
    """The rows of a source that the run has not, int64 [k].

    Raises :class:`DataError` naming an image that is another one in the run.
    """
    first = run.collection()
    check_alike(first, new)
    known = [row for row, name in enumerate(new.ids.tolist()) if name in recorded]
    others = [str(new.ids[row]) for row in known if new.digest(row) != recorded[str(new.ids[row])]]
    if others:
        named = ", ".join(map(repr, others[:MOST_NAMED]))
        raise DataError(
            f"{new.source}: {counted(len(others), 'image')} {verb_for(len(others), 'has', 'have')} "
            f"the id of another image of the run {run.path} ({named}"
            f"{', ...' if len(others) > MOST_NAMED else ''}). Rename the files, or list them in a "
            "table with the columns image_id and path. Nothing was added."
        )
    fresh = np.ones(len(new), dtype=bool)
    fresh[known] = False
    return np.flatnonzero(fresh)


def tell_copies(run: Run, new: Collection, contents: set[str]) -> None:
    """Say how many new images hold what another image of the run holds."""
    copies = [
        name
        for name, digest in zip(new.ids.tolist(), new.digests().tolist(), strict=True)
        if digest in contents
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
