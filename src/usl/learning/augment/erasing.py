"""Random erasing of a batch: one box of every picture, of any shape, is filled with a colour."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from usl.learning.augment.batches import uniform
from usl.learning.augment.color import colour_of
from usl.learning.augment.geometry import ATTEMPTS

SHARES = (0.02, 0.33)  # of the area; these are torchvision's defaults
RATIO = (0.3, 3.3)  # height / width


def random_erasing_(images: Tensor, fill: tuple[float, ...], generator: torch.Generator) -> Tensor:
    """Fill a random box of every picture (Zhong et al. 2020). Changes ``images``.

    Share of the area ~ U(0.02, 0.33), log of height / width ~ U(log 0.3, log 3.3), every place
    alike. The first of ten boxes that is smaller than the picture is taken; else there is none.
    """
    b, _, h, w = images.shape
    # 1. Ten boxes for each picture; the eleventh is none.
    area = uniform(b * ATTEMPTS, *SHARES, generator).mul_(h * w).view(b, ATTEMPTS)
    low, high = math.log(RATIO[0]), math.log(RATIO[1])
    ratio = uniform(b * ATTEMPTS, low, high, generator).exp_().view(b, ATTEMPTS)
    none = area.new_zeros(b, 1)
    heights = torch.cat([(area * ratio).sqrt_().round_(), none], 1)
    widths = torch.cat([(area / ratio).sqrt_().round_(), none], 1)
    first = ((heights < h) & (widths < w)).byte().argmax(1, keepdim=True)
    # 2. Where it lies.
    inside = []
    for side, lengths in ((h, heights.gather(1, first)), (w, widths.gather(1, first))):
        place = torch.rand(b, 1, generator=generator, device=generator.device)
        start = torch.minimum((place * (side - lengths + 1)).floor_(), side - lengths)
        pixels = torch.arange(side, device=images.device)
        inside.append((pixels >= start) & (pixels < start + lengths))
    boxes = inside[0][:, None, :, None] & inside[1][:, None, None, :]
    return torch.where(boxes, colour_of(fill, images), images, out=images)
