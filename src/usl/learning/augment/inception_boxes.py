"""Random boxes as TensorFlow draws them for SimCLR's authors: the side is uniform, not the area.

Source: the operation ``sample_distorted_bounding_box`` of TensorFlow as google-research/simclr
calls it, with the whole picture as the only object.
"""

from __future__ import annotations

import torch
from torch import Tensor

from usl.learning.augment.batches import uniform
from usl.learning.augment.geometry import RATIO, Boxes

COVERED = 0.1  # of the picture's area, at the least (min_object_covered)
ATTEMPTS = 100  # boxes drawn before the whole picture is taken


def distorted_boxes(
    h: Tensor, w: Tensor, scale: tuple[float, float], generator: torch.Generator
) -> Boxes:
    """Boxes in pictures of h [b] x w [b] pixels.

    Width / height ~ U(3/4, 4/3); the height is any whole number, all alike, between those of the
    least and the greatest area, of ``scale``. A box is drawn again if its area is out of bounds
    after rounding, or less than a tenth of the picture's.
    """
    found: Boxes = torch.zeros_like(h), torch.zeros_like(h), h.clone(), w.clone()
    waiting = torch.ones_like(h, dtype=torch.bool)
    for _ in range(ATTEMPTS):
        ratio = uniform(len(h), *RATIO, generator)
        height, width, fits = one_shape(h, w, ratio, scale, generator)
        # Every place alike but for the last one, which the source never takes.
        place = torch.rand(2, len(h), generator=generator, device=generator.device)
        top = (place[0] * (h - height)).floor_()
        left = (place[1] * (w - width)).floor_()
        taken = waiting & fits & (height * width / (h * w) >= COVERED)
        for mine, theirs in zip(found, (top, left, height, width), strict=True):
            mine.copy_(torch.where(taken, theirs, mine))
        waiting &= ~taken
        if not waiting.any():
            break
    return found


def one_shape(
    h: Tensor, w: Tensor, ratio: Tensor, scale: tuple[float, float], generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Height and width of a box of the given width / height [b], and whether it is allowed."""
    least, most = (share * w * h for share in scale)
    # 1. The range of heights: of the areas, but no wider and no higher than the picture.
    low, high = (area.div(ratio).sqrt_().round_() for area in (least, most))
    widest = ((w.double() + 0.5 - 1e-7) / ratio).floor_().to(h.dtype)
    widest -= ((widest * ratio).round_() > w).to(h.dtype)
    high = torch.where((high * ratio).round_() > w, widest, high)
    high = torch.minimum(high, h)
    low = torch.minimum(low, high)
    # 2. Any height in it.
    draw = torch.rand(len(h), generator=generator, device=generator.device)
    height = torch.minimum(low + (draw * (high - low + 1)).floor_(), high)
    # 3. Rounding may have led out of the areas: one more, then one less.
    height += ((height * ratio).round_() * height < least).to(h.dtype)
    height -= ((height * ratio).round_() * height > most).to(h.dtype)
    width = (height * ratio).round_()
    area = width * height
    fits = (area >= least) & (area <= most) & (height <= h) & (width <= w) & (width > 0)
    return height, width, fits & (height > 0)
