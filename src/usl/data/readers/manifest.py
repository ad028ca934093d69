"""A table that lists images: CSV or TSV (as any spreadsheet saves it), JSONL, Parquet.

On disk, one row per image, with a header::

    path,label,split
    photos/0001.jpg,cat,train
    photos/0002.jpg,,train

- path: one of ``path image file file_name filename filepath image_path``; relative to the table's
  folder, or absolute;
- optional ``label`` (``class``, ``category``, ``target``): empty where unknown;
- optional ``subset`` (``split``): train, val (valid, validation) or test; without the column the
  folders tell, as for a folder of images;
- optional ``image_id`` (``id``). Otherwise the id is the path relative to the table's folder, or,
  if a file lies outside of it, to the deepest folder that holds all files.

A folder with Hugging Face's ``metadata.csv`` (``.jsonl``, ``.parquet``; column ``file_name``), at
its top or in its subsets' folders, is read by that; images missing from it are reported as skipped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from usl.core.errors import DataError
from usl.data.collection import Collection
from usl.data.columns import (
    check_told_apart,
    find_column,
    id_column,
    id_text,
    subset_column,
    subset_name,
    subsets_of_paths,
    tidy_id,
)
from usl.data.digests import DigestMemo
from usl.data.images import FileImages
from usl.data.labels import label_notes, read_labels
from usl.data.listing import list_images
from usl.data.tables import SOURCE_SUFFIXES, Table, column_names, read_table
from usl.data.verdict import judge, kind_of, peek

PRIORITY = 30
KIND = "manifest"
METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


def matches(path: Path) -> bool:
    """Tell whether the path is a table with a path column, or a folder with metadata."""
    if path.is_dir():
        return bool(_metadata_files(path))
    if path.suffix.lower() not in SOURCE_SUFFIXES or not path.is_file():
        return False
    return kind_of(path) == KIND


def read(path: Path, *, as_: str | None = None, max_pixels: int | None = None) -> Collection:
    """Read the table and see that all files exist; none is opened.

    Parameters
    ----------
    as_ : ``manifest`` takes the paths for images whatever numbers stand beside them.
    max_pixels : of an image that is still decoded; None for Pillow's limit.

    Raises
    ------
    DataError
        naming the row: no path, a web address, a missing file, an id given twice, an unknown
        subset.
    """
    if path.is_dir():
        return _read_metadata(path, max_pixels)
    rows = _Rows(max_pixels)
    verdict = judge(path, *peek(path), as_)
    rows.add(read_table(path), verdict.others)
    return replace(rows.collection(path, path.parent), notes=(*verdict.notes, *rows.notes))


def from_table(table: Table, source: str) -> Collection:
    """A collection of the files that a table in memory lists."""
    rows = _Rows()
    rows.add(table)
    return replace(rows.collection(Path(source), table.path.parent), source=source)


class _Rows:
    """The rows of one or several tables, in order."""

    def __init__(self, max_pixels: int | None = None) -> None:
        self.max_pixels = max_pixels
        self.extra: dict[str, list[Any]] = {}
        self.notes: tuple[str, ...] = ()
        self.files: list[str] = []  # absolute
        self.places: list[str] = []  # how an error message begins
        self.columns: dict[str, list[Any]] = {"id": [], "label": [], "subset": []}
        self.given: set[str] = set()  # roles for which any table has a column

    def add(self, table: Table, others: Sequence[str] = ()) -> None:
        """Append a table's rows; ``others`` are columns to keep as they are (of one table)."""
        self.extra = {name: table.values(name) for name in others if name in table.columns}
        name = find_column(table.columns, "path")
        if name is None:
            raise DataError(f"{table.path}: no column called path (or image, file, file_name).")
        base = os.path.abspath(table.path.parent)
        self.files += [
            _resolved(base, value, table.where, row) for row, value in enumerate(table.values(name))
        ]
        self.places += [table.where(row) for row in range(len(table))]
        for role, values in self.columns.items():
            column = find_column(table.columns, role)
            values += [None] * len(table) if column is None else table.values(column)
            self.given |= set() if column is None else {role}

    def collection(self, path: Path, home: Path) -> Collection:
        """Make the collection; ids are relative to ``home`` if all files lie below it."""
        if not self.files:
            raise DataError(f"{path}: lists no images; there are no rows below the header.")
        root = os.path.abspath(home)
        if not all(file.startswith(os.path.join(root, "")) for file in self.files):
            root = os.path.commonpath([os.path.dirname(file) for file in self.files])
        names = [Path(os.path.relpath(file, root)).as_posix() for file in self.files]
        where = self.places.__getitem__
        labels, faults = read_labels(self.columns["label"])
        self.notes = label_notes(str(path), faults)
        ids = self.columns["id"] if "id" in self.given else [tidy_id(name) for name in names]
        if "id" not in self.given:
            check_told_apart(path, ids, names)
        subsets = subsets_of_paths(names)
        if "subset" in self.given:
            subsets = subset_column(self.columns["subset"], where)
        return Collection(
            ids=id_column(ids, where),
            subsets=np.repeat("train", len(ids)) if subsets is None else subsets,
            images=FileImages(
                Path(root),
                names,
                memo=DigestMemo.for_folder(Path(root)),
                max_pixels=self.max_pixels,
            ),
            labels=labels if "label" in self.given else None,
            source=str(path),
            kind=KIND,
            notes=self.notes,
            extra=self.extra,
        )


def _resolved(base: str, value: Any, where: Callable[[int], str], row: int) -> str:
    """The absolute path of a listed file; DataError naming the row if there is none."""
    text = id_text(value)
    if not text:
        raise DataError(f"{where(row)}: no path. Fill it in, or remove the row.")
    if "://" in text:
        raise DataError(
            f"{where(row)}: {text!r} is an address. Download the images and list local files."
        )
    for spelling in (text, text.replace("\\", "/")):  # tables made on Windows
        file = os.path.normpath(os.path.join(base, spelling))
        if os.path.isfile(file):
            return file
    raise DataError(
        f"{where(row)}: no file {text!r}. Paths are relative to the table's folder ({base}); "
        "correct the path, or remove the row."
    )


def _metadata_files(folder: Path) -> list[Path]:
    """Hugging Face metadata tables at the top or in the subsets' folders."""
    subfolders = sorted(f for f in folder.iterdir() if subset_name(f.name) and f.is_dir())
    files = [place / name for place in (folder, *subfolders) for name in METADATA]
    return [file for file in files if file.is_file() and "file_name" in column_names(file)]


def _read_metadata(folder: Path, max_pixels: int | None) -> Collection:
    """Read an imagefolder with metadata, saying which images the metadata leave out."""
    rows = _Rows(max_pixels)
    for file in _metadata_files(folder):
        rows.add(read_table(file))
    collection = rows.collection(folder, folder)
    listed = set(rows.files)
    listing = list_images(folder)
    unlisted = [
        (name, "not listed in the folder's metadata table")
        for name in listing.names
        if os.path.abspath(folder / name) not in listed
    ]
    return replace(
        collection,
        skipped=(*unlisted, *listing.skipped),
        passed_over=dict(listing.others.most_common()),
        notes=(*collection.notes, *listing.notes(str(folder))),
    )
