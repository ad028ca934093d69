"""Sources of images: files, one array, or a data set object.

All three satisfy :class:`usl.data.collection.Images`, decode only when asked, and pickle, so that
worker processes can share them.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usl.core.errors import DataError
from usl.core.hashing import array_digest, bytes_digest
from usl.data.collection import Stored
from usl.data.decode import Hold, array_to_image, decode_file, to_grey_or_rgb, upright
from usl.data.digests import DigestMemo, file_digest

if TYPE_CHECKING:
    from PIL import Image


class FileImages:
    """Image files below ``root``.

    Parameters
    ----------
    root : folder.
    names : POSIX paths relative to it, one per row.
    memo : where digests are remembered between runs; None reads every file anew.
    max_pixels : of an image that is still decoded; None for Pillow's limit.
    scaled : counts pictures whose greys were scaled by what they hold, by how.
    """

    scales = True

    def __init__(
        self,
        root: Path,
        names: Sequence[str] | NDArray[Any],
        *,
        memo: DigestMemo | None = None,
        max_pixels: int | None = None,
        scaled: Counter[str] | None = None,
    ) -> None:
        self.root = Path(root)
        self.names: NDArray[np.object_] = np.asarray(names, dtype=object)
        self.memo = memo
        self.max_pixels = max_pixels
        self.scaled: Counter[str] = Counter() if scaled is None else scaled

    def __len__(self) -> int:
        """Number of images."""
        return len(self.names)

    def path(self, row: int) -> Path:
        """The file behind a row."""
        return self.root / str(self.names[row])

    def home(self, row: int) -> Path:
        """The folder that a row's file is to lie in, whatever links there are."""
        return self.root

    def read(self, row: int) -> Image.Image:
        """Decode a row's file; see :func:`usl.data.decode.decode_file`."""
        path = self.path(row)
        return decode_file(path, str(path), max_pixels=self.max_pixels, scaled=self.scaled)

    def read_scaled(self, row: int, least: int | None, hold: Hold | None = None) -> Image.Image:
        """Decode it at a scale at which its shorter side has ``least`` pixels."""
        path = self.path(row)
        return decode_file(
            path, str(path), max_pixels=self.max_pixels, scaled=self.scaled, least=least, hold=hold
        )

    def known_digest(self, row: int) -> str | None:
        """The hash of a row's file, if the memo knows it and the file is unchanged."""
        if self.memo is None:
            return None
        with _named(self.path(row)) as path:
            return self.memo.known(path, str(self.names[row]))

    def load(self, row: int) -> Stored:
        """Read a row's file, once for its hash and its pixels."""
        with _named(self.path(row)) as path:
            if self.memo is not None:
                content, digest = self.memo.read(path, str(self.names[row]))
            else:
                content = path.read_bytes()
                digest = bytes_digest(content)
        return stored(content, digest, str(path), self.max_pixels, self.scaled)

    def digest(self, row: int) -> str:
        """Hash a row's file, from the memo if the file is unchanged."""
        with _named(self.path(row)) as path:
            if self.memo is not None:
                return self.memo.digest(path, str(self.names[row]))
            return file_digest(path)

    def take(self, rows: ArrayLike) -> FileImages:
        """The same folder restricted to ``rows``."""
        return FileImages(
            self.root,
            self.names[np.asarray(rows, dtype=np.int64)],
            memo=self.memo,
            max_pixels=self.max_pixels,
            scaled=self.scaled,
        )


@contextmanager
def _named(path: Path) -> Iterator[Path]:
    """The path; what the system refuses within names it."""
    try:
        yield path
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror or error}). Restore or remove the file."
        ) from error


def stored(
    content: bytes, digest: str, name: str, max_pixels: int | None, scaled: Counter[str]
) -> Stored:
    """The content of a file, to be decoded as often as one likes."""

    def decode(least: int | None, hold: Hold | None) -> Image.Image:
        return decode_file(
            io.BytesIO(content),
            name,
            max_pixels=max_pixels,
            scaled=scaled,
            least=least,
            hold=hold,
        )

    return Stored(digest, decode)


class RowsOfImages:
    """Some rows, int64 [n], of a source of images; taking fewer copies no pixels."""

    rows: NDArray[np.int64]

    def __len__(self) -> int:
        """Number of images."""
        return len(self.rows)

    def take(self, rows: ArrayLike) -> Self:
        """The same source restricted to ``rows``."""
        taken = copy(self)
        taken.rows = self.rows[np.asarray(rows, dtype=np.int64)]
        return taken


class ArrayImages(RowsOfImages):
    """Images in one uint8 array [n, h, w], [n, h, w, 1] or [n, h, w, 3]; a memmap stays on disk."""

    def __init__(self, array: NDArray[Any], *, name: str = "images") -> None:
        shape = array.shape
        if array.dtype != np.uint8 or not (
            len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3))
        ):
            raise DataError(
                f"{name}: images must be uint8 [n, h, w], [n, h, w, 1] or [n, h, w, 3], "
                f"this is {array.dtype} {list(shape)}."
            )
        self.array = array[..., 0] if len(shape) == 4 and shape[3] == 1 else array
        self.rows = np.arange(len(array))
        self.name = name

    def read(self, row: int) -> Image.Image:
        """One image, ``L`` or ``RGB``."""
        return array_to_image(self.array[self.rows[row]], f"{self.name}[{self.rows[row]}]")

    def digest(self, row: int) -> str:
        """Hash of the pixels and their shape; [h, w] and [h, w, 1] hash alike."""
        return array_digest(np.asarray(self.array[self.rows[row]]))


class ObjectImages(RowsOfImages):
    """Images fetched from a data set object by ``get(dataset, index)``.

    ``get`` returns a ``PIL.Image``, or a uint8 array [h, w(, 1 or 3)].
    """

    scales = False

    def __init__(
        self, dataset: Any, get: Callable[[Any, int], Any], *, name: str = "data set"
    ) -> None:
        self.dataset, self.get, self.name = dataset, get, name
        self.scaled: Counter[str] = Counter()
        self.rows = np.arange(len(dataset))

    def read(self, row: int) -> Image.Image:
        """Fetch and convert one image."""
        from PIL import Image

        index = int(self.rows[row])
        where = f"{self.name}[{index}]"
        try:
            value = self.get(self.dataset, index)
            if isinstance(value, Image.Image):
                return to_grey_or_rgb(upright(value), self.scaled)
        except Exception as error:
            raise DataError(f"{where}: the data set cannot give this image ({error}).") from error
        if isinstance(value, np.ndarray):
            return array_to_image(value, where)
        raise DataError(
            f"{where}: expected a PIL image, got {type(value).__name__}. Open the data set "
            "without a transform; encoders bring their own."
        )

    def digest(self, row: int) -> str:
        """Hash of the decoded pixels: an object keeps no file to hash."""
        return self.load(row).digest

    def known_digest(self, row: int) -> str | None:
        """None: the hash takes the pixels."""
        return None

    def load(self, row: int) -> Stored:
        """Fetch one image, once for its hash and for its pixels."""
        image = self.read(row)
        return Stored(array_digest(np.asarray(image)), lambda least, hold: image)

    def read_scaled(self, row: int, least: int | None, hold: Hold | None = None) -> Image.Image:
        """As :meth:`read`."""
        return self.read(row)
