"""The strong view of SCAN, which USL-T's released code trains with on CIFAR."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from usl.core.errors import UsageError
from usl.learning.augment.batches import Augmentation
from usl.learning.augment.color import colour_of
from usl.learning.augment.geometry import random_crop, resize
from usl.learning.augment.randaugment import SCAN, rand_augment_


@dataclass(frozen=True)
class Scan(Augmentation):
    """Mirror, four operations of any strength, and a box (SCAN, Van Gansbeke et al. 2020).

    Parameters
    ----------
    size : side of the views in pixels.
    fill : colour of the box; 0 after normalisation in the source, so the mean of the data.
    ops : operations drawn for each picture, with replacement, and always applied.
    flip : mirror half of the time.
    """

    size: int
    fill: tuple[float, ...]
    ops: int = 4
    flip: bool = True

    def __post_init__(self) -> None:
        """Check the parameters."""
        super().__post_init__()
        if len(self.fill) != 3:
            raise UsageError(f"fill: {len(self.fill)} numbers given; red, green and blue are.")

    def augment(
        self, images: Tensor, generator: torch.Generator, shapes: Tensor | None = None
    ) -> Tensor:
        """The three steps in order; the source's crop of 32 of 32 pixels does nothing."""
        views = random_crop(resize(images, self.size), self.size, self.flip, generator)
        rand_augment_(views, self.ops, SCAN, generator)
        return even_cutout_(views, self.size // 2, self.fill, generator)


def even_cutout_(
    images: Tensor, longest: int, fill: tuple[float, ...], generator: torch.Generator
) -> Tensor:
    """Fill a box of the side 2 * (L // 2), L uniform from 1 to ``longest``, cut at the edges.

    Its centre is any pixel; the side of 0 that L = 1 has fills nothing. Changes ``images``.
    """
    b, device = len(images), images.device
    lengths = torch.randint(1, longest + 1, (b, 1), generator=generator, device=generator.device)
    half = lengths // 2
    inside = []
    for side in images.shape[2:]:
        centre = torch.randint(side, (b, 1), generator=generator, device=generator.device)
        pixels = torch.arange(side, device=device)
        inside.append((pixels >= centre - half) & (pixels < centre + half))
    boxes = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return torch.where(boxes, colour_of(fill, images), images, out=images)
