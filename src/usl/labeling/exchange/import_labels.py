"""``usl import``: labels that another tool, or a person with a table, has written.

The formats are the files of :mod:`usl.labeling.formats`. What is read never takes the place of a
label a person gave, unless that is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from usl.core.errors import DataError
from usl.core.progress import Progress, silent
from usl.core.words import counted
from usl.data.addressed_images import AddressedImages
from usl.data.addresses import is_address, local_path
from usl.data.images import FileImages
from usl.data.local_copy import opened
from usl.labeling.answers.entries import LABELS, Answer, tidy
from usl.labeling.answers.outcomes import current
from usl.labeling.answers.store import Store, store_path
from usl.labeling.answers.sync import bring_up_to_date, sync
from usl.labeling.exchange.contract import READERS, Given, format_module, format_names
from usl.labeling.exchange.incoming import (
    Conflict,
    Matched,
    Unknown,
    Verdict,
    alike,
    alike_note,
    match,
    tidy_label,
    weigh,
)
from usl.labeling.exchange.names import Finder
from usl.labeling.exchange.released_lists import RELEASED, is_released, read_list
from usl.labeling.exchange.rows import columns_note
from usl.run.folder import Run
from usl.run.identity import writing
from usl.run.split import Split
from usl.run.split_csv import SWEPT, rewrite


@dataclass(frozen=True)
class Imported:
    """What a file has changed.

    Attributes
    ----------
    format : by which it was understood.
    added : images that have a person's label now and had none.
    changed : images whose label was replaced; with ``overwrite`` alone.
    unchanged : images that had the label already.
    skipped : entries without an answer, by reason.
    unknown : entries whose image the run does not have.
    conflicts : images left as they were, for the file says otherwise, or contradicts itself.
    new_classes : classes that the run had not, sorted.
    recorded : answers that entered ``labels.sqlite``; 0 where there is none.
    notes : what a person should look at: names told by their end, classes that are nearly alike.
    """

    format: str
    added: int
    changed: int
    unchanged: int
    skipped: dict[str, int] = field(default_factory=dict)
    unknown: list[Unknown] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    new_classes: list[str] = field(default_factory=list)
    recorded: int = 0
    notes: list[str] = field(default_factory=list)


def import_formats() -> list[str]:
    """Names of the formats that can be read."""
    return format_names(READERS)


def import_file(
    run: Run | str | os.PathLike[str],
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    annotator: str | None = None,
    source: str | None = None,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Imported:
    """Take over the labels of a file or folder that another tool wrote.

    Images are matched by id, else by file name, never by position. Answers of several annotators,
    and all answers of a run that has ``labels.sqlite``, are kept there one by one.

    Parameters
    ----------
    run : run folder.
    path : file or folder with labels, also at an address; its format is told by its content.
    format : name of the format, where its content does not tell; released: a list of images that
        was published, whose labels the source itself knows.
    annotator : who gave the answers; by default whom the file names, else the format's name.
    source : where the images are now, if they have moved; needed only for tools that name files
        by their path.
    overwrite : let the file's labels replace others that a person gave.

    Raises
    ------
    UsageError
        unknown format.
    DataError
        the file is missing, broken, of no known format, or about none of the run's images.
    """
    if is_address(path):
        with opened(path) as copy:
            return import_file(
                run,
                copy,
                format=format,
                annotator=annotator,
                source=source,
                overwrite=overwrite,
                progress=progress,
            )
    run = run if isinstance(run, Run) else Run.open(run)
    path = local_path(path)
    if not path.exists():
        raise DataError(f"{path}: no such file or folder.")
    name = format or guess_format(path)
    given: list[Given]
    if name == RELEASED:
        given = read_list(path, run.collection(source))
    else:
        given = format_module(name, READERS).read(path)
    tool = Path(name).stem if name.endswith(".py") else name
    who = None if annotator is None else tidy("annotator", annotator)
    progress(1, 3, "read")

    bring_up_to_date(run)
    before = run.split()
    given, renamed = by_present_names(run, given)
    found = match(given, Finder(before.ids.tolist(), lambda: files_of(run, before, source)))
    if not found.known:
        shown = ", ".join(repr(one.image) for one in found.unknown[:3]) or "no entries at all"
        raise DataError(
            f"{path}: none of its {counted(len(given), 'entry')} is about an image of {run.path}; "
            f"it has {shown}, the run {', '.join(map(repr, before.ids[:3].tolist()))}. Is it the "
            "right run? Entries are matched by image_id, else by file name."
            + (f" Of {found.unknown[0].image!r}: {found.unknown[0].why}." if found.unknown else "")
        )
    verdict = weigh(found, before, annotator=who, tool=tool, overwrite=overwrite)
    progress(2, 3, "read")
    recorded = record(run, verdict.answers)
    after = before
    if recorded is not None:
        after = sync(run)
    elif verdict.labels:
        for source, swept in (("human", False), (SWEPT, True)):
            rows = [row for row in verdict.labels if (row in verdict.swept) == swept]
            labels = [verdict.labels[row] for row in rows]
            weights = before.weights[np.array(rows, dtype=np.int64)]
            after = after.with_labels(rows, labels, source=source, weights=weights)
        with writing(run.path, run.identity):
            rewrite(after, safe="Nothing was imported.")
    progress(3, 3, "read")
    found.notes += renamed
    return _summary(tool, found, verdict, before, after, recorded)


def by_present_names(run: Run, given: Sequence[Given]) -> tuple[list[Given], list[str]]:
    """Entries with the names that their classes have by now, and a note for each that had another.

    A file may have left the run before a class was renamed on the labelling page.
    """
    if not store_path(run.path).is_file():
        return list(given), []
    with Store.open(run.path) as store:
        names = store.names()
    if not names.changes:
        return list(given), []
    found: list[Given] = []
    former: dict[str, str] = {}
    for entry in given:
        label = None if entry.label is None else tidy_label(entry.label)
        called = None if label is None else names.present(label)
        if label is not None and called is not None and called != label:
            former[label] = called
            entry = replace(entry, label=called)
        found.append(entry)
    notes = [f"The class {old!r} was renamed: read as {new!r}." for old, new in former.items()]
    return found, notes


def guess_format(path: Path) -> str:
    """The format whose content a file or folder has.

    Raises :class:`DataError` when no format, or more than one, recognises it.
    """
    if is_released(path):
        return RELEASED
    known = import_formats()
    found = [name for name in known if format_module(name, READERS).recognizes(path)]
    if len(found) == 1:
        return found[0]
    if found:
        raise DataError(f"{path}: could be {' or '.join(found)}. Say which: --format {found[0]}")
    raise DataError(
        f"{path}: holds no labels in a form that is known. A table needs a column image_id (or "
        "path) and a column label, a folder one folder for each class. Name the format if it is "
        f"one of {', '.join(known)}: --format NAME" + columns_note(path)
    )


def record(run: Run, answers: Sequence[Answer]) -> int | None:
    """Keep answers in the run's label store; how many were new, or None without a store.

    There is a store once somebody has used the labelling page; answers of several annotators make
    one, for their differences would be lost otherwise. What an annotator has said already is not
    said again.
    """
    people = {answer.annotator for answer in answers}
    if not store_path(run.path).is_file() and len(people) < 2:
        return None
    with writing(run.path, run.identity):
        opened = Store.open(run.path)
    with opened as store:
        sync(run, store)
        said = current(store.history(round=LABELS))
        new = [
            answer
            for answer in answers
            if answer.final
            or (old := said.get((LABELS, answer.annotator, answer.image_id))) is None
            or old.label != answer.label
        ]
        store.add(new)
        for label in sorted({answer.label for answer in new if answer.label}):
            store.add_class(label)
    return len(new)


def _summary(
    tool: str,
    found: Matched,
    verdict: Verdict,
    before: Split,
    after: Split,
    recorded: int | None,
) -> Imported:
    """Count what the split says now that it did not before."""
    labels = dict(zip(after.ids.tolist(), after.labels.tolist(), strict=True))
    added = changed = 0
    conflicts = list(verdict.conflicts)
    for row, label in verdict.labels.items():
        word = str(before.ids[row])
        if labels[word] is None or tidy_label(labels[word]) != label:  # others had said otherwise
            conflicts.append(Conflict(word, verdict.wheres[row], (label,), labels[word]))
        elif row in verdict.replaced:
            changed += 1
        else:
            added += 1
    known = {label for label in before.labels.tolist() if label is not None}
    return Imported(
        format=tool,
        added=added,
        changed=changed,
        unchanged=len(verdict.unchanged),
        skipped=found.skipped,
        unknown=found.unknown,
        conflicts=conflicts,
        new_classes=sorted(set(verdict.labels.values()) - known),
        recorded=recorded or 0,
        notes=found.notes + [alike_note(names) for names in alike(verdict.labels.values(), known)],
    )


def files_of(run: Run, split: Split, source: str | None) -> list[str]:
    """The absolute path or the address of each image's file, "" where there is none."""
    try:
        collection = run.collection(source)
    except DataError:
        if source is not None:
            raise
        return []
    images = collection.images
    rows = {word: row for row, word in enumerate(collection.ids.tolist())}
    if isinstance(images, AddressedImages):
        places = [rows.get(word) for word in split.ids.tolist()]
        return ["" if row is None else images.where(row) for row in places]
    if not isinstance(images, FileImages):
        return []
    return [
        Path(os.path.abspath(images.path(rows[word]))).as_posix() if word in rows else ""
        for word in split.ids.tolist()
    ]
