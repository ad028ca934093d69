"""Write the pictures of an export: copied, linked, or as PNG."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from usl.core.errors import DataError, UslWarning
from usl.core.words import counted, verb_for
from usl.data.collection import Collection
from usl.data.decode import EXTENSIONS
from usl.data.image_source import size_of
from usl.data.images import FileImages
from usl.data.stored_bytes import StoredBytes
from usl.labeling.exchange.names import stems
from usl.run.folder import Run
from usl.run.split import Split


class RunPictures:
    """The pictures of rows of a collection; see :class:`usl.labeling.exchange.contract.Pictures`.

    Parameters
    ----------
    collection : with images.
    rows : int64 [k], which of them, in the order of the export.
    names : str [k], a stem for each.
    """

    def __init__(
        self, collection: Collection, rows: NDArray[np.int64], names: Sequence[str]
    ) -> None:
        assert collection.images is not None
        self._images = collection.images.take(rows)
        self._names = names

    def path(self, index: int) -> Path | None:
        """The absolute path of the file, or None."""
        if not isinstance(self._images, FileImages):
            return None
        path = Path(os.path.abspath(self._images.path(index)))
        return path if path.suffix.lower() in EXTENSIONS else None

    def name(self, index: int) -> str:
        """The stem with the file's own ending; ``.png`` for what is no image file."""
        path = self.path(index)
        ending = self._ending_elsewhere(index) or ".png" if path is None else path.suffix
        return self._names[index] + ending

    def _ending_elsewhere(self, index: int) -> str:
        """The ending of an image file that is not on the disk; "" where there is none."""
        if not isinstance(self._images, StoredBytes):
            return ""
        ending = os.path.splitext(self._images.where(index))[1]
        return ending if ending.lower() in EXTENSIONS else ""

    def put(self, index: int, target: Path, *, link: bool = False) -> None:
        """Copy or link the file, or write a PNG. DataError when the file cannot be read."""
        path = self.path(index)
        if path is None and self._ending_elsewhere(index):
            target.write_bytes(self._images.content(index))  # type: ignore[attr-defined]
        elif path is None:
            self.draw(index, target)
        elif not path.is_file():
            raise DataError(f"{path}: the file is gone. Put it back, or name --source.")
        elif link:
            os.symlink(path, target)
        else:
            shutil.copyfile(path, target)

    def draw(self, index: int, target: Path) -> None:
        """Decode the picture and write it as PNG. DataError when it cannot be read."""
        self._images.read(index).save(target, format="PNG")

    def size(self, index: int) -> tuple[int, int]:
        """Width and height as shown, from the file's head alone where there is one."""
        return size_of(self._images, index)


def open_pictures(
    run: Run, split: Split, rows: NDArray[np.int64], *, to: str, source: str | None
) -> tuple[RunPictures, NDArray[np.int64]]:
    """The pictures of the split's ``rows``, opened anew and seen to be unchanged; and the rows.

    Rows of unlabelled images that are gone are left out, with a warning.

    Raises
    ------
    DataError
        a run of embeddings; an image that is gone or has changed since the run was made.
    """
    collection = run.collection(source)
    if collection.images is None:
        raise DataError(
            f"{run.path}: was made from embeddings, so there are no pictures for {to}. The formats "
            "csv, jsonl and parquet need none."
        )
    row_of = {word: row for row, word in enumerate(collection.ids.tolist())}
    chosen = np.array([row_of.get(word, -1) for word in split.ids[rows].tolist()], dtype=np.int64)
    missing = np.flatnonzero(chosen < 0)
    known = run.recorded_digests() if len(missing) else {}
    was_there = [str(word) in known for word in split.ids[rows[missing]].tolist()]
    lost = np.array(was_there, dtype=bool) | (split.states[rows[missing]] == "unlabeled")
    if 0 < len(missing) < len(rows) and lost.all():
        n, first = len(missing), split.ids[rows[missing[:3]]].tolist()
        warnings.warn(
            f"{collection.source}: {counted(n, 'image')} {verb_for(n, 'is', 'are')} gone and left "
            f"out: {', '.join(map(repr, first))}{', ...' if n > 3 else ''}.",
            UslWarning,
            stacklevel=2,
        )
        chosen, rows = np.delete(chosen, missing), np.delete(rows, missing)
    elif len(missing):
        raise DataError(
            f"{split.where(int(rows[missing[0]]))}: no image {str(split.ids[rows[missing[0]]])!r} "
            f"in {collection.source}. Restore it, or name the images' new place with --source."
        )
    recorded = run.recorded_digests()
    for word, row in zip(split.ids[rows].tolist(), chosen.tolist(), strict=True):
        if word in recorded and collection.digest(row) != recorded[word]:
            raise DataError(
                f"{collection.source}: the image {word!r} has changed since the run was made. "
                "Restore it, or select anew."
            )
    names = stems(split.ids.tolist())
    return RunPictures(collection, chosen, [names[row] for row in rows.tolist()]), rows
