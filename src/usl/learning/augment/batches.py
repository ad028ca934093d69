"""Base of all augmentations: checks of the input, cache-sized parts, random draws."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from usl.core.errors import DataError, UsageError

SHAPES = "_shapes"  # of the pictures of that name, in a batch
PART = 2**19  # values of one tensor of pictures that stay in a core's cache


class Augmentation(ABC):
    """A callable from uint8 pictures to float32 views; see :meth:`__call__`."""

    size: int
    scale: tuple[float, float] | None = None  # shares of the area, where a random box is drawn

    def __post_init__(self) -> None:
        """Check the parameters that augmentations share; :class:`UsageError`."""
        check_range("size", self.size, 1)
        if self.scale is not None and not (
            len(self.scale) == 2 and 0 < self.scale[0] <= self.scale[1] <= 1
        ):
            raise UsageError(
                f"scale={self.scale!r} given; it must be (low, high), 0 < low <= high <= 1."
            )

    def __call__(
        self, images: Tensor, generator: torch.Generator, shapes: Tensor | None = None
    ) -> Tensor:
        """One view of every picture.

        Parameters
        ----------
        images : uint8 [b, c, h, w], c 1 or 3.
        generator : source of every draw, on the device of the images.
        shapes : height and width of the whole pictures that were squeezed into ``images``, float32
            [b, 2]; None where nothing was squeezed.

        Returns
        -------
        float32 [b, c, size, size], values 0..1, on the device of the images.

        Raises
        ------
        DataError : another dtype, number of dimensions or of channels, or an empty picture.
        """
        _check(images)
        if not len(images):
            return images.new_empty((0, images.shape[1], self.size, self.size), dtype=torch.float32)
        # 1. Parts that fit the cache; an accelerator takes the batch at once.
        values = images.shape[1] * max(self.size**2, images.shape[2] * images.shape[3])
        part = max(1, PART // values) if images.device.type == "cpu" else len(images)
        # 2. Full precision: halves hold a picture's 256 levels badly.
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            count = -(-len(images) // part)
            parts = images.chunk(count)
            theirs = [None] * len(parts) if shapes is None else shapes.chunk(count)
            return torch.cat(
                [
                    self.augment(some, generator, own)
                    for some, own in zip(parts, theirs, strict=True)
                ]
            )

    @abstractmethod
    def augment(
        self, images: Tensor, generator: torch.Generator, shapes: Tensor | None = None
    ) -> Tensor:
        """One view of every picture, for checked images that fit the cache."""


def _check(images: Tensor) -> None:
    """:class:`DataError` unless uint8 [b, 1 or 3, h, w]."""
    fits = images.ndim == 4 and images.dtype == torch.uint8 and images.shape[1] in (1, 3)
    if not fits or 0 in images.shape[1:]:
        raise DataError(
            f"images: {images.dtype} {list(images.shape)} given; augmentations take torch.uint8 "
            "[b, c, h, w] with 1 or 3 channels."
        )


def view_of(
    batch: Mapping[str, Any], name: str, augmentation: Augmentation, generator: torch.Generator
) -> Tensor:
    """A view of every one of the pictures that a batch holds under a name."""
    return augmentation(batch[name], generator, batch.get(name + SHAPES))


def check_range(name: str, value: float, low: float, high: float = float("inf")) -> None:
    """:class:`UsageError` unless ``low <= value <= high``."""
    if not low <= value <= high:
        limits = f"at least {low:g}" if high == float("inf") else f"from {low:g} to {high:g}"
        raise UsageError(f"{name}={value!r} given; it must be {limits}.")


def uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Draws from U(low, high), float32 [count]."""
    return torch.rand(count, generator=generator, device=generator.device) * (high - low) + low


def chance(count: int, probability: float, generator: torch.Generator) -> Tensor:
    """True with the given probability, bool [count]."""
    return torch.rand(count, generator=generator, device=generator.device) < probability


def per_image(numbers: Tensor) -> Tensor:
    """Numbers [b] as [b, 1, 1, 1], to go with pictures [b, c, h, w]."""
    return numbers.view(-1, 1, 1, 1)
