"""Parquet files of images, as the Hugging Face hub keeps data sets.

On disk, one of

- a ``.parquet`` file with a column that is a struct of ``bytes`` and ``path`` (or of binary data
  called ``image``, ``img``, ``picture``, ``png`` or ``jpg``);
- a folder of such files, at its top or in folders (``data/train-00000-of-00002.parquet``), or a
  glob of them. Other files beside them (README.md) are passed over and counted.

The pictures are read where they are asked for, a group of rows at a time. Labels are numbers with
the class names of the files' metadata, or texts. The subset is told by the file's name
(``train-00000-of-00002.parquet``) or its folder, else all is ``train``. ids are a column of ids,
else the paths in the structs where each is there once, else ``train/00000``. A shard that is
missing (of ``-of-00002``) is named.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError
from usl.data.collection import Collection
from usl.data.columns import find_column, id_column, id_text, index_ids, tidy_id
from usl.data.labels import label_notes, read_labels
from usl.data.parquet_files import open_parquet, read_columns
from usl.data.parquet_images import ParquetImages, class_names, image_column
from usl.data.shard_files import other_files, shard_files, subset_of_file

PRIORITY = 15
KIND = "hub"
ENDING = ".parquet"
SHARD = re.compile(r"(.*?)-(\d{3,6})-of-(\d{3,6})(?:-[0-9a-f]+)?\.parquet", re.I)


def matches(path: Path) -> bool:
    """Tell whether the first Parquet file of the source holds pictures."""
    files = shard_files(path, ENDING)
    if not files:
        return False
    schema = _schema(min(files, key=_order))
    return schema is not None and image_column(schema) is not None


def read(path: Path, *, max_pixels: int | None = None) -> Collection:
    """Read labels and ids; no picture is opened.

    Parameters
    ----------
    max_pixels : of an image that is still decoded; None for Pillow's limit.

    Raises
    ------
    DataError
        naming the file: a shard that is missing, broken, or has other columns than the first.
    """
    import pyarrow as pa

    files = sorted(shard_files(path, ENDING), key=_order)
    if not path.is_file():
        _check_complete(files)
    column = image_column(_schema(files[0]))
    assert column is not None
    rows = _Rows(column)
    for file in files:
        try:
            rows.add(open_parquet(file), file)
        except (OSError, pa.ArrowException) as error:
            raise DataError(
                f"{file} is not a readable Parquet file ({error}). Fetch it again."
            ) from error
    if not rows.total:
        raise DataError(f"{path}: holds no rows.")
    labels, faults = rows.labels, rows.faults
    images = ParquetImages(files, column, rows.counts, max_pixels=max_pixels)
    return Collection(
        ids=rows.ids(images),
        subsets=np.array(rows.subsets, dtype="<U5"),
        images=images,
        labels=np.array(labels, dtype=object) if rows.knows_labels else None,
        source=str(path),
        kind=KIND,
        passed_over=dict(other_files(path, ENDING).most_common()),
        notes=label_notes(str(path), faults),
    )


class _Rows:
    """What the files say of their rows, one file after the other."""

    def __init__(self, column: str) -> None:
        self.column = column
        self.counts: list[int] = []
        self.subsets: list[str] = []
        self.labels: list[str | None] = []
        self.given: list[Any] = []
        self.paths: list[str] = []
        self.faults: Counter[str] = Counter()
        self.knows_labels = False

    @property
    def total(self) -> int:
        """Rows so far."""
        return sum(self.counts)

    def add(self, opened: Any, file: Path) -> None:
        """Read all of a file but its pictures."""
        schema = opened.schema_arrow
        if self.column not in schema.names:
            raise DataError(
                f"{file}: no column {self.column!r} of images; it has {', '.join(schema.names)}."
            )
        count = opened.metadata.num_rows
        self.counts.append(count)
        self.subsets += [subset_of_file(file)] * count
        others = [name for name in schema.names if name != self.column]
        label, ids = find_column(others, "label"), find_column(others, "id")
        texts: list[str | None] = [None] * count
        if label is not None:
            values = read_columns(file, [label]).column(0).to_pylist()
            found, faults = read_labels(values, class_names(schema, label))
            texts = found.tolist()
            self.faults.update(faults)
            self.knows_labels = True
        self.labels += texts
        given = read_columns(file, [ids]).column(0).to_pylist() if ids else [None] * count
        self.given += given
        paths = [None] * count
        if any(leaf == f"{self.column}.path" for leaf in _leaves(opened)):
            table = opened.read(columns=[f"{self.column}.path"])
            paths = [(value or {}).get("path") for value in table.column(0).to_pylist()]
        self.paths += [tidy_id((word or "").replace("\\", "/")) for word in paths]

    def ids(self, images: ParquetImages) -> NDArray[np.str_]:
        """An id for each row."""
        if all(id_text(value) for value in self.given):
            return id_column(self.given, images.where)
        if all(self.paths) and len(set(self.paths)) == len(self.paths):
            return np.array(self.paths)
        counted: Counter[str] = Counter(self.subsets)
        numbered = {subset: iter(index_ids(subset, n)) for subset, n in counted.items()}
        return np.array([next(numbered[subset]) for subset in self.subsets])


def _leaves(opened: Any) -> list[str]:
    schema = opened.schema
    return [schema.column(number).path for number in range(len(schema))]


def _schema(file: Path) -> Any:
    """A file's schema, or None if it is broken."""
    try:
        return open_parquet(file).schema_arrow
    except DataError:
        return None


def _order(file: Path) -> tuple[int, str]:
    return ("train", "val", "test").index(subset_of_file(file)), str(file)


def _check_complete(files: list[Path]) -> None:
    """Refuse a set of shards of which some are missing."""
    found: dict[tuple[str, str, int], set[int]] = {}
    for file in files:
        if told := SHARD.fullmatch(file.name):
            key = (str(file.parent), told[1], int(told[3]))
            found.setdefault(key, set()).add(int(told[2]))
    for (folder, name, total), numbers in found.items():
        if len(numbers) < total:
            missing = next(number for number in range(total) if number not in numbers)
            raise DataError(
                f"{folder}: {total - len(numbers)} of the {total} files {name}-...-of-{total:05d} "
                f"are missing, the first is {name}-{missing:05d}-of-{total:05d}.parquet. Fetch "
                "them, or name the files that are meant one by one."
            )
