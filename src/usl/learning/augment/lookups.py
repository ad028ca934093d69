"""RandAugment's operations on levels and neighbours, as Pillow's ``ImageOps``.

Pictures are float32 [b, c, h, w] in 0..1; every picture has its own parameter.
"""

from __future__ import annotations

import torch
from torch import Tensor

from usl.learning.augment.batches import per_image


def autocontrast(images: Tensor) -> Tensor:
    """Stretch every channel to 0..1; a channel of one value stays as it is."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    span = high - low
    flat = span < 0.5 / 255
    return torch.where(flat, images, (images - low) / span.masked_fill(flat, 1))


def equalize(images: Tensor) -> Tensor:
    """Make the 256 levels of every channel about equally frequent."""
    from torchvision.transforms.v2 import functional

    levels = (images * 255).round_().byte()
    return functional.equalize(levels).float() / 255


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest ``bits`` of 8, whole float32 [b]."""
    width = per_image(torch.exp2(8 - bits))
    return (images * 255).round_().div_(width).floor_().mul_(width).mul_(1 / 255)


def solarize(images: Tensor, thresholds: Tensor) -> Tensor:
    """Invert the levels from ``thresholds`` on, whole float32 [b], 0..256."""
    bright = (images * 255).round_() >= per_image(thresholds)
    return torch.where(bright, 1 - images, images)


def brighten(images: Tensor, added: Tensor) -> Tensor:
    """Add ``added`` levels, whole float32 [b] of either sign, and stay in 0..255."""
    levels = (images * 255).round_().add_(per_image(added)).clamp_(0, 255)
    return levels.mul_(1 / 255)


def sharpen(images: Tensor, factors: Tensor) -> Tensor:
    """Blend with a smoothed picture, float32 [b]; its outermost pixels are not smoothed."""
    _, _, h, w = images.shape
    result = images.clone()
    if h < 3 or w < 3:
        return result
    # 1. Smooth: (sum of the 3 x 3 pixels + 4 of the middle one) / 13, as sums along either axis.
    tall = images[:, :, :-2] + images[:, :, 1:-1] + images[:, :, 2:]
    square = tall[..., :-2] + tall[..., 1:-1] + tall[..., 2:]
    middle = images[:, :, 1:-1, 1:-1]
    smooth = square.add_(middle, alpha=4).mul_(1 / 13)
    # 2. Blend.
    blend = smooth + (middle - smooth) * per_image(factors)
    result[:, :, 1:-1, 1:-1] = blend.clamp_(0, 1)
    return result
