"""What a person has changed in a run folder: it is never thrown away with the run.

Labels are in ``labels.sqlite`` and the split file; pictures may have been sorted in an export, a
table filled in, a column or a file of their own added. What can be made again is not counted; what
cannot be read is.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from usl.core.errors import DataError
from usl.core.files import read_json
from usl.data.parquet_files import read_columns
from usl.data.tables import TABLE_SUFFIXES, column_names, read_table
from usl.run import models
from usl.run.excluded import EXCLUDED
from usl.run.picks import PICKS
from usl.run.predictions import PREDICTIONS
from usl.run.split import FIELDS, Split
from usl.run.split_csv import COLUMNS, CSV_NAME, PARQUET_NAME, by_people
from usl.run.tables import guarded_table
from usl.run.until_record import UNTIL

RECORD = ".usl-export.json"  # in a folder that an export wrote: what was in it
OF_SYSTEMS = ("Thumbs.db", "desktop.ini")  # what file managers leave behind, besides hidden files
ANSWERS, EXPORTS = ("labels.sqlite", "labels.sqlite-wal"), "exports"
TABLES = tuple(Path(name).stem for name in (PICKS, PREDICTIONS))  # as .csv and .parquet
OURS = {
    "run.json",
    "images.parquet",
    EXCLUDED,
    CSV_NAME,
    PARQUET_NAME,
    "labels.sqlite-shm",
    EXPORTS,
}
OURS |= {f"{name}{ending}" for name in TABLES for ending in (".csv", ".parquet")}
OURS |= {
    *models.FILES,
    models.MODELS,
    "comparison.json",
    "preprocessing.npz",
    "map.npz",
    "report.html",
}
OURS |= {"encoder.safetensors", "source.jsonl", "training", "tensorboard", "metrics.jsonl", UNTIL}
EXPORTED = {*COLUMNS, "rank", "score", "prediction", "confidence"}  # columns of an export


def changed_by_hand(folder: Path) -> bool:
    """Whether a person's work is in a run folder."""
    names = [name for name in os.listdir(folder) if _counts(name)]
    if any(name in ANSWERS or name not in OURS for name in names):
        return True
    try:
        active = models.active_model(folder)
        return (
            _split_changed(folder)
            or _copy_changed(folder, folder, TABLES[0])
            or _copy_changed(folder, folder if active is None else active.path, TABLES[1])
            or any(_counts(place.name) for place in folder.glob(f"{models.MODELS}/*"))
            or _exports_changed(folder / EXPORTS)
        )
    except (DataError, OSError, ValueError, KeyError):
        return True  # unreadable is not worthless


def recorded(home: Path) -> object:
    """The digest of a folder as an export wrote it, None where there is no record."""
    if not (home / RECORD).is_file():
        return None
    record = read_json(home / RECORD)
    return record.get("content") if isinstance(record, dict) else None


def fingerprint(folder: Path) -> str:
    """A digest of all names, sizes and times of change below a folder; links are not followed."""
    state = hashlib.blake2b(digest_size=16)
    for here, below, files in os.walk(folder):
        below.sort()
        for name in sorted([*files, *below]):
            if not _counts(name):
                continue
            path = Path(here) / name
            found = path.lstat()
            size = None if name in below else (found.st_size, found.st_mtime_ns)
            state.update(repr((path.relative_to(folder).as_posix(), size)).encode())
    return state.hexdigest()


def _counts(name: str) -> bool:
    return not name.startswith(".") and name not in OF_SYSTEMS


def _split_changed(folder: Path) -> bool:
    """Whether the split file holds a person's label, or is not what its mirror says."""
    split = Split.read(folder)
    if by_people(split.sources).any() or column_names(folder / CSV_NAME) != list(COLUMNS):
        return True
    mirror = read_columns(folder / PARQUET_NAME)
    return any(
        getattr(split, field).tolist() != mirror[column].to_pylist()
        for field, column in zip(FIELDS, COLUMNS, strict=True)
    )


def _copy_changed(folder: Path, home: Path, name: str) -> bool:
    """Whether the CSV of a table is not what the Parquet file in its ``home`` says."""
    import pyarrow as pa
    import pyarrow.csv

    text, typed = folder / f"{name}.csv", home / f"{name}.parquet"
    if not text.is_file() or not typed.is_file():
        return text.exists() != typed.exists()
    table = read_columns(typed)
    flat = [field.name for field in table.schema if not pa.types.is_nested(field.type)]
    found = text.read_bytes()
    for plain in (guarded_table(table.select(flat)), table.select(flat)):  # of older versions, too
        made = pa.BufferOutputStream()
        pyarrow.csv.write_csv(plain, made)
        if made.getvalue().to_pybytes() == found:
            return False
    return True


def _exports_changed(exports: Path) -> bool:
    """Whether an export is not as it was written, or a table of one has labels or more columns."""
    if not exports.is_dir():
        return False
    for entry in sorted(exports.iterdir()):
        if not _counts(entry.name):
            continue
        if entry.is_dir() and recorded(entry) == fingerprint(entry):
            continue
        if entry.is_dir() or entry.suffix.lower() not in TABLE_SUFFIXES:
            return True
        table = read_table(entry)
        if not EXPORTED.issuperset(table.columns) or any(table.values("label")):
            return True
    return False
