"""Colour operations on batches of pictures, each picture by its own factor, and their jitter.

Pictures are float32 [b, c, h, w] in 0..1. The operations are those of ``PIL.ImageEnhance`` and of
torchvision without their rounding to 8 bits. Names that end in ``_`` change their argument.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from usl.learning.augment.batches import chance, per_image, uniform

LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as in Pillow's mode L
BRIGHTNESS, CONTRAST, SATURATION = 0, 1, 2


def grey(images: Tensor) -> Tensor:
    """Brightness as the eye sees it, [b, 1, h, w]."""
    if images.shape[1] == 1:
        return images
    result = images[:, :1] * LUMA[0]
    return result.add_(images[:, 1:2], alpha=LUMA[1]).add_(images[:, 2:], alpha=LUMA[2])


def colour_of(fill: float | tuple[float, ...], images: Tensor) -> Tensor:
    """A grey level, or red, green and blue, to go with pictures, [1, 1 or c, 1, 1]."""
    channels = fill if isinstance(fill, tuple) else (fill,)
    colour = torch.tensor(channels, dtype=images.dtype, device=images.device).view(1, -1, 1, 1)
    return grey(colour) if images.shape[1] == 1 else colour


def enhance_(images: Tensor, kinds: Tensor, factors: Tensor) -> Tensor:
    """Blend each picture with black, with its mean grey or with its grey version.

    All three are x f + r (1 - f), so one pass serves a batch in which every picture has its own.

    Parameters
    ----------
    images : float32 [b, c, h, w], changed in place.
    kinds : BRIGHTNESS, CONTRAST or SATURATION, int64 [b].
    factors : f, 1 for no change, float32 [b].
    """
    luma = grey(images)
    rest = 1 - factors
    of_mean = rest * (kinds == CONTRAST) * luma.mean((1, 2, 3))
    of_grey = rest * (kinds == SATURATION)
    blend = torch.addcmul(per_image(of_mean), luma, per_image(of_grey))
    return torch.addcmul(blend, images, per_image(factors), out=images).clamp_(0, 1)


def enhance_as_tensorflow_(images: Tensor, kinds: Tensor, factors: Tensor) -> Tensor:
    """The same as TensorFlow does it: contrast by channel, and saturation in HSV.

    All three move each value away from a reference r, r + (x - r) f: black, the mean of its
    channel, or the largest of the pixel's channels; there f goes no further than to pure colour.
    """
    # 1. The reference.
    top, low = images.amax(1, keepdim=True), images.amin(1, keepdim=True)
    contrast, saturation = per_image(kinds == CONTRAST), per_image(kinds == SATURATION)
    reference = images.mean((2, 3), keepdim=True) * contrast + top * saturation
    # 2. The factor of each pixel.
    purest = top / (top - low).clamp(min=1e-6)
    scale = per_image(factors).where(~saturation, torch.minimum(per_image(factors), purest))
    return images.sub_(reference).mul_(scale).add_(reference).clamp_(0, 1)


def turn_hue_(images: Tensor, turns: Tensor) -> Tensor:
    """Turn the hue by ``turns`` of the colour circle, -0.5 to 0.5, as in HSV; grey stays grey.

    The angle needs no cases: where green >= blue it is 1 + (g + b - r - low) / chroma sixths of a
    turn, and the other half of the circle is the mirror image of this one.
    """
    if images.shape[1] == 1 or not len(images):
        return images
    red, green, blue = images.split(1, dim=1)
    # 1. The angle in turns, -0.5 to 0.5.
    top = torch.maximum(torch.maximum(red, green), blue)
    low = torch.minimum(torch.minimum(red, green), blue)
    chroma = top - low
    angle = (green + blue).sub_(red).sub_(low).div_(chroma.clamp(min=1e-6))
    angle.add_(1).mul_(1 / 6).copysign_(green - blue).add_(per_image(turns))
    # 2. A channel is at the top up to 1/6 of a turn from its own angle, at the bottom from 1/3 on,
    #    and linear in between.
    away = angle - images.new_tensor([0, 1 / 3, 2 / 3]).view(1, 3, 1, 1)
    away.sub_(away.round()).abs_()
    falling = torch.addcmul(low.add(chroma, alpha=2), away, chroma, value=-6)
    return torch.clamp(falling, low, top, out=images)


@dataclass(frozen=True)
class Jitter:
    """Strengths of the jitter: factors from U(max(0, 1 - s), 1 + s), the hue's from U(-s, s)."""

    brightness: float
    contrast: float
    saturation: float
    hue: float

    @classmethod
    def of_strength(cls, strength: float) -> Jitter:
        """SimCLR's proportions, 0.8 : 0.8 : 0.8 : 0.2."""
        return cls(0.8 * strength, 0.8 * strength, 0.8 * strength, 0.2 * strength)


def color_jitter_(
    images: Tensor,
    jitter: Jitter,
    probability: float,
    generator: torch.Generator,
    *,
    enhance: Callable[[Tensor, Tensor, Tensor], Tensor] = enhance_,
) -> Tensor:
    """The four operations, in an order of each picture's own, on a random part of the batch.

    ``enhance`` does all but the hue.
    """
    # 1. Draws: who; in which order; by how much.
    b = len(images)
    chosen = chance(b, probability, generator)
    orders = torch.rand(b, 4, generator=generator, device=generator.device).argsort(dim=1)
    spans = (jitter.brightness, jitter.contrast, jitter.saturation)
    factors = torch.stack([uniform(b, max(0, 1 - s), 1 + s, generator) for s in spans], 1)
    turns = uniform(b, -jitter.hue, jitter.hue, generator)
    # 2. Sorted by when the hue's turn comes, so that it is computed on runs of the batch; the
    #    pictures that are not chosen come last and are left out.
    turn = orders.argsort(dim=1)[:, 3].masked_fill(~chosen, 4)
    counts = torch.bincount(turn, minlength=5).tolist()
    rows = turn.argsort()[: b - counts[4]]
    # 3. The order of the other three.
    kinds = orders[rows]
    kinds = kinds[kinds != 3].view(-1, 3)
    factors, turns = factors[rows].gather(1, kinds), turns[rows]
    work, done = images[rows], 0
    for step in range(4):
        run = slice(done, done + counts[step])
        turn_hue_(work[run], turns[run])
        done = run.stop
        if step < 3:
            enhance(work, kinds[:, step], factors[:, step])
    return images.index_copy_(0, rows, work)


def random_grey_(images: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """Take the colour from a random part of the batch."""
    rows = chance(len(images), probability, generator).nonzero()[:, 0]
    if images.shape[1] == 1:
        return images
    return images.index_copy_(0, rows, grey(images[rows]).expand(-1, 3, -1, -1))
