"""Embeddings in several files: a folder of ``.npy`` or ``.parquet`` shards, or a glob of them.

On disk, one of

- a folder that holds ``.npy`` files, or ``.parquet`` files, and neither images nor folders beside
  them (other files, a README say, are passed over);
- a glob such as ``features/part-*.npy``;
- what ``usl embed`` has written as shards: their record, ``_features.json``, names the files and
  the encoder, and pictures are found where the shards have a column ``path``.

The shards follow each other by name, numbers in names by value (``part-2`` before ``part-10``).
Every one is a table [n, d] as it would be on its own: arrays of one width (float16, 32, 64, or
whole numbers), or Parquet with a list column or columns of numbers. ids are ``train/00000``, ...
over all shards; Parquet shards that all have an id column keep theirs, and so for labels and
subsets. ``.npy`` shards are memory-mapped, not loaded; Parquet is unpacked in pieces, and large
collections into a file.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np

from usl.core.errors import DataError
from usl.data.arrays import load_npy
from usl.data.collection import Collection
from usl.data.decode import EXTENSIONS
from usl.data.embedded_features import with_pictures
from usl.data.listing import expand_glob, is_glob
from usl.data.parquet_features import read_parquet_features
from usl.data.readers.embeddings import features_or_broken, from_features, from_parquet
from usl.numeric.lazy_table import Joined

PRIORITY = 25
SUFFIXES = (".npy", ".parquet")
RECORD = "_features.json"  # of shards that usl embed has made


def matches(path: Path) -> bool:
    """Tell whether the path is a folder of shards and nothing else, or a glob of them."""
    if is_glob(path):
        suffix = path.suffix.lower()
        return suffix == ".npy" or (suffix == ".parquet" and not _hold_no_features(_of_glob(path)))
    if (path / RECORD).is_file():
        return True
    shards = _of_folder(path)
    return bool(shards) and not _hold_no_features(shards)


def read(path: Path) -> Collection:
    """Read the shards as one table.

    Raises
    ------
    DataError
        naming the files: shards of both kinds or of differing width, a broken or truncated one; a
        row with NaN or infinity; a glob that nothing matches.
    """
    if (path / RECORD).is_file():
        return _embedded(path)
    found = _of_glob(path) if is_glob(path) else _of_folder(path)
    shards = sorted(found, key=lambda file: (str(file.parent), _natural(file.name)))
    if not shards:
        raise DataError(f"{path}: no file is called like that.")
    kinds = {file.suffix.lower() for file in shards}
    if len(kinds) > 1:
        raise DataError(
            f"{path}: holds {' and '.join(sorted(kinds))} files. Name one kind: "
            f"{path / '*.npy'}, say."
        )
    if kinds == {".parquet"}:
        return from_parquet(read_parquet_features(shards), source=str(path))
    return _from_arrays(shards, source=str(path))


def _embedded(path: Path) -> Collection:
    """Features that ``usl embed`` has made, by their record; see :mod:`usl.engine.shards`."""
    try:
        record = json.loads((path / RECORD).read_bytes())
        encoder = dict(record.get("encoder", {}))
        files = [path / Path(str(one["name"])).name for one in record["shards"]]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise DataError(f"{path / RECORD}: no record of shards. Run usl embed again.") from error
    if not files:
        raise DataError(f"{path / RECORD}: names no shards. Run usl embed again.")
    found = from_parquet(read_parquet_features(files), source=str(path))
    return with_pictures(found, files, encoder)


def _from_arrays(shards: list[Path], *, source: str) -> Collection:
    arrays = [load_npy(file) for file in shards]
    first, like = shards[0], arrays[0]
    for file, array in zip(shards, arrays, strict=True):
        if array.ndim != 2 or array.dtype.kind not in "fiu" or not array.shape[1]:
            raise DataError(
                f"{file}: a shard must be numbers [n, d], this is {array.dtype} "
                f"{list(array.shape)}."
            )
        if array.shape[1] != like.shape[1]:
            raise DataError(
                f"{file}: {array.shape[1]} numbers to a row, but {first} has {like.shape[1]}. "
                "Features of one collection come from one encoder."
            )
    kind = np.result_type(*arrays)
    kind = kind if kind.kind == "f" else np.dtype(np.float32)
    table = Joined(arrays, [str(file) for file in shards], kind)
    return from_features(table, source=source, where=table.where)


def _of_glob(path: Path) -> list[Path]:
    root, names = expand_glob(path)
    return [root / name for name in names if name.lower().endswith(SUFFIXES)]


def _of_folder(path: Path) -> list[Path]:
    """The shards in a folder; none if anything in it tells that it is a folder of images."""
    shards = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:  # stops at the first image: there may be a million
                name = entry.name.lower()
                if name.startswith("."):
                    continue
                if name.endswith(EXTENSIONS) or entry.is_dir():
                    return []
                if name.endswith(SUFFIXES):
                    shards.append(path / entry.name)
    except OSError:  # no folder, or one that the reader of folders complains about
        return []
    return shards


def _hold_no_features(files: list[Path]) -> bool:
    """Whether Parquet files are something else, such as lists of images; broken ones are ours."""
    parquet = sorted(file for file in files if file.suffix.lower() == ".parquet")
    return bool(parquet) and not features_or_broken(parquet[0])


def _natural(name: str) -> list[tuple[int, int, str]]:
    """A key by which ``part-2`` comes before ``part-10``."""
    pieces = re.split(r"(\d+)", name)
    return [(0, int(piece), "") if piece.isdigit() else (1, 0, piece) for piece in pieces]
