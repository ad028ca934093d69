"""Features that ``usl embed`` has made, with the pictures they were made of, and their encoder.

They lie in shards, which their record names (:mod:`usl.data.readers.shards`), or in the table
beside a run that was selected from shards: a Parquet file of ``image_id`` and ``feature``, and of
the other columns where the shards have them, whose metadata hold the encoder's record as JSON under
the key ``usl``. Any other table of features has no pictures, whatever paths it holds.

``path`` says where a picture lies: a path, an address, or the address of a member of a tar as of
:mod:`usl.data.tar_images`. Of members ``offset`` and ``size`` say which bytes of the tar they are,
and ``digest`` whether they still are.
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
from usl.core.hashing import bytes_digest
from usl.data.addressed_images import UNKNOWN, AddressedImages
from usl.data.addresses import check_address, is_address
from usl.data.collection import Collection
from usl.data.image_source import Images
from usl.data.images import FileImages
from usl.data.parquet_files import open_parquet, read_columns
from usl.data.tar_images import TarImages, member_of

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
    paths, digests, offsets, sizes = (
        _column(files, name) for name in ("path", "digest", "offset", "size")
    )
    images = None
    if paths and all(isinstance(path, str) and path for path in paths):
        told = None if digests is None else np.array(digests, dtype=np.str_)
        tars = [member_of(path) for path in paths]
        images = _members(tars, offsets, sizes, told) if any(tars) else _images(paths, told)
    known = found.features is not None and is_record(encoder, int(found.features.shape[1]))
    return replace(found, images=images, made_by=encoder if known else None, notes=())


def _column(files: Sequence[Path], name: str) -> list[Any] | None:
    """A column of all files; None where one of them has none."""
    if not all(name in open_parquet(file).schema_arrow.names for file in files):
        return None
    return [value for file in files for value in read_columns(file, [name]).column(0).to_pylist()]


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


def _images(paths: list[str], digests: NDArray[np.str_] | None) -> Images | None:
    """The pictures at paths or addresses; None where nothing holds them all."""
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


def _members(
    tars: Sequence[tuple[str, str] | None],
    offsets: list[Any] | None,
    sizes: list[Any] | None,
    digests: NDArray[np.str_] | None,
) -> Images | None:
    """The pictures in tars; None where of one it is not told which bytes it is, and their hash."""
    if offsets is None or sizes is None or digests is None or not all(tars):
        return None
    known = [isinstance(one, int) and one >= 0 for one in (*offsets, *sizes)]
    names, places = zip(*filter(None, tars), strict=True)
    shards, of = np.unique(places, return_inverse=True)
    try:
        for address in filter(is_address, shards.tolist()):
            check_address(address)
    except UsageError:  # none of ours
        return None
    spans = np.stack([of, np.array(offsets), np.array(sizes)], axis=1) if all(known) else None
    return None if spans is None else EmbeddedMembers(shards.tolist(), names, spans, digests)


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


class EmbeddedMembers(TarImages):
    """Members of tars, whose content hashes a table tells; nothing indexes the tars.

    A picture is shown only while the bytes of its place have its hash: nobody ever sees another.
    """

    CHANGED = (
        "other bytes lie there than were embedded: the tar has changed since, or was cut short. "
        "Put it back, or run usl embed again."
    )

    def __init__(
        self,
        shards: Sequence[str],
        names: Sequence[str],
        places: NDArray[np.int64],
        told: NDArray[np.str_],
    ) -> None:
        super().__init__(shards, [0] * len(shards), names, places)
        self.told = told

    def is_same(self, row: int, content: bytes) -> bool:
        """Whether the bytes have the hash that the table tells."""
        return bytes_digest(content) == str(self.told[row])

    def known_digest(self, row: int) -> str:
        """The hash as the table tells it."""
        return str(self.told[row])

    def take(self, rows: ArrayLike) -> EmbeddedMembers:
        """The same tars restricted to ``rows``."""
        taken = super().take(rows)
        assert isinstance(taken, EmbeddedMembers)
        taken.told = self.told[np.asarray(rows, dtype=np.int64)]
        return taken
