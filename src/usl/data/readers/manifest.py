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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from usl.core.errors import DataError
from usl.data.address_listing import Place
from usl.data.addresses import shown
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
from usl.data.image_source import Images
from usl.data.images import FileImages
from usl.data.labels import label_notes, read_labels
from usl.data.listing import Listing, list_images
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


def from_address(
    table: Table, place: Place, *, as_: str | None = None, max_pixels: int | None = None
) -> Collection:
    """A collection of the files at an address that a table in its folder lists."""
    rows = _Rows(max_pixels, place)
    verdict = judge(table.path, *peek(table.path), as_)
    rows.add(table, verdict.others)
    found = rows.collection(table.path, table.path.parent)
    return replace(found, notes=(*verdict.notes, *rows.notes))


def from_metadata(
    tables: Mapping[str, Table], place: Place, *, max_pixels: int | None = None
) -> Collection:
    """A folder of images at an address with Hugging Face's metadata, by the folders they lie in."""
    rows = _Rows(max_pixels, place)
    for folder, table in tables.items():
        rows.add(table, folder=folder)
    return _with_unlisted(
        rows.collection(Path(place.source), Path()), place.listing, set(rows.files), place.source
    )


def from_table(table: Table, source: str) -> Collection:
    """A collection of the files that a table in memory lists."""
    rows = _Rows()
    rows.add(table)
    return replace(rows.collection(Path(source), table.path.parent), source=source)


class _Rows:
    """The rows of one or several tables, in order."""

    def __init__(self, max_pixels: int | None = None, place: Place | None = None) -> None:
        self.max_pixels = max_pixels
        self.place = place  # where the files lie, if not on the disk
        self.extra: dict[str, list[Any]] = {}
        self.notes: tuple[str, ...] = ()
        self.files: list[str] = []  # absolute; or below the place
        self.places: list[str] = []  # how an error message begins
        self.columns: dict[str, list[Any]] = {"id": [], "label": [], "subset": []}
        self.given: set[str] = set()  # roles for which any table has a column

    def add(self, table: Table, others: Sequence[str] = (), folder: str = "") -> None:
        """Append a table's rows; ``others`` are columns to keep as they are (of one table).

        ``folder`` : where below the place the table lies.
        """
        self.extra = {name: table.values(name) for name in others if name in table.columns}
        name = find_column(table.columns, "path")
        if name is None:
            raise DataError(f"{table.path}: no column called path (or image, file, file_name).")
        base = os.path.abspath(table.path.parent)
        self.files += [
            _resolved(base, value, table.where, row)
            if self.place is None
            else _found(self.place, folder, value, table.where(row))
            for row, value in enumerate(table.values(name))
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
        images, names = self._images(home)
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
            images=images,
            labels=labels if "label" in self.given else None,
            source=str(path),
            kind=KIND,
            notes=self.notes,
            extra=self.extra,
        )

    def _images(self, home: Path) -> tuple[Images, list[str]]:
        """The pictures, and their names below what holds them all."""
        if self.place is not None:
            return self.place.images(self.files, self.max_pixels), self.files
        root = os.path.abspath(home)
        if not all(file.startswith(os.path.join(root, "")) for file in self.files):
            root = os.path.commonpath([os.path.dirname(file) for file in self.files])
        names = [Path(os.path.relpath(file, root)).as_posix() for file in self.files]
        memo = DigestMemo.for_folder(Path(root))
        return FileImages(Path(root), names, memo=memo, max_pixels=self.max_pixels), names


def _path_text(value: Any, where: str) -> str:
    text = id_text(value)
    if not text:
        raise DataError(f"{where}: no path. Fill it in, or remove the row.")
    return text


def _found(place: Place, folder: str, value: Any, where: str) -> str:
    """The name of a listed file below a place; DataError naming the row if there is none."""
    text = _path_text(value, where)
    try:
        name = place.find(folder, text)
    except ValueError:
        raise DataError(
            f"{where}: {shown(text)!r} lies elsewhere than {place.source}, and only what is named "
            "is opened. Put the list into the folder that holds all images."
        ) from None
    if name is None:
        raise DataError(
            f"{where}: no file {text!r} in {place.source}. Paths are relative to the table's "
            "folder; correct the path, or remove the row."
        )
    return name


def _resolved(base: str, value: Any, where: Callable[[int], str], row: int) -> str:
    """The absolute path of a listed file; DataError naming the row if there is none."""
    text = _path_text(value, where(row))
    if "://" in text:
        raise DataError(
            f"{where(row)}: {shown(text)!r} is an address, and only what is named is opened. Put "
            "the list beside the images, and name it by its address."
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


def metadata_names(names: Iterable[str]) -> list[str]:
    """Those of the files of a folder that may be Hugging Face metadata, by their names."""
    found = []
    for name in names:
        folder, _, last = name.rpartition("/")
        if last in METADATA and (not folder or ("/" not in folder and subset_name(folder))):
            found.append(name)
    return found


def _read_metadata(folder: Path, max_pixels: int | None) -> Collection:
    """Read an imagefolder with metadata, saying which images the metadata leave out."""
    rows = _Rows(max_pixels)
    for file in _metadata_files(folder):
        rows.add(read_table(file))
    collection = rows.collection(folder, folder)
    listed = {Path(os.path.relpath(file, folder)).as_posix() for file in rows.files}
    return _with_unlisted(collection, list_images(folder), listed, str(folder))


def _with_unlisted(
    collection: Collection, listing: Listing, listed: set[str], source: str
) -> Collection:
    """The collection, with a word on images of its folder that the metadata leave out."""
    unlisted = [
        (name, "not listed in the folder's metadata table")
        for name in listing.names
        if name not in listed
    ]
    return replace(
        collection,
        skipped=(*unlisted, *listing.skipped),
        passed_over=dict(listing.others.most_common()),
        notes=(*collection.notes, *listing.notes(source)),
    )
