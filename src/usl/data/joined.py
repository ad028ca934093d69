"""Several collections as one: the images that were there first, then those that came later."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usl.core.errors import DataError
from usl.data.collection import Collection
from usl.data.digests import DigestMemo
from usl.data.image_source import Images
from usl.data.images import FileImages, RowsOfImages
from usl.numeric.lazy_table import Joined


def join(collections: Sequence[Collection]) -> Collection:
    """All items of several collections, in order; of those with one id the first counts.

    Options and kind are those of the first. Files stay files: ids are those that they had, and
    their names are relative to the folder that holds all.

    Raises
    ------
    DataError : images and features, or features of different widths.
    """
    first, *others = collections
    parts, known = [first], set(first.ids.tolist())
    for other in others:
        check_alike(first, other)
        rows = [row for row, name in enumerate(other.ids.tolist()) if name not in known]
        if rows:
            parts.append(other.take(rows))
            known.update(parts[-1].ids.tolist())
    if len(parts) == 1:
        return first
    sizes = [len(part) for part in parts]
    names = dict.fromkeys(name for part in parts for name in part.extra)
    return replace(
        first,
        ids=np.concatenate([part.ids for part in parts]),
        subsets=np.concatenate([part.subsets for part in parts]),
        images=_images(parts),
        features=_features(parts),
        labels=_labels(parts),
        skipped=tuple(pair for part in collections for pair in part.skipped),
        passed_over=sum((Counter(part.passed_over) for part in collections), Counter()),
        notes=tuple(dict.fromkeys(note for part in collections for note in part.notes)),
        extra={
            name: [
                value
                for part, size in zip(parts, sizes, strict=True)
                for value in part.extra.get(name, [None] * size)
            ]
            for name in names
        },
    )


def check_alike(first: Collection, other: Collection) -> None:
    """DataError for collections that cannot be one."""
    if (first.features is None) != (other.features is None):
        kinds = ["images" if one.features is None else "features" for one in (first, other)]
        raise DataError(
            f"{other.source}: holds {kinds[1]}, but {first.source} holds {kinds[0]}; they cannot "
            "be one collection."
        )
    if first.features is not None and other.features is not None:
        widths = [int(one.features.shape[1]) for one in (first, other) if one.features is not None]
        if widths[0] != widths[1]:
            raise DataError(
                f"{other.source}: features of width {widths[1]:,}, but those of {first.source} "
                f"have {widths[0]:,}. Make them in the same way."
            )


def _features(parts: Sequence[Collection]) -> Joined | None:
    tables: list[Any] = [part.features for part in parts if part.features is not None]
    return Joined(tables, [part.source for part in parts]) if tables else None


def _labels(parts: Sequence[Collection]) -> NDArray[np.object_] | None:
    """The labels of all; None of those whose collection carries none."""
    if all(part.labels is None for part in parts):
        return None
    return np.concatenate(
        [np.full(len(part), None, object) if part.labels is None else part.labels for part in parts]
    )


def _images(parts: Sequence[Collection]) -> Images | None:
    images = [part.images for part in parts if part.images is not None]
    if len(images) < len(parts):  # features, of some of which no pictures are known
        return None
    files = [one for one in images if isinstance(one, FileImages)]
    try:
        root = Path(os.path.commonpath([os.path.abspath(one.root) for one in files] or [""]))
    except ValueError:  # on several drives
        return JoinedImages(images)
    return JoinedFiles(files, root) if len(files) == len(images) else JoinedImages(images)


class JoinedFiles(FileImages):
    """Image files of several folders, by their names below ``root``, which holds all of these."""

    def __init__(self, parts: Sequence[FileImages], root: Path) -> None:
        """At least one part; pictures may have as many pixels as in the part that allows most."""
        names: list[str] = []
        for part in parts:
            below = Path(os.path.relpath(os.path.abspath(part.root), root)).as_posix()
            prefix = "" if below == "." else f"{below}/"
            names += [f"{prefix}{name}" for name in part.names.tolist()]
        most = _most_pixels([part.max_pixels for part in parts])
        super().__init__(root, names, memo=DigestMemo.for_folder(root), max_pixels=most)
        homes = [part.home(row) for part in parts for row in range(len(part))]
        self._homes: NDArray[np.object_] = np.array(homes, dtype=object)

    def home(self, row: int) -> Path:
        """The folder of the source that a row comes from."""
        return Path(self._homes[row])

    def take(self, rows: ArrayLike) -> JoinedFiles:
        """The same folders restricted to ``rows``."""
        chosen = np.asarray(rows, dtype=np.int64)
        taken = copy(self)
        taken.names, taken._homes = self.names[chosen], self._homes[chosen]
        return taken


def _most_pixels(limits: Sequence[int | None]) -> int | None:
    """The widest of several limits, None being Pillow's."""
    from PIL import Image

    usual = Image.MAX_IMAGE_PIXELS
    given = [limit for limit in limits if limit is not None]
    if not given or usual is None:
        return None
    return max(given if len(given) == len(limits) else [*given, usual])


class JoinedImages(RowsOfImages):
    """Images of several sources, one after the other."""

    def __init__(self, parts: Sequence[Images]) -> None:
        """At least one source."""
        self.parts = list(parts)
        self.far = any(getattr(part, "far", False) for part in parts)
        self.ends = np.cumsum([len(part) for part in parts])
        self.rows = np.arange(int(self.ends[-1]))

    def _place(self, row: int) -> tuple[Images, int]:
        number = int(self.rows[row])
        part = int(np.searchsorted(self.ends, number, side="right"))
        return self.parts[part], number - int(self.ends[part]) + len(self.parts[part])

    def read(self, row: int) -> Any:
        """The decoded image."""
        images, place = self._place(row)
        return images.read(place)

    def digest(self, row: int) -> str:
        """The hash of its content."""
        images, place = self._place(row)
        return images.digest(place)
