"""Features that ``usl embed`` has made, with the pictures they were made of, and their encoder.

They lie in shards, which their record names (:mod:`usl.data.readers.shards`), or in the table
beside a run that was selected from shards: a Parquet file of ``image_id`` and ``feature``, and of
``path`` and ``digest`` where the shards have them, whose metadata hold the encoder's record as JSON
under the key ``usl``. Any other table of features has no pictures, whatever paths it holds.
"""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usl.core.errors import UsageError
from usl.data.addressed_images import UNKNOWN, AddressedImages
from usl.data.addresses import is_address
from usl.data.collection import Collection
from usl.data.image_source import Images
from usl.data.images import FileImages
from usl.data.parquet_files import open_parquet, read_columns

MARK = b"usl"  # in the metadata of the file
TEXTS = ("name", "key", "supervision")  # of an encoder's record


def marked(encoder: Mapping[str, Any]) -> dict[bytes, bytes]:
    """The metadata of such a table: ``encoder`` is the record of what made its features."""
    return {MARK: json.dumps({"encoder": dict(encoder)}).encode()}


def with_pictures(
    found: Collection, files: Sequence[Path], encoder: Mapping[str, Any] | None
) -> Collection:
    """A collection of the features in ``files``, with their pictures; ``encoder``: its record.

    No picture is opened, or looked for: one that is gone is told when somebody wants to see it.
    Without a record the features are somebody's, and the collection stays as it is.
    """
    if encoder is None:
        return found
    paths, digests = _texts(files, "path"), _texts(files, "digest")
    images = None if paths is None else _images(paths, digests)
    known = found.features is not None and is_record(encoder, int(found.features.shape[1]))
    return replace(found, images=images, made_by=encoder if known else None, notes=())


def _texts(files: Sequence[Path], name: str) -> list[Any] | None:
    """A column of all files; None where one of them has none."""
    if not all(name in open_parquet(file).schema_arrow.names for file in files):
        return None
    return [text for file in files for text in read_columns(file, [name]).column(0).to_pylist()]


def encoder_of(path: Path) -> dict[str, Any] | None:
    """The encoder's record in a file's metadata; None where the file is not marked."""
    try:
        told = json.loads((open_parquet(path).schema_arrow.metadata or {})[MARK])["encoder"]
    except (LookupError, ValueError, TypeError):
        return None
    return told if isinstance(told, dict) else None


def is_record(told: Mapping[str, Any], width: int) -> bool:
    """Whether a record names an encoder that makes rows of this width."""
    texts = all(isinstance(told.get(name), str) for name in TEXTS)
    preprocessing = told.get("preprocessing")
    known = isinstance(preprocessing, dict) and {"center", "standardize", "pca"} <= set(
        preprocessing
    )
    return texts and known and told.get("width") == width


def _images(paths: list[Any], told: list[Any] | None) -> Images | None:
    """The pictures at paths or addresses; None where some have none, or nothing holds them all."""
    if not paths or not all(isinstance(path, str) and path for path in paths):
        return None
    digests = None if told is None else np.array(told, dtype=np.str_)
    if not any(map(is_address, paths)):
        root = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for path in paths])
        return EmbeddedFiles(Path(root), [os.path.relpath(path, root) for path in paths], digests)
    schemes = {path.partition("://")[0] for path in paths}
    inside = [path.partition("://")[2] for path in paths]
    try:
        root = posixpath.commonpath([posixpath.dirname(path) for path in inside])
        names = [path[len(root) + 1 :] for path in inside]
        address = f"{schemes.pop()}://{root}"
        return None if schemes else EmbeddedObjects(address, names, digests)
    except (ValueError, UsageError):  # nothing holds them all, or it is no address of ours
        return None


class EmbeddedFiles(FileImages):
    """Files below a folder, whose content hashes a table tells."""

    def __init__(self, root: Path, names: Any, told: NDArray[np.str_] | None) -> None:
        super().__init__(root, names)
        self.told = told

    def digest(self, row: int) -> str:
        """The hash as the table tells it; of the file where it tells none."""
        return super().digest(row) if self.told is None else str(self.told[row])

    def take(self, rows: ArrayLike) -> EmbeddedFiles:
        """The same folder restricted to ``rows``."""
        chosen = np.asarray(rows, dtype=np.int64)
        taken = copy(self)
        taken.names = self.names[chosen]
        taken.told = None if self.told is None else self.told[chosen]
        return taken


class EmbeddedObjects(AddressedImages):
    """Files below an address, whose content hashes a table tells; nothing lists them."""

    def __init__(self, root: str, names: Any, told: NDArray[np.str_] | None) -> None:
        super().__init__(root, names, np.tile(np.array([UNKNOWN, 0], np.int64), (len(names), 1)))
        self.told = told

    def digest(self, row: int) -> str:
        """The hash as the table tells it; of the file where it tells none."""
        return super().digest(row) if self.told is None else str(self.told[row])

    def take(self, rows: ArrayLike) -> EmbeddedObjects:
        """The same address restricted to ``rows``."""
        taken = super().take(rows)
        assert isinstance(taken, EmbeddedObjects)
        if self.told is not None:
            taken.told = self.told[np.asarray(rows, dtype=np.int64)]
        return taken
