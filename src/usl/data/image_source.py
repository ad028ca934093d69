"""Where the pictures of a collection come from: what every source offers, and what some do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import PIL.Image

    from usl.data.decode import Hold


class Images(Protocol):
    """Where a collection's pictures come from; rows are 0 to n - 1."""

    def __len__(self) -> int:
        """Number of images."""

    def read(self, row: int) -> Any:
        """The decoded image as ``PIL.Image`` in mode ``L`` or ``RGB``, upright (EXIF applied).

        Raises :class:`usl.core.errors.DataError`, naming the file, when it cannot be decoded.
        """

    def digest(self, row: int) -> str:
        """Hex content hash of the stored image (the file's bytes, or the array's values)."""

    def take(self, rows: NDArray[np.int64]) -> Images:
        """The same source restricted to ``rows``, in that order."""


@dataclass(frozen=True)
class Stored:
    """A picture whose content was read once, for its hash and for its pixels.

    ``decode(least, hold)`` gives the picture as :func:`usl.data.decode.decode_file` does.
    """

    digest: str
    decode: Callable[[int | None, Hold | None], Any]


FAR_THREADS = 32  # that read what waits for a network rather than for a processor


def threads_for(images: Images) -> int | None:
    """How many threads read pictures ahead, where that does not depend on the cores; else None."""
    return FAR_THREADS if getattr(images, "far", False) else None


@runtime_checkable
class StoredImages(Images, Protocol):
    """Images that know more than they have to: what a file's content was, and how to read it once.

    ``scales`` : whether a picture may be read at a scale.
    """

    scales: bool

    def known_digest(self, row: int) -> str | None:
        """The content hash, if it is known without reading the picture."""

    def load(self, row: int) -> Stored:
        """Read what is stored of a picture. DataError if that cannot be read."""

    def read_scaled(self, row: int, least: int | None, hold: Hold | None = None) -> Any:
        """As ``read``; at the smallest scale at which the shorter side has ``least`` pixels."""

    def read_windowed(self, row: int, side: int, *, apart: bool = True) -> tuple[Any, str]:
        """As :func:`read_windowed`."""

    def size(self, row: int) -> tuple[int, int]:
        """As :func:`size_of`."""


def read_scaled(images: Images, row: int, least: int) -> Any:
    """A picture, at a scale if it can be read at one, at which its shorter side is ``least``."""
    if isinstance(images, StoredImages):
        return images.read_scaled(row, least)
    return images.read(row)


def read_windowed(
    images: Images, row: int, side: int, *, apart: bool = True
) -> tuple[PIL.Image.Image, str]:
    """A picture for people to look at, no side longer than ``side``; and its window, or "".

    Of more than 8 bits those levels are shown where most pixels lie, as
    :func:`usl.data.greys.windowed` does. ``apart`` as of :func:`usl.data.decode.decode_file`.
    """
    if isinstance(images, StoredImages):
        return images.read_windowed(row, side, apart=apart)
    from usl.data.decode import shrink

    return shrink(images.read(row), side), ""


def size_of(images: Images, row: int) -> tuple[int, int]:
    """Width and height of a picture as shown, without its pixels where that can be."""
    if isinstance(images, StoredImages):
        return images.size(row)
    width, height = images.read(row).size
    return width, height
