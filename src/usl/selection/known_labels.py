"""Labels that somebody has already, for a run to start from.

They come from a table (CSV, JSONL, Parquet) with a column ``image_id`` or ``path`` and one called
``label``, as an export, a manifest or the ``split.csv`` of another run is one; from a mapping of
ids to labels; or from the source itself.
"""

from __future__ import annotations

import os
import re
import unicodedata
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UsageError, UslWarning
from usl.core.words import counted, verb_for
from usl.data.addresses import local_path, shown
from usl.data.collection import Collection
from usl.data.columns import find_column, id_text, tidy_id
from usl.data.images import FileImages
from usl.data.labels import label_notes, read_labels
from usl.data.local_copy import opened
from usl.data.tables import TABLE_SUFFIXES, read_table
from usl.run.split import Split
from usl.selection.constraints.resolve import rows_of

SOURCE = "the source"


@dataclass(frozen=True, eq=False)
class Known:
    """Labels of some items of a collection.

    Attributes
    ----------
    rows : int64 [k], ascending, in the collection.
    labels : object [k] of ``str``.
    where : how a message names the place of the i-th of them.
    given : the file that they are from, or "the source", or "labels"; "" where there are none.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.object_]
    where: Callable[[int], str]
    given: str = ""

    def __len__(self) -> int:
        """Number of labels."""
        return len(self.rows)

    def among(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions in ``rows`` (ascending) of those that have a label, int64."""
        return np.flatnonzero(np.isin(rows, self.rows))

    def readable(self, kept: NDArray[np.bool_], ids: NDArray[np.str_]) -> Known:
        """Without those of images that could not be read, bool [n]; a warning names the first."""
        lost = np.flatnonzero(~kept[self.rows])
        if not len(lost):
            return self
        tell_unreadable(self.where(int(lost[0])), str(ids[self.rows[lost[0]]]), len(lost))
        left = np.flatnonzero(kept[self.rows])
        places = left.tolist()
        where = self.where
        return Known(
            self.rows[left], self.labels[left], lambda place: where(places[place]), self.given
        )

    def put_in(self, split: Split, ids: NDArray[np.str_]) -> Split:
        """The split with these labels, as a person's; ``ids`` are the collection's."""
        if not len(self):
            return split
        label_of = dict(zip(ids[self.rows].tolist(), self.labels.tolist(), strict=True))
        rows = [row for row, word in enumerate(split.ids.tolist()) if word in label_of]
        return split.with_labels(rows, [label_of[str(split.ids[row])] for row in rows])

    def record(self) -> dict[str, Any]:
        """The section ``known`` of the selection in ``run.json``."""
        names, counts = np.unique(self.labels.astype(str), return_counts=True)
        classes = dict(zip(names.tolist(), counts.tolist(), strict=True))
        return {"given": self.given, "labels": len(self), "classes": classes}


NOTHING = Known(np.empty(0, np.int64), np.empty(0, object), str)


def read_known(
    labels: str | os.PathLike[str] | Mapping[str, Any] | None,
    use_known: bool,
    collection: Collection,
) -> Known:
    """The labels to start from.

    Parameters
    ----------
    labels : a table's path, or labels by id.
    use_known : take those that the source carries, of the train subset.

    Raises
    ------
    UsageError
        both are asked for, or the source carries none.
    DataError
        naming file and row: an image that the collection does not hold, two labels of one image, a
        label that is none, a table without the columns.
    """
    if labels is None:
        return _of_source(collection) if use_known else NOTHING
    if use_known:
        raise UsageError(
            "use_known: the labels of the source and those of a file are both asked for. Leave one "
            "of them out."
        )
    return listed_labels(labels).found_in(collection)


@dataclass(frozen=True, eq=False)
class ListedLabels:
    """Labels by name: ``words`` that stand for images, a label of each, and ``where`` it stands.

    ``given`` : what they are from; ``base`` : the folder that names may be relative to.
    """

    words: list[str]
    labels: list[str]
    where: Callable[[int], str]
    given: str
    base: Path | None

    def found_in(self, collection: Collection) -> Known:
        """The labels of a collection's images.

        Raises :class:`DataError` for an image that it does not hold, or one with two labels.
        """
        about = self.words, self.labels, self.where, self.given, self.base
        return _matched(*about, collection)


def listed_labels(labels: str | os.PathLike[str] | Mapping[str, Any]) -> ListedLabels:
    """Labels from a table, or by id; :class:`DataError` where there is none."""
    where: Callable[[int], str]
    base: Path | None
    if isinstance(labels, Mapping):
        words = [str(word) for word in labels]
        values: Sequence[Any] = list(labels.values())
        given, base, where = "labels", None, _entry
    else:
        given, base = shown(labels), local_path(labels).absolute().parent
        with opened(labels) as path:
            words, values, at_row = _read_table(path)
        where = lambda row: at_row(row).replace(str(path), given)  # noqa: E731
    texts, faults = read_labels(values)
    for note in label_notes(given, faults):
        warnings.warn(note, UslWarning, stacklevel=4)
    has = [row for row, text in enumerate(texts) if text is not None]
    if not has:
        raise DataError(
            f"{given}: holds no label. Fill in the column label, or leave the file out."
        )
    return ListedLabels(
        [words[row] for row in has],
        [str(texts[row]) for row in has],
        lambda place: where(has[place]),
        given,
        base,
    )


def _entry(row: int) -> str:
    return f"labels, entry {row + 1}"


def tell_unreadable(where: str, word: str, number: int) -> None:
    """Say that labels are of images that cannot be read."""
    more = f" (and {number - 1:,} more)" if number > 1 else ""
    warnings.warn(
        f"{where}: {word!r} has a label, but the image cannot be read{more}; left out. Restore it, "
        "or remove the row.",
        UslWarning,
        stacklevel=4,
    )


def _of_source(collection: Collection) -> Known:
    """The labels that a source carries, of its train subset."""
    train = collection.rows_in("train")
    rows = train[:0]
    if collection.labels is not None:
        rows = train[[collection.labels[row] is not None for row in train.tolist()]]
    if collection.labels is None or not len(rows):
        raise UsageError(
            f"use_known: {collection.source} carries no labels of the train subset. They come from "
            "folders of classes or a label column; or name a table of labels: --labels FILE."
        )
    ids = collection.ids
    return Known(rows, collection.labels[rows], lambda place: str(ids[rows[place]]), SOURCE)


def _read_table(path: Path) -> tuple[list[str], Sequence[Any], Callable[[int], str]]:
    """Names of images and labels of a table, and how a message names a row of it."""
    if not path.exists():
        raise DataError(f"{path}: no such file of labels.")
    if path.suffix.lower() not in TABLE_SUFFIXES or path.is_dir():
        raise DataError(
            f"{path}: labels to start from are a table ({' '.join(TABLE_SUFFIXES)}) with the "
            "columns image_id and label. Other formats: make the run without, then usl import RUN "
            "FILE."
        )
    table = read_table(path)
    name = find_column(table.columns, "id") or find_column(table.columns, "path")
    column = find_column(table.columns, "label")
    if name is None or column is None:
        lacks = "image_id (or path)" if name is None else "label"
        raise DataError(
            f"{path}: no column {lacks}; it has {', '.join(table.columns)}. Name one so."
        )
    values = table.values(column)
    words = [id_text(value) for value in table.values(name)]
    for row, word in enumerate(words):
        if not word:
            raise DataError(f"{table.where(row)}: no {name}. Fill it in, or remove the row.")
    return words, values, table.where


def _matched(
    words: list[str],
    labels: list[str],
    where: Callable[[int], str],
    given: str,
    base: Path | None,
    collection: Collection,
) -> Known:
    """The rows of named images, each with one label."""
    lost = {tidy_id(name) for name, _ in collection.skipped}
    ids = set(collection.ids.tolist())
    words = [_as_id(word, base, collection, ids) for word in words]
    gone = [place for place, word in enumerate(words) if word not in ids and word in lost]
    if gone:
        tell_unreadable(where(gone[0]), words[gone[0]], len(gone))
        taken = sorted(set(range(len(words))) - set(gone))
    else:
        taken = list(range(len(words)))
    rows = rows_of([words[p] for p in taken], collection.ids, lambda place: where(taken[place]))
    first: dict[int, int] = {}
    for row, place in zip(rows.tolist(), taken, strict=True):
        earlier = first.setdefault(row, place)
        if labels[earlier] != labels[place]:
            raise DataError(
                f"{where(place)}: {words[place]!r} is {labels[place]!r}, but {labels[earlier]!r} "
                f"before ({where(earlier)}). Remove one of them."
            )
    _tell_alike(given, labels)
    order = sorted(first)
    places = [first[row] for row in order]
    return Known(
        np.array(order, dtype=np.int64),
        np.array([labels[place] for place in places], dtype=object),
        lambda place: where(places[place]),
        given,
    )


def _as_id(word: str, base: Path | None, collection: Collection, ids: set[str]) -> str:
    """The id that a word stands for: it may be one, or a path, also from the table's folder."""
    tidy = tidy_id(word)
    for one in (word, tidy, tidy.replace("\\", "/").removeprefix("./")):
        if one in ids:
            return one
    if base is not None and isinstance(collection.images, FileImages):
        root = os.path.abspath(collection.images.root)
        for spelling in (word, word.replace("\\", "/")):
            path = os.path.normpath(os.path.join(base, spelling))
            near = tidy_id(Path(os.path.relpath(path, root)).as_posix())
            if near in ids:
                return near
    return tidy


def _tell_alike(given: str, labels: Sequence[str]) -> None:
    """Say which classes differ in case, blanks or the form of letters alone."""
    groups: dict[str, set[str]] = {}
    for name in set(labels):
        key = re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFKC", name)).strip().casefold()
        groups.setdefault(key, set()).add(name)
    for names in sorted(sorted(names) for names in groups.values() if len(names) > 1):
        warnings.warn(
            f"{given}: the classes {', '.join(map(repr, names))} differ in case, blanks or the "
            "form of letters alone. They count as several; if they are one, correct the labels.",
            UslWarning,
            stacklevel=6,
        )


def check_budget(budget: int, train: int, known: int) -> None:
    """UsageError for a budget that the images without a label cannot meet."""
    free = train - known
    if 1 <= budget <= free:
        return
    if known and not free:
        raise UsageError(
            f"budget: {budget} given, but all {counted(train, 'image')} of the train subset "
            f"{verb_for(train, 'has', 'have')} a label already; nothing is left to pick."
        )
    said = f"; {known:,} {verb_for(known, 'has', 'have')} a label already" if known else ""
    raise UsageError(
        f"budget: {budget} given, but the train subset has {counted(free, 'image')}"
        f"{' without a label' if known else ''}{said}; it must be between 1 and {free}."
    )
