"""The pictures of a collection as uint8 batches of one size, from memory or decoded as needed.

A square is either the centre of a picture, as encoders see it, or all of it, squeezed: then the
shape of the picture goes with it, and a box that is drawn in the picture is read from the square.
"""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from usl.core.errors import DataError, StoreError, UsageError, UslWarning
from usl.core.progress import Progress, silent
from usl.data.image_source import Images, read_scaled, threads_for
from usl.learning.augment.batches import SHAPES
from usl.learning.augment.geometry import central_square
from usl.numeric.blocks import thread_count

if TYPE_CHECKING:
    from PIL import Image

Uint8 = NDArray[np.uint8]
LOOKED_AT = 64  # pictures whose size is asked for before all are read
MEMORY = 4 << 30  # bytes of pixels kept in memory
PASS = 256  # pictures per forward pass


class Pictures:
    """Square uint8 pictures by row.

    Attributes
    ----------
    rows : int64 [n], the rows of ``images`` that could be read. Everything else counts from 0 to
        n - 1 in this order.
    skipped : ``(row, reason)`` of the others.
    whole : pictures are squeezed, not cut.
    """

    def __init__(
        self,
        images: Images,
        side: int,
        *,
        whole: bool = False,
        memory: int = MEMORY,
        name: str = "images",
        progress: Progress = silent,
    ) -> None:
        """Read what fits in ``memory`` bytes at once; else decode batch by batch.

        Raises :class:`DataError` if none of the pictures can be read.
        """
        self._images = images
        self.side, self.whole = side, whole
        self.rows: NDArray[np.int64] = np.arange(len(images))
        self.skipped: tuple[tuple[int, str], ...] = ()
        self._stored: Uint8 | None = None
        self._shapes = np.ones((0, 2), dtype=np.float32)
        if len(images) == 0:
            raise DataError(f"{name}: no images.")
        if len(images) * 3 * side * side <= memory:
            self._read_all(name, progress)

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.rows)

    def __call__(self, rows: NDArray[np.int64]) -> torch.Tensor:
        """Pictures, uint8 [b, c, side, side], c 1 if all are grey, else 3."""
        return self._read(rows)[0]

    def named(self, name: str, rows: NDArray[np.int64]) -> dict[str, torch.Tensor]:
        """Pictures under a name; of whole ones ``<name>_shapes``, too.

        These are height and width before they were squeezed, float32 [b, 2].
        """
        pictures, shapes = self._read(rows)
        return {name: pictures, **({name + SHAPES: shapes} if self.whole else {})}

    def on(self, device: Any, rows: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Pictures on a device, and the shapes of whole ones; None where nothing was squeezed."""
        pictures, shapes = self._read(rows)
        return pictures.to(device), shapes.to(device) if self.whole else None

    def _read(self, rows: NDArray[np.int64]) -> tuple[torch.Tensor, torch.Tensor]:
        if self._stored is not None:
            return torch.from_numpy(self._stored[rows]), torch.from_numpy(self._shapes[rows])
        with ThreadPoolExecutor(threads_for(self._images) or thread_count()) as pool:
            found = list(pool.map(self._try, self.rows[rows].tolist()))
        good = [picture for picture in found if not isinstance(picture, str)]
        if not good:
            raise DataError(f"none of a batch of {len(rows)} images could be read: {found[0]}")
        for position, picture in enumerate(found):
            if isinstance(picture, str):
                warnings.warn(f"{picture} Another image stands in.", UslWarning, stacklevel=2)
                found[position] = good[position % len(good)]
        pictures, shapes = zip(*(each for each in found if not isinstance(each, str)), strict=True)
        stacked = np.stack([colored(picture) for picture in pictures])
        return torch.from_numpy(stacked), torch.tensor(shapes, dtype=torch.float32)

    def _try(self, row: int) -> tuple[Uint8, tuple[int, int]] | str:
        """A picture, and the height and width it had; or why there is none."""
        try:
            image = read_scaled(self._images, row, 2 * self.side)
        except StoreError:
            raise
        except DataError as error:
            return str(error)
        return square(image, self.side, whole=self.whole), (image.height, image.width)

    def _read_all(self, name: str, progress: Progress) -> None:
        n = len(self._images)
        stored: Uint8 | None = None
        good = np.zeros(n, dtype=bool)
        shapes = np.ones((n, 2), dtype=np.float32)
        reasons: list[tuple[int, str]] = []
        with ThreadPoolExecutor(threads_for(self._images) or thread_count()) as pool:
            for start in range(0, n, 1024):
                block = range(start, min(n, start + 1024))
                for row, found in zip(block, pool.map(self._try, block), strict=True):
                    if isinstance(found, str):
                        reasons.append((row, found))
                        continue
                    picture, shapes[row] = found
                    if stored is None:
                        stored = np.zeros((n, *picture.shape), dtype=np.uint8)
                    if len(picture) > stored.shape[1]:  # the first one in colour
                        stored = np.repeat(stored, 3, axis=1)
                    stored[row] = picture
                    good[row] = True
                progress(block.stop, n, "reading")
        if stored is None:
            raise DataError(f"{name}: none of the {n} images could be read: {reasons[0][1]}")
        self.rows = np.flatnonzero(good)
        self.skipped = tuple(reasons)
        self._stored, self._shapes = (
            (stored, shapes) if good.all() else (stored[good], shapes[good])
        )


def open_pictures(
    images: Images,
    size: int,
    *,
    whole: bool = False,
    memory: int = MEMORY,
    name: str = "images",
    progress: Progress = silent,
) -> Pictures:
    """Pictures for a network that takes ``size`` pixels: their centre squares, or ``whole``.

    Larger ones are kept at up to twice that side, so that a crop still has detail; smaller ones
    are enlarged, with a warning.
    """
    if size < 8:
        raise UsageError(f"size: {size} given; networks need at least 8 pixels.")
    of_picture, sides = (max if whole else min), []
    for row in np.linspace(0, len(images) - 1, min(LOOKED_AT, len(images))).astype(int).tolist():
        try:
            sides.append(of_picture(read_scaled(images, row, 2 * size).size))  # tells as much
        except DataError:
            continue
    typical = int(np.median(sides)) if sides else size
    if typical < 0.75 * size:
        warnings.warn(
            f"{name}: the images are about {typical} pixels wide, the network takes {size}; they "
            "are enlarged.",
            UslWarning,
            stacklevel=3,
        )
    side = min(2 * size, max(size, typical))
    return Pictures(images, side, whole=whole, memory=memory, name=name, progress=progress)


def square(image: Image.Image, side: int, *, whole: bool = False) -> Uint8:
    """One picture as uint8 [1 or 3, side, side]: its centre square, or all of it, squeezed."""
    from PIL import Image as pil

    if image.size != (side, side):
        wide, high = image.size if whole else (min(image.size),) * 2
        left, upper = (image.width - wide) / 2, (image.height - high) / 2
        box = (left, upper, left + wide, upper + high)
        image = image.resize((side, side), pil.Resampling.BICUBIC, box=box)
    pixels: NDArray[Any] = np.asarray(image, dtype=np.uint8)
    if pixels.ndim == 2:
        return pixels[None]
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def colored(picture: Uint8) -> Uint8:
    """A picture [1 or 3, h, w] as [3, h, w]."""
    return np.repeat(picture, 3, axis=0) if len(picture) == 1 else picture


def encode(backbone: nn.Module, pictures: Pictures, device: Any = "cpu") -> torch.Tensor:
    """Features of all pictures, float32 [n, dim], in evaluation mode, without augmentation."""
    was_training = backbone.training
    backbone.eval()
    rows = np.arange(len(pictures))
    parts = []
    with torch.inference_mode():
        for start in range(0, len(rows), PASS):
            images, shapes = pictures.on(device, rows[start : start + PASS])
            seen = at_size(images, backbone.size, shapes)
            parts.append(backbone(seen).float().cpu())
    backbone.train(was_training)
    return torch.cat(parts)


def at_size(images: torch.Tensor, size: int, shapes: torch.Tensor | None = None) -> torch.Tensor:
    """uint8 pictures [b, c, h, w] as floats 0..1 at the side a network takes.

    Of whole pictures that were squeezed, with these ``shapes``, their centre squares.
    """
    if shapes is not None:
        return central_square(images, size, shapes)
    pixels = images.float() / 255
    if pixels.shape[-1] == size:
        return pixels
    return functional.interpolate(
        pixels, (size, size), mode="bilinear", antialias=True, align_corners=False
    )
